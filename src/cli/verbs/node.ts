import type { Log } from '../../base/log.ts';
import { CliError } from '../cli-error.ts';
import { isAuthorityHash } from '../../client/http/authority-pin.ts';
import { parseBootstrapToken } from '../../api/bootstrap-token.ts';
import { eventLines } from '../event-lines.ts';
import type { FlagValues } from '../flags.ts';
import { detachFlag, givenFlags, runHosted, type HostedHandle, type HostedVerb } from '../host-process.ts';
import { dataDirFlag, dataDirOf } from '../livelet-home.ts';
import { givenManifests, manifestsFlag, manifestsWords } from '../manifests-flag.ts';
import { describeLayout, TabWriter } from '../printers/tab-writer.ts';
import { podRoutesFlag } from '../pod-routes-flag.ts';
import { checkedRuntime, runtimeFlag } from '../runtime-flag.ts';
import type { Verb, VerbCall } from '../verb.ts';

export const verb: Verb = {
  usage: `node --server https://HOST:PORT [--token TOKEN --ca-cert-hash sha256:HEX] [--node-name NAME] [--node-ip ADDRESS | --tunnel] [flags]
       livelet node --manifests DIR [--node-name NAME] [flags]
       livelet node check [--runtime process|cri|unix:///SOCKET] [--data-dir DIR]`,
  help: `Make this computer a node of the cluster of a server elsewhere. The first time it joins with a token, which "livelet
token create" makes on the server, with this whole command; later the data directory is enough. Prints one line when
the node is Ready, and runs until Ctrl-C or SIGTERM. While the server is away its pods and their probes run on.

With --manifests and no --server it runs the pods of a directory alone, and prints what happens to them.

"node check" tells what this machine lacks for a node with this runtime, and how to mend each. Exit code 0: pods can run
here (what is "limited" takes something from them). 1: something that they need is missing.`,
  connects: false,
  flags: [
    { name: 'server', short: 's', kind: 'string', help: 'URL of the API server.' },
    { name: 'token', kind: 'string', help: 'Bootstrap token, for the first time.' },
    {
      name: 'ca-cert-hash',
      kind: 'string',
      help: "Hash of the key of the cluster's authority (sha256:HEX), by which the server is known the first time.",
    },
    { name: 'node-name', kind: 'string', help: "Name of the node. Default: this computer's host name." },
    {
      name: 'node-ip',
      kind: 'string',
      help: 'Address by which the server reaches this node, and that it listens on. Default: loopback if the server is there too.',
    },
    {
      name: 'kubelet-port',
      kind: 'int',
      help: 'TCP port that it listens on. Default: 10250, or any free one if that is taken.',
    },
    {
      name: 'tunnel',
      kind: 'bool',
      help: 'Listen on nothing: the server reaches this node through a connection that it opens.',
    },
    manifestsFlag,
    runtimeFlag,
    podRoutesFlag,
    dataDirFlag,
    detachFlag,
  ],
  run: (call) => (call.args[0] === 'check' ? check(call) : runHosted(call, hosted)),
};

const hosted: HostedVerb = {
  name: 'node',
  what: 'node',
  check({ args, flags }) {
    if (args.length > 0) throw new CliError(`node takes no arguments but "check": ${args.join(' ')}`);
    if (flags.optional('server') === undefined) checkAlone(flags);
    const [token, hash] = [flags.optional('token'), flags.optional('ca-cert-hash')];
    if (token !== undefined && parseBootstrapToken(token) === undefined) {
      throw new CliError('--token is not of the form abcdef.0123456789abcdef');
    }
    if (hash !== undefined && !isAuthorityHash(hash)) {
      throw new CliError('--ca-cert-hash is not of the form sha256: and 64 hexadecimal digits');
    }
    if (flags.bool('tunnel') && flags.has('kubelet-port')) throw new CliError('--tunnel listens on no --kubelet-port');
    checkedRuntime(flags);
  },
  async start(call, dataDir, log) {
    const { flags, io, signal } = call;
    if (flags.optional('server') === undefined) return await startAlone(call, dataDir, log);
    const optional = {
      ...given('token', flags.optional('token')),
      ...given('caCertHash', flags.optional('ca-cert-hash')),
      ...given('nodeName', flags.optional('node-name')),
      ...given('nodeIp', flags.optional('node-ip')),
      ...givenManifests(flags),
      ...(flags.has('kubelet-port') ? { kubeletPort: flags.int('kubelet-port') } : {}),
    };
    const { startNode } = await import('../../main/node.ts');
    return await startNode({
      ...optional,
      server: flags.string('server').replace(/\/+$/, ''),
      tunnel: flags.bool('tunnel'),
      runtime: checkedRuntime(flags),
      podRoutes: flags.bool('pod-routes'),
      dataDir,
      log,
      signal,
      onWaiting: (why) => io.err(`note: ${why}; trying again\n`),
    });
  },
  readyLine: ({ nodeName, url }) =>
    url === ''
      ? `node ${nodeName} runs the pods of its manifests, without an API server\n`
      : `node ${nodeName} is Ready, in the cluster of ${url}\n`,
  passedOn: (call) => [
    ...givenFlags(call, ['server', 'node-name', 'runtime', ...joining]),
    ...manifestsWords(call.flags),
  ],
};

const joining = ['token', 'ca-cert-hash', 'node-ip', 'kubelet-port', 'tunnel', 'pod-routes'] as const;

function checkAlone(flags: FlagValues): void {
  const what = 'the URL of the API server; or --manifests DIR, to run without one';
  if (flags.optional('manifests') === undefined) throw new CliError(`--server is missing: ${what}`);
  const idle = joining.find((name) => flags.has(name));
  if (idle !== undefined) throw new CliError(`--${idle} means nothing without --server`);
}

async function startAlone({ flags, io }: VerbCall, dataDir: string, log: Log): Promise<HostedHandle> {
  const { manifests = '' } = givenManifests(flags);
  const name = given('nodeName', flags.optional('node-name'));
  const { startLoneNode } = await import('../../main/lone-node.ts');
  const runtime = checkedRuntime(flags);
  const node = await startLoneNode({ ...name, manifests, runtime, dataDir, log, onEvent: eventLines(io) });
  return { ...node, url: '', kubeconfigPath: '', notices: [...node.notices, `containers log to ${node.logDir}`] };
}

function given<K extends string>(name: K, value: string | undefined): Partial<Record<K, string>> {
  // One field of that name, or none.
  return (value === undefined ? {} : { [name]: value }) as Partial<Record<K, string>>;
}

async function check({ args, flags, io, signal }: VerbCall): Promise<number> {
  if (args.length !== 1) throw new CliError(`node check takes no arguments: ${args.slice(1).join(' ')}`);
  const runtime = checkedRuntime(flags);
  const directory = dataDirOf(flags, io);
  const { checkNode } = await import('../../main/node-check.ts');
  const checks = await checkNode(runtime, directory, signal);
  const tabs = new TabWriter(describeLayout);
  for (const { state, name, found } of checks) tabs.write(`${state}\t${name}\t${oneLine(found)}\n`);
  io.out(tabs.flush());
  const mends = checks.filter(({ mend }) => mend !== undefined);
  if (mends.length > 0) io.out('\nTo mend:\n');
  for (const { name, mend } of mends) io.out(`  ${name}: ${mend}\n`);
  return checks.some(({ state }) => state === 'missing') ? 1 : 0;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ');
}
