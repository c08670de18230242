import { CliError } from '../cli-error.ts';
import { detachFlag, givenFlags, runHosted, shellQuoted, type HostedVerb } from '../host-process.ts';
import { dataDirFlag } from '../livelet-home.ts';
import { checkServerFlags, serverFlags, serverOptions } from '../server-flags.ts';
import type { Verb } from '../verb.ts';

export const verb: Verb = {
  usage:
    'server [--data-dir DIR] [--port N] [--bind ADDRESS] [--advertise HOST] [--failover default|fast] [--cluster-cidr CIDR] [--detach]',
  help: `Start a control plane in this process, without a node: API server, scheduler and controllers. Nodes join it with
"livelet token create" and "livelet node". Prints one line when it answers, and runs until Ctrl-C or SIGTERM. Objects
stay in the data directory.`,
  connects: false,
  flags: [dataDirFlag, ...serverFlags, detachFlag],
  run: (call) => runHosted(call, hosted),
};

const hosted: HostedVerb = {
  name: 'server',
  what: 'server',
  check({ args, flags }) {
    if (args.length > 0) throw new CliError(`server takes no arguments: ${args.join(' ')}`);
    checkServerFlags(flags);
  },
  async start({ flags }, dataDir, log) {
    const options = await serverOptions(flags);
    const { startServer } = await import('../../main/server.ts');
    return await startServer({ ...options, dataDir, log });
  },
  readyLine: ({ url, kubeconfigPath }) =>
    `API server is ready at ${url}; export KUBECONFIG=${shellQuoted(kubeconfigPath)}\n`,
  passedOn: (call) => givenFlags(call, ['port', 'bind', 'advertise', 'failover', 'cluster-cidr']),
};
