import type { Node, Pod } from '../../../src/api/gen/types.ts';
import { quantityMilliValue, quantityOf } from '../../../src/api/quantity.ts';
import { invariant } from '../../../src/base/status-error.ts';
import { podLabels } from '../../../src/cri/runtime.ts';
import type { SimulatedNode } from '../../../src/main/simulated-node.ts';

/** A kubelet that reaches the server ends what the API no longer has; a hung stop and a late start take their time. */
const strayMsMax = 240_000;
/** A binding may cross the end of its node. */
const bindingMsMax = 10_000;
const nodeCpuMilli = 2_000;
/** The longest back-off of the scheduler, a preemption on its way, and a slow store. */
const idleRoomMsMax = 60_000;

/** What holds between the nodes of a cluster at every moment, whatever goes wrong. */
export class ClusterChecker {
  /** Called after each change of a pod. */
  afterPod: () => void = () => {};
  readonly #nowMs: () => number;
  readonly #pods = new Map<string, Pod>(); // by uid, as the API has them
  readonly #goneMs = new Map<string, number>(); // by pod uid
  readonly #nodes = new Map<string, number | undefined>(); // by name: when it left the API
  readonly #ranges = new Map<string, string>(); // by uid of a node that has a pod CIDR
  readonly #open = new Set<string>(); // names of nodes that take pods
  readonly #roomMs = new Map<string, number>(); // by pod uid: since when there has been room for it, and it waits
  #mayLose = false; // the scheduler may be late to know what is
  /** Bindings to nodes of which the watch has not told yet: nodes and pods come by two watches. */
  readonly #unknown = new Map<string, string>();
  readonly #reachedMs = new Map<string, number>(); // by node name: since when its kubelet works and reaches the server

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  get pods(): readonly Pod[] {
    return [...this.#pods.values()];
  }

  onNode(type: 'ADDED' | 'MODIFIED' | 'DELETED', node: Node): void {
    const name = node.metadata?.name ?? '';
    this.#checkRange(type, node);
    this.#nodes.set(name, type === 'DELETED' ? this.#nowMs() : undefined);
    if (type !== 'DELETED' && takesPods(node)) this.#open.add(name);
    else this.#open.delete(name);
  }

  onPod(type: 'ADDED' | 'MODIFIED' | 'DELETED', pod: Pod): void {
    const { uid = '', name = '' } = pod.metadata ?? {};
    const before = this.#pods.get(uid);
    const nodeName = pod.spec?.nodeName ?? '';
    const was = before?.spec?.nodeName ?? '';
    invariant(was === '' || was === nodeName, `${name} moved from ${was} to ${nodeName}`);
    if (was === '' && nodeName !== '') this.#checkBinding(name, nodeName);
    if (type === 'DELETED') {
      this.#pods.delete(uid);
      this.#goneMs.set(uid, this.#nowMs());
    } else {
      this.#pods.set(uid, pod);
    }
    this.afterPod();
  }

  /** A node's range is its own, and stays. */
  #checkRange(type: 'ADDED' | 'MODIFIED' | 'DELETED', { metadata, spec }: Node): void {
    const [uid, range] = [metadata?.uid ?? '', spec?.podCIDR ?? ''];
    const before = this.#ranges.get(uid) ?? '';
    invariant(before === '' || before === range, `${metadata?.name} had pod CIDR ${before} and has ${range}`);
    this.#ranges.delete(uid);
    if (type === 'DELETED' || range === '') return;
    invariant(![...this.#ranges.values()].includes(range), `two nodes have pod CIDR ${range}`);
    this.#ranges.set(uid, range);
  }

  #checkBinding(name: string, nodeName: string): void {
    if (!this.#nodes.has(nodeName)) this.#unknown.set(name, nodeName);
    const goneMs = this.#nodes.get(nodeName);
    const isLate = !this.#mayLose && goneMs !== undefined && this.#nowMs() - goneMs > bindingMsMax;
    invariant(!isLate, `${name} was bound to ${nodeName}, which is gone`);
  }

  /**
   * Between two timers. `isReached`: its kubelet works, and nothing lies between it and the server. `mayLose`: the
   * scheduler may not learn what is, or cannot say what it wants.
   */
  check(nodes: readonly SimulatedNode[], isReached: (node: SimulatedNode) => boolean, mayLose: boolean): void {
    const nowMs = this.#nowMs();
    this.#mayLose = mayLose;
    for (const [name, nodeName] of this.#unknown) {
      invariant(this.#nodes.has(nodeName), `${name} was bound to ${nodeName}, which never was`);
    }
    this.#unknown.clear();
    for (const node of nodes) {
      if (isReached(node)) this.#reachedMs.set(node.name, this.#reachedMs.get(node.name) ?? nowMs);
      else this.#reachedMs.delete(node.name);
      const reachedMs = this.#reachedMs.get(node.name);
      for (const { labels } of node.runtime.runningContainers()) {
        const uid = labels[podLabels.podUid] ?? '';
        if (this.#pods.has(uid) || reachedMs === undefined) continue;
        const strayMs = nowMs - Math.max(reachedMs, this.#goneMs.get(uid) ?? 0);
        const name = labels[podLabels.podName];
        invariant(strayMs <= strayMsMax, `${node.name} runs ${name} ${strayMs} ms after it left the API`);
      }
    }
    this.#checkRoom();
    if (mayLose) this.#roomMs.clear();
    else this.#checkIdle(nowMs);
  }

  /** The requests of what is on each node. */
  #checkRoom(): void {
    for (const [nodeName, total] of this.#usedMilli(({ spec }) => spec?.nodeName)) {
      invariant(total <= nodeCpuMilli, `pods ask for ${total} milli-CPUs of ${nodeName}`);
    }
  }

  /** No pod waits for long while a node has room for it. Room that others wait for on a node of theirs is taken. */
  #checkIdle(nowMs: number): void {
    const used = this.#usedMilli(({ spec, status }) => spec?.nodeName ?? status?.nominatedNodeName);
    const mostFree = Math.max(0, ...[...this.#open].map((name) => nodeCpuMilli - (used.get(name) ?? 0)));
    for (const [uid, { metadata, spec, status }] of this.#pods) {
      const isWaiting = spec?.nodeName === undefined && metadata?.deletionTimestamp === undefined;
      const mayGoAnywhere = spec?.affinity === undefined && (status?.nominatedNodeName ?? '') === '';
      if (!isWaiting || !mayGoAnywhere || cpuMilliOf(spec) > mostFree) {
        this.#roomMs.delete(uid);
        continue;
      }
      const sinceMs = this.#roomMs.get(uid) ?? nowMs;
      this.#roomMs.set(uid, sinceMs);
      invariant(nowMs - sinceMs <= idleRoomMsMax, `${metadata?.name} waits though a node has ${mostFree} milli-CPUs`);
    }
    for (const uid of this.#roomMs.keys()) if (!this.#pods.has(uid)) this.#roomMs.delete(uid);
  }

  #usedMilli(nodeOf: (pod: Pod) => string | undefined): ReadonlyMap<string, number> {
    const used = new Map<string, number>();
    for (const pod of this.#pods.values()) {
      const nodeName = nodeOf(pod);
      const { phase } = pod.status ?? {};
      if (nodeName === undefined || phase === 'Succeeded' || phase === 'Failed') continue;
      used.set(nodeName, (used.get(nodeName) ?? 0) + cpuMilliOf(pod.spec));
    }
    return used;
  }

  /** Those that count for what controls them: not on their way out, not ended. */
  activeOf(app: string): readonly Pod[] {
    return this.pods.filter(
      ({ metadata, status }) =>
        metadata?.labels?.['app'] === app &&
        metadata.deletionTimestamp === undefined &&
        status?.phase !== 'Succeeded' &&
        status?.phase !== 'Failed',
    );
  }
}

function cpuMilliOf(spec: Pod['spec']): number {
  return (spec?.containers ?? []).reduce(
    (sum, { resources }) => sum + quantityMilliValue(quantityOf(resources?.requests?.['cpu'])),
    0,
  );
}

function takesPods({ metadata, spec, status }: Node): boolean {
  const isReady = status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True');
  const { taints = [], unschedulable = false } = spec ?? {};
  return isReady === true && taints.length === 0 && !unschedulable && metadata?.deletionTimestamp === undefined;
}
