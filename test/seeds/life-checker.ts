import type { Pod } from '../../src/api/gen/types.ts';
import { invariant } from '../../src/base/status-error.ts';
import { podLabels } from '../../src/cri/runtime.ts';
import type { RuntimeContainerStatus } from '../../src/cri/runtime.ts';

/** What must hold at every moment of a run, whatever goes wrong. */
export class LifeChecker {
  readonly #running: () => readonly RuntimeContainerStatus[];
  #lastRevision = 0;
  readonly #restarts = new Map<string, number>(); // by pod uid and container; the highest seen
  readonly #terminal = new Set<string>(); // pod uids whose phase was Succeeded or Failed
  readonly #graces = new Map<string, number>(); // by pod uid; the last deletionGracePeriodSeconds seen
  readonly #gone = new Set<string>(); // pod uids that left the API

  constructor(running: () => readonly RuntimeContainerStatus[]) {
    this.#running = running;
  }

  /** A change, as a watch of all pods delivers it. */
  onEvent(type: 'ADDED' | 'MODIFIED' | 'DELETED', pod: Pod): void {
    const uid = pod.metadata?.uid ?? '';
    const name = pod.metadata?.name ?? '';
    const revision = Number(pod.metadata?.resourceVersion);
    invariant(revision > this.#lastRevision, `${name}: revision ${revision} after ${this.#lastRevision}`);
    this.#lastRevision = revision;
    this.#checkCounts(uid, name, pod);
    const phase = pod.status?.phase ?? '';
    const isTerminal = phase === 'Succeeded' || phase === 'Failed';
    invariant(isTerminal || !this.#terminal.has(uid), `${name}: phase ${phase} after it had ended`);
    if (isTerminal) this.#terminal.add(uid);
    const grace = pod.metadata?.deletionGracePeriodSeconds;
    const before = this.#graces.get(uid);
    if (grace !== undefined && before !== undefined) {
      invariant(grace <= before, `${name}: grace period went from ${before} to ${grace}`);
    }
    if (grace !== undefined) this.#graces.set(uid, grace);
    if (type !== 'DELETED') return;
    this.#gone.add(uid);
    const left = this.#running().filter(({ labels }) => labels[podLabels.podUid] === uid);
    invariant(
      left.length === 0,
      `${name}: left the API while ${left.map(({ metadata }) => metadata.name).join(' ')} ran`,
    );
  }

  #checkCounts(uid: string, name: string, pod: Pod): void {
    const statuses = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])];
    for (const status of statuses) {
      const key = `${uid} ${status.name}`;
      const before = this.#restarts.get(key) ?? 0;
      const now = status.restartCount;
      invariant(now >= before, `${name}: restarts of ${status.name} fell from ${before} to ${now}`);
      this.#restarts.set(key, now);
    }
  }

  /** Between two timers. */
  check(): void {
    const live = new Set<string>();
    for (const { metadata, labels } of this.#running()) {
      const uid = labels[podLabels.podUid] ?? '';
      const key = `${uid} ${metadata.name}`;
      invariant(!live.has(key), `second live container ${labels[podLabels.podName]}/${metadata.name}`);
      live.add(key);
      invariant(!this.#gone.has(uid), `container ${key} runs, but its pod has left the API`);
    }
  }
}
