import type { Node } from '../../api/gen/types.ts';
import { resources } from '../../api/resources.ts';
import type { ApiClient } from '../../client/api-client.ts';
import { clusterSettingsRef } from '../../api/cluster-settings.ts';
import { hasReason } from '../../base/status-error.ts';
import { DrillLog, drillLines } from '../../insight/drill.ts';
import type { DrillReport } from '../../insight/drill.ts';
import { isFailoverProfile } from '../../main/failover-profile.ts';
import type { FailoverProfile } from '../../main/failover-profile.ts';
import type { DrillObject, SimulatedDrillOptions } from '../../main/simulated-drill.ts';
import { connectionOver } from '../api-connection.ts';
import { CliError, throwCollected } from '../cli-error.ts';
import { timerNames } from '../cli-io.ts';
import { dataDirFlag, dataDirOf, findRunning } from '../livelet-home.ts';
import { readManifests } from '../manifests.ts';
import { ResourceTypes } from '../resource-types.ts';
import { filenameFlags } from '../verb-flags.ts';
import type { Verb, VerbCall } from '../verb.ts';

export const verb: Verb = {
  usage: `drill node NODE --simulate [-f FILENAME --nodes COUNT] [--partition] [--failover default|fast]
       livelet drill node NODE --yes [--data-dir DIR]`,
  help: `End a node on purpose, and print when its loss was noticed, when its pods were evicted, when each was Ready again,
and the outage in seconds.

With --simulate nothing is touched: the objects of the cluster (or of -f, on --nodes nodes named n1, n2, ...) are played
in virtual time, with the real control plane, scheduler and kubelets. Programs are taken to start at once and to pass
their probes.

Without it the process of the node, a "livelet node" of this computer with this data directory, is ended with SIGKILL.
Exit code 0: every pod that is to be replaced was. 1: some were not.`,
  connects: true,
  flags: [
    { name: 'simulate', kind: 'bool', help: 'In virtual time, on simulated machines.' },
    { name: 'partition', kind: 'bool', help: 'With --simulate: its network is cut, instead of its power.' },
    { name: 'nodes', kind: 'int', fallback: 3, help: 'With -f: how many nodes there are.' },
    { name: 'failover', kind: 'string', help: "With --simulate: default or fast. Default: the cluster's own." },
    { name: 'yes', kind: 'bool', help: 'Yes, end the node.' },
    { name: 'wait', kind: 'int', fallback: 600, help: 'Seconds to wait for the replacements.' },
    ...filenameFlags('to play'),
    dataDirFlag,
  ],
  run: runDrill,
};

const nodesMax = 1_000;

async function runDrill(call: VerbCall): Promise<number> {
  const { args, flags, io } = call;
  const [what, nodeName, ...more] = args;
  if (what !== 'node' || nodeName === undefined || more.length > 0) {
    throw new CliError('drill takes the word "node" and the name of one');
  }
  if (!flags.bool('simulate') && (flags.bool('partition') || flags.strings('filename').length > 0)) {
    throw new CliError('-f and --partition are for --simulate');
  }
  const report = flags.bool('simulate') ? await simulate(call, nodeName) : await endNode(call, nodeName);
  for (const line of drillLines(report)) io.out(`${line}\n`);
  return report.outageSeconds === undefined ? 1 : 0;
}

async function simulate(call: VerbCall, nodeName: string): Promise<DrillReport> {
  const { flags, signal } = call;
  const fromFiles = flags.strings('filename').length > 0;
  const failover = flags.optional('failover');
  if (failover !== undefined && !isFailoverProfile(failover)) {
    throw new CliError(`unknown failover profile ${JSON.stringify(failover)}: it can be default or fast`);
  }
  // Most of the program: other verbs start without it.
  const { readLive, simulateDrill } = await import('../../main/simulated-drill.ts');
  const loss: SimulatedDrillOptions['loss'] = flags.bool('partition') ? 'partition' : 'crash';
  if (fromFiles) {
    const objects = await readObjects(call);
    return await simulateDrill({
      nodeName,
      nodes: drawNodes(flags.int('nodes')),
      objects,
      loss,
      failover: failover ?? 'default',
    });
  }
  const { client } = call.connect();
  const live = await readLive(client, signal);
  const madeUnder = await profileOf(client, signal);
  return await simulateDrill({ nodeName, ...live, loss, failover: failover ?? madeUnder, madeUnder });
}

function drawNodes(count: number): readonly Node[] {
  if (count < 2 || count > nodesMax) throw new CliError(`--nodes ${count} is not between 2 and ${nodesMax}`);
  return Array.from({ length: count }, (_, index) => ({ metadata: { name: `n${index + 1}` } }));
}

