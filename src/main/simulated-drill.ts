import type { Node, Pod, PodSpec } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import type { KubernetesObject, ResourceType } from '../api/resources.ts';
import { StatusError, hasReason } from '../base/status-error.ts';
import type { Client } from '../client/client.ts';
import { assumedPrograms } from '../insight/assumed-programs.ts';
import { DrillLog } from '../insight/drill.ts';
import type { DrillReport } from '../insight/drill.ts';
import { failoverNumbers } from './failover.ts';
import type { FailoverProfile } from './failover-profile.ts';
import { settled, startSimulatedCluster } from './simulated-cluster.ts';
import type { SimulatedCluster } from './simulated-cluster.ts';

/** An object to begin with, of a kind that this cluster serves. */
export interface DrillObject {
  readonly type: ResourceType;
  readonly object: KubernetesObject;
}

export interface SimulatedDrillOptions {
  /** The one that is lost. */
  readonly nodeName: string;
  readonly nodes: readonly Node[];
  /** Workloads and what they need; pods that say which node they are on stay there. */
  readonly objects: readonly DrillObject[];
  readonly failover: FailoverProfile;
  /**
   * Profile of the cluster that `objects` come from: what it gave pods to tolerate by itself they get anew from
   * `failover`. Default: all stays as it is in them.
   */
  readonly madeUnder?: FailoverProfile;
  /** What happens to it. */
  readonly loss: 'crash' | 'partition';
}

const startMsMax = 300_000;
const lookMs = 1_000;
const watchMsMax = 1_200_000;
const never = new AbortController().signal;

/** Kinds that a drill takes from a live cluster, in the order in which they are made. */
export const drillTypes: readonly ResourceType[] = [
  resources.namespaces,
  resources.priorityclasses,
  resources.configmaps,
  resources.secrets,
  resources.serviceaccounts,
  resources.pods,
  resources.replicasets,
  resources.replicationcontrollers,
  resources.deployments,
  resources.daemonsets,
];

/**
 * Plays the loss of a node in virtual time: the real control plane, scheduler and kubelets, on simulated machines whose
 * programs pass their probes. Takes some milliseconds for each virtual second.
 */
export async function simulateDrill(options: SimulatedDrillOptions): Promise<DrillReport> {
  const { nodeName, nodes, failover, loss, madeUnder = failover } = options;
  const objects =
    madeUnder === failover
      ? options.objects
      : options.objects.map((object) => withoutGivenTolerations(object, madeUnder));
  if (!nodes.some(({ metadata }) => metadata?.name === nodeName)) {
    throw new StatusError('NotFound', `nodes "${nodeName}" not found`);
  }
  if (nodes.length < 2) throw new StatusError('Conflict', `${nodeName} is the only node: nothing can take its place`);
  const cluster = await startSimulatedCluster('drill', {
    nodes: nodes.map(({ metadata, status }) => ({
      name: metadata?.name ?? '',
      labels: metadata?.labels ?? {},
      ...(status?.allocatable === undefined ? {} : { capacity: { pods: '110', ...status.allocatable } }),
    })),
    failover,
    ...assumedPrograms(specsOf(objects)),
  });
  try {
    await taint(cluster, nodes);
    for (const type of drillTypes) await makeAll(cluster, type, objects);
    await untilReady(cluster);
    return await lose(cluster, nodeName, loss);
  } finally {
    await cluster.close();
  }
}

async function lose(
  { clock, client, scope, node }: SimulatedCluster,
  nodeName: string,
  loss: SimulatedDrillOptions['loss'],
): Promise<DrillReport> {
  const log = new DrillLog(nodeName, (await settled(clock, client.list(resources.pods, {}, never))).items);
  scope.start(async (signal) => {
    for await (const event of client.watch(resources.nodes, {}, signal)) {
      if (event.type !== 'BOOKMARK') log.onNode(event.object, clock.monoMs());
    }
  });
  scope.start(async (signal) => {
    for await (const event of client.watch(resources.pods, {}, signal)) {
      if (event.type !== 'BOOKMARK') log.onPod(event.type, event.object, clock.monoMs());
    }
  });
  await clock.advance(lookMs);
  log.begin(clock.monoMs());
  if (loss === 'crash') node(nodeName).powerOff();
  else node(nodeName).partition();
  for (let ms = 0; ms < watchMsMax && !log.isOver; ms += lookMs) await clock.advance(lookMs);
  return log.report();
}

