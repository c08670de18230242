import type { Node, Pod } from '../../api/gen/types.ts';
import { resources } from '../../api/resources.ts';
import { StatusError, hasReason } from '../../base/status-error.ts';
import type { TaskScope } from '../../base/task-scope.ts';
import type { Informer } from '../../client/informer.ts';
import { disruptPod } from '../disruption-target.ts';
import type { Disruption } from '../disruption-target.ts';
import { hasEnded } from '../owned-pods/pod-readiness.ts';
import type { ControllerDeps } from '../run-controller.ts';

const periodMs = 20_000;
const quarantineMs = 40_000; // the node may only not have come into the cache yet, or may be made anew
const terminatedPodsMax = 12_500;
const outOfServiceTaint = 'node.kubernetes.io/out-of-service';
const nodeGone: Disruption = {
  reason: 'DeletionByPodGC',
  message: 'PodGC: node no longer exists',
  phase: 'Failed',
  gracePeriodSeconds: 0,
};

export interface PodGcDeps extends ControllerDeps {
  readonly nodes: Informer<Node>;
  readonly pods: Informer<Pod>;
}

/**
 * Removes the pods that nobody else will: of nodes that are gone or out of service, deleted before they had a node, and
 * terminated ones when there are too many. Upstream: the pod garbage collector (section 8.5).
 */
export function startPodGc(scope: TaskScope, deps: PodGcDeps): void {
  const collector = new PodGc(deps);
  scope.start(async (signal) => {
    await deps.nodes.synced(signal);
    await deps.pods.synced(signal);
    for (;;) {
      await deps.clock.sleep(periodMs, 'podGc.period', signal);
      await collector.collect(signal);
    }
  });
}

class PodGc {
  readonly #deps: PodGcDeps;
  readonly #missingSinceMonoMs = new Map<string, number>(); // names of nodes that pods name and nobody knows

  constructor(deps: PodGcDeps) {
    this.#deps = deps;
  }

  async collect(signal: AbortSignal): Promise<void> {
    const pods = this.#deps.pods.list();
    for (const pod of excessTerminated(pods)) {
      await this.#guard(pod, () => this.#delete(pod, signal), signal);
    }
    for (const pod of pods.filter((one) => isOutOfService(one, this.#deps.nodes))) {
      await this.#guard(pod, () => this.#delete(pod, signal), signal);
    }
    const lost = await this.#lostNodes(pods, signal);
    for (const pod of pods.filter(({ spec }) => lost.has(spec?.nodeName ?? ''))) {
      await this.#guard(pod, () => this.#endOrphan(pod, signal), signal);
    }
    for (const pod of pods.filter(
      ({ metadata, spec }) => metadata?.deletionTimestamp !== undefined && !spec?.nodeName,
    )) {
      await this.#guard(pod, () => this.#delete(pod, signal), signal);
    }
  }

  /** Nodes that pods are bound to and that have been gone for long enough, with a look at the API itself. */
  async #lostNodes(pods: readonly Pod[], signal: AbortSignal): Promise<ReadonlySet<string>> {
    const { clock, client, nodes } = this.#deps;
    const missing = new Set<string>();
    for (const { spec } of pods) {
      const name = spec?.nodeName ?? '';
      if (name !== '' && nodes.get('', name) === undefined) missing.add(name);
    }
    for (const name of this.#missingSinceMonoMs.keys()) if (!missing.has(name)) this.#missingSinceMonoMs.delete(name);
    const lost = new Set<string>();
    for (const name of missing) {
      const sinceMonoMs = this.#missingSinceMonoMs.get(name) ?? clock.monoMs();
      this.#missingSinceMonoMs.set(name, sinceMonoMs);
      if (clock.monoMs() - sinceMonoMs < quarantineMs) continue;
      try {
        await client.get(resources.nodes, { name }, signal);
      } catch (error) {
        if (signal.aborted || !(error instanceof StatusError)) throw error;
        if (error.reason === 'NotFound') lost.add(name);
      }
    }
    return lost;
  }

  async #endOrphan(pod: Pod, signal: AbortSignal): Promise<void> {
    this.#deps.log.info('orphanedPodDeleted', { pod: pod.metadata?.name, node: pod.spec?.nodeName });
    if (hasEnded(pod)) await this.#delete(pod, signal);
    else await disruptPod(this.#deps, pod, nodeGone, signal);
  }

  async #delete(pod: Pod, signal: AbortSignal): Promise<void> {
    const { namespace = '', name = '', uid = '' } = pod.metadata ?? {};
    const options = { gracePeriodSeconds: 0, preconditions: { uid } };
    try {
      await this.#deps.client.delete(resources.pods, { namespace, name }, options, signal);
    } catch (error) {
      if (!hasReason(error, 'NotFound', 'Conflict')) throw error;
    }
  }

  /** What cannot be deleted now is tried again in the next round. */
  async #guard(pod: Pod, body: () => Promise<void>, signal: AbortSignal): Promise<void> {
    try {
      await body();
    } catch (error) {
      if (signal.aborted || !(error instanceof StatusError)) throw error;
      this.#deps.log.warn('podNotCollected', { pod: pod.metadata?.name, reason: error.reason, error: error.message });
    }
  }
}

/** Those above the limit: evicted ones first, then the oldest. */
function excessTerminated(pods: readonly Pod[]): readonly Pod[] {
  const terminated = pods.filter(hasEnded);
  const excess = terminated.length - terminatedPodsMax;
  if (excess <= 0) return [];
  const rank = ({ status }: Pod): number => (status?.reason === 'Evicted' ? 0 : 1);
  const created = ({ metadata }: Pod): string => metadata?.creationTimestamp ?? '';
  terminated.sort((a, b) => rank(a) - rank(b) || compare(created(a), created(b)) || compare(nameOf(a), nameOf(b)));
  return terminated.slice(0, excess);
}

function nameOf({ metadata }: Pod): string {
  return metadata?.name ?? '';
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** Its node is down, and somebody has said that it stays so. */
function isOutOfService({ metadata, spec }: Pod, nodes: Informer<Node>): boolean {
  if (metadata?.deletionTimestamp === undefined) return false;
  const node = nodes.get('', spec?.nodeName ?? '');
  const isReady = node?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
  return isReady === false && node?.spec?.taints?.some(({ key }) => key === outOfServiceTaint) === true;
}