async function readObjects(call: VerbCall): Promise<readonly DrillObject[]> {
  const { flags, io, signal } = call;
  const { startEmptyCluster } = await import('../../main/simulated-drill.ts');
  const empty = await startEmptyCluster();
  const place = { namespace: 'default', namespaceIsExplicit: false, timeoutMs: 0 };
  const types = new ResourceTypes(connectionOver(empty.client, place, io), io);
  const errors: unknown[] = [];
  const objects: DrillObject[] = [];
  const options = { recursive: flags.bool('recursive'), onError: (error: unknown) => void errors.push(error) };
  for await (const { type, object, name, namespace } of readManifests(
    flags.strings('filename'),
    options,
    { types, io },
    signal,
  )) {
    const home = type.namespaced ? { namespace: namespace === '' ? 'default' : namespace } : {};
    objects.push({ type, object: { ...object, metadata: { ...metadataOf(object), name, ...home } } });
  }
  await empty.close();
  throwCollected(errors);
  return objects;
}

function metadataOf(object: Readonly<Record<string, unknown>>): object {
  const { metadata } = object;
  return typeof metadata === 'object' && metadata !== null ? metadata : {};
}

/** What the control plane said of itself; a cluster of another make has upstream's numbers. */
async function profileOf(client: ApiClient, signal: AbortSignal): Promise<FailoverProfile> {
  try {
    const { data } = await client.get(resources.configmaps, clusterSettingsRef, signal);
    const profile = data?.['failover'] ?? '';
    return isFailoverProfile(profile) ? profile : 'default';
  } catch (error) {
    if (!hasReason(error, 'NotFound', 'Forbidden')) throw error;
    return 'default';
  }
}

/** Ends the process of the node and watches what becomes of its pods. */
async function endNode(call: VerbCall, nodeName: string): Promise<DrillReport> {
  const { flags, io, signal } = call;
  const dataDir = dataDirOf(flags, io);
  const running = findRunning(dataDir);
  if (running?.nodeName !== nodeName) {
    throw new CliError(`no process of node ${nodeName} of this computer runs on ${dataDir}; name its --data-dir`);
  }
  if (running.isNodeOnly !== true) {
    const text = `process ${running.pid} of node ${nodeName} is the API server too: without it nobody would notice the loss`;
    throw new CliError(`${text}; see --simulate`);
  }
  const { client } = call.connect();
  const { items: nodes } = await client.list(resources.nodes, {}, signal);
  if (!nodes.some(({ metadata }) => metadata?.name === nodeName)) throw new CliError(`nodes "${nodeName}" not found`);
  const others = nodes.filter(({ metadata, status }) => {
    const ready = status?.conditions?.find(({ type }) => type === 'Ready')?.status;
    return metadata?.name !== nodeName && ready === 'True';
  });
  if (others.length === 0) throw new CliError(`${nodeName} is the only node that is Ready: nothing can take its place`);
  if (!flags.bool('yes')) {
    throw new CliError(`this ends process ${running.pid} with SIGKILL, and with it node ${nodeName}; say --yes`);
  }
  const pods = await client.list(resources.pods, {}, signal);
  const log = new DrillLog(nodeName, pods.items);
  const done = new AbortController();
  const stop = (): void => done.abort(new Error('the drill is over'));
  signal.addEventListener('abort', stop, { once: true });
  const watching = [watchNodes(call, log, done.signal), watchPods(call, log, done.signal)];
  log.begin(io.clock.monoMs());
  process.kill(running.pid, 'SIGKILL');
  try {
    const untilMs = io.clock.monoMs() + flags.int('wait') * 1_000;
    while (!log.isOver && io.clock.monoMs() < untilMs && !signal.aborted) {
      await Promise.race([io.clock.sleep(200, timerNames.drillPoll, done.signal), ...watching]);
    }
  } finally {
    stop();
    signal.removeEventListener('abort', stop);
    await Promise.allSettled(watching);
  }
  signal.throwIfAborted();
  return log.report();
}

async function watchNodes({ io, connect }: VerbCall, log: DrillLog, signal: AbortSignal): Promise<void> {
  for await (const event of connect().client.watch(resources.nodes, {}, signal)) {
    if (event.type !== 'BOOKMARK') log.onNode(event.object, io.clock.monoMs());
  }
  if (!signal.aborted) throw new CliError('the watch of nodes broke off');
}

async function watchPods({ io, connect }: VerbCall, log: DrillLog, signal: AbortSignal): Promise<void> {
  for await (const event of connect().client.watch(resources.pods, {}, signal)) {
    if (event.type !== 'BOOKMARK') log.onPod(event.type, event.object, io.clock.monoMs());
  }
  if (!signal.aborted) throw new CliError('the watch of pods broke off');
}