function specsOf(objects: readonly DrillObject[]): readonly PodSpec[] {
  return objects.flatMap(({ object }): readonly PodSpec[] => {
    // Each kind that has a spec with containers, or a template with one; others have neither.
    const { spec } = object as { readonly spec?: PodSpec & { readonly template?: { readonly spec?: PodSpec } } };
    if (spec?.template?.spec !== undefined) return [spec.template.spec];
    return Array.isArray(spec?.containers) ? [spec] : [];
  });
}

async function taint({ clock, client }: SimulatedCluster, nodes: readonly Node[]): Promise<void> {
  for (const { metadata, spec } of nodes) {
    const taints = (spec?.taints ?? []).filter(({ key }) => !key.startsWith('node.kubernetes.io/'));
    const body = { spec: { taints, unschedulable: spec?.unschedulable ?? false } };
    await settled(clock, client.patch(resources.nodes, { name: metadata?.name ?? '' }, { type: 'merge', body }, never));
  }
}

/** Without what a server gives to an object; what it controls is found again by its labels. */
async function makeAll(
  { clock, client }: SimulatedCluster,
  type: ResourceType,
  objects: readonly DrillObject[],
): Promise<void> {
  for (const { object } of objects.filter((one) => one.type === type)) {
    const { metadata } = object;
    const { name, namespace, labels, annotations } = metadata ?? {};
    const kept = { ...(name === undefined ? {} : { name }), labels: labels ?? {}, annotations: annotations ?? {} };
    const fresh = { ...object, metadata: kept, status: undefined };
    const making = client.create(type, namespace === undefined ? {} : { namespace }, fresh, never);
    await settled(
      clock,
      making.catch((error: unknown) => {
        if (!hasReason(error, 'AlreadyExists')) throw error; // the cluster has it from the start
      }),
    );
    // Their service account comes a moment later.
    if (type === resources.namespaces) await clock.advance(200);
  }
}

async function untilReady({ clock, client }: SimulatedCluster): Promise<void> {
  let waiting: readonly Pod[] = [];
  for (let ms = 0; ms < startMsMax; ms += lookMs) {
    await clock.advance(lookMs);
    const { items } = await settled(clock, client.list(resources.pods, {}, never));
    waiting = items.filter(
      ({ spec, status }) =>
        spec?.nodeName !== undefined &&
        status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') !== true,
    );
    if (ms >= 2 * lookMs && waiting.length === 0) return;
  }
  const names = waiting.map(({ metadata }) => metadata?.name).join(', ');
  throw new StatusError('Timeout', `in the simulation, these pods do not become Ready: ${names}`);
}

/** An API server that serves our kinds and has no nodes: tells what manifests may name where there is no cluster. */
export function startEmptyCluster(): Promise<SimulatedCluster> {
  return startSimulatedCluster('empty', { nodes: [] });
}

/** What a drill needs of a live cluster. Terminated pods and those on their way out are left out. */
export async function readLive(
  client: Client,
  signal: AbortSignal,
): Promise<{ readonly nodes: readonly Node[]; readonly objects: readonly DrillObject[] }> {
  const objects: DrillObject[] = [];
  for (const type of drillTypes) {
    const { items } = await client.list(type, {}, signal);
    objects.push(...items.filter(isLive).map((object) => ({ type, object })));
  }
  return { nodes: (await client.list(resources.nodes, {}, signal)).items, objects };
}

/** A pod as it was before the server of its cluster added how long it stays on a node that is lost. */
function withoutGivenTolerations({ type, object }: DrillObject, madeUnder: FailoverProfile): DrillObject {
  if (type !== resources.pods) return { type, object };
  // The type says so.
  const pod = object as Pod;
  const { notReady, unreachable } = failoverNumbers[madeUnder].evictionSeconds;
  const given = new Map([
    ['node.kubernetes.io/not-ready', notReady],
    ['node.kubernetes.io/unreachable', unreachable],
  ]);
  const tolerations = pod.spec?.tolerations?.filter(
    ({ key = '', effect, tolerationSeconds }) =>
      effect !== 'NoExecute' || tolerationSeconds === undefined || given.get(key) !== tolerationSeconds,
  );
  if (pod.spec === undefined || tolerations === undefined) return { type, object };
  const changed: Pod = { ...pod, spec: { ...pod.spec, tolerations } };
  return { type, object: changed };
}

function isLive(object: KubernetesObject): boolean {
  // A phase is what pods and namespaces have.
  const { status } = object as { readonly status?: { readonly phase?: string } };
  const isOver = status?.phase === 'Succeeded' || status?.phase === 'Failed';
  return object.metadata?.deletionTimestamp === undefined && !isOver;
}
