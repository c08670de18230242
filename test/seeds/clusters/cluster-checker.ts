import type { Pod } from '../../../src/api/gen/types.ts';
import type { KubernetesObject } from '../../../src/api/resources.ts';
import { quantityMilliValue, quantityOf } from '../../../src/api/quantity.ts';
import { invariant } from '../../../src/base/status-error.ts';
import { podLabels } from '../../../src/cri/runtime.ts';
import type { SimulatedNode } from '../../../src/main/simulated-node.ts';

/** A kubelet that reaches the server ends what the API no longer has; a hung stop and a late start take their time. */
const strayMsMax = 240_000;
/** A binding may cross the end of its node. */
const bindingMsMax = 10_000;
const nodeCpuMilli = 2_000;

/** What holds between the nodes of a cluster at every moment, whatever goes wrong. */
export class ClusterChecker {
  /** Called after each change of a pod. */
  afterPod: () => void = () => {};
  readonly #nowMs: () => number;
  readonly #pods = new Map<string, Pod>(); // by uid, as the API has them
  readonly #goneMs = new Map<string, number>(); // by pod uid
  readonly #nodes = new Map<string, number | undefined>(); // by name: when it left the API
  /** Bindings to nodes of which the watch has not told yet: nodes and pods come by two watches. */
  readonly #unknown = new Map<string, string>();
  readonly #reachedMs = new Map<string, number>(); // by node name: since when its kubelet works and reaches the server

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  get pods(): readonly Pod[] {
    return [...this.#pods.values()];
  }

  onNode(type: 'ADDED' | 'MODIFIED' | 'DELETED', { metadata }: KubernetesObject): void {
    this.#nodes.set(metadata?.name ?? '', type === 'DELETED' ? this.#nowMs() : undefined);
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

  #checkBinding(name: string, nodeName: string): void {
    if (!this.#nodes.has(nodeName)) this.#unknown.set(name, nodeName);
    const goneMs = this.#nodes.get(nodeName);
    const isLate = goneMs !== undefined && this.#nowMs() - goneMs > bindingMsMax;
    invariant(!isLate, `${name} was bound to ${nodeName}, which is gone`);
  }

  /** Between two timers. `isReached`: its kubelet works, and nothing lies between it and the server. */
  check(nodes: readonly SimulatedNode[], isReached: (node: SimulatedNode) => boolean): void {
    const nowMs = this.#nowMs();
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
  }

  #checkRoom(): void {
    const used = new Map<string, number>();
    for (const { spec, status } of this.#pods.values()) {
      const nodeName = spec?.nodeName;
      if (nodeName === undefined || status?.phase === 'Succeeded' || status?.phase === 'Failed') continue;
      const milli = (spec?.containers ?? []).reduce(
        (sum, { resources }) => sum + quantityMilliValue(quantityOf(resources?.requests?.['cpu'])),
        0,
      );
      const total = (used.get(nodeName) ?? 0) + milli;
      invariant(total <= nodeCpuMilli, `pods ask for ${total} milli-CPUs of ${nodeName}`);
      used.set(nodeName, total);
    }
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
