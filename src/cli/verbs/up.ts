import { CliError } from '../cli-error.ts';
import { detachFlag, givenFlags, runHosted, shellQuoted, type HostedVerb } from '../host-process.ts';
import { dataDirFlag } from '../livelet-home.ts';
import { givenManifests, manifestsFlag, manifestsWords } from '../manifests-flag.ts';
import { podRoutesFlag } from '../pod-routes-flag.ts';
import { checkedRuntime, runtimeFlag } from '../runtime-flag.ts';
import { checkServerFlags, serverFlags, serverOptions } from '../server-flags.ts';
import type { Verb } from '../verb.ts';

export const verb: Verb = {
  usage:
    'up [--data-dir DIR] [--port N] [--bind ADDRESS] [--advertise HOST] [--failover default|fast] [--cluster-cidr CIDR] [--node-name NAME] [--manifests DIR] [--runtime process|cri|unix:///SOCKET] [--detach]',
  help: `Start a cluster in this process: API server, scheduler, controllers and one node. Prints one line when the node is Ready,
and runs until Ctrl-C or SIGTERM: then pods are ended gracefully (a second signal ends at once). Objects stay in the
data directory. Real containers (--runtime cri or unix:///...) run on, and the next up takes them over. Other nodes
join it with "livelet token create" and "livelet node".`,
  connects: false,
  flags: [
    dataDirFlag,
    ...serverFlags,
    { name: 'node-name', kind: 'string', help: "Name of the node. Default: this computer's host name." },
    manifestsFlag,
    runtimeFlag,
    podRoutesFlag,
    detachFlag,
  ],
  run: (call) => runHosted(call, hosted),
};

const hosted: HostedVerb = {
  name: 'up',
  what: 'cluster',
  check({ args, flags }) {
    if (args.length > 0) throw new CliError(`up takes no arguments: ${args.join(' ')}`);
    checkedRuntime(flags);
    checkServerFlags(flags);
  },
  async start({ flags }, dataDir, log) {
    const nodeName = flags.optional('node-name');
    const options = {
      ...(await serverOptions(flags)),
      dataDir,
      runtime: checkedRuntime(flags),
      podRoutes: flags.bool('pod-routes'),
      log,
      ...givenManifests(flags),
    };
    // Loaded here, since it is most of the program: other verbs start without it.
    const { startCluster } = await import('../../main/cluster.ts');
    return await startCluster({ ...options, ...(nodeName === undefined ? {} : { nodeName }) });
  },
  /** The path itself: `livelet` is not on the PATH of who came by npx. */
  readyLine: ({ nodeName, url, kubeconfigPath }) =>
    `node ${nodeName} is Ready, API server at ${url}; export KUBECONFIG=${shellQuoted(kubeconfigPath)}\n`,
  passedOn: (call) => [
    ...givenFlags(call, [
      'port',
      'bind',
      'advertise',
      'failover',
      'cluster-cidr',
      'node-name',
      'runtime',
      'pod-routes',
    ]),
    ...manifestsWords(call.flags),
  ],
};
