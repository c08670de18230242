import type { Pod, PodStatus } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { StatusError, hasReason, messageOf } from '../base/status-error.ts';
import { TaskScope } from '../base/task-scope.ts';
import { WorkQueue } from '../base/work-queue.ts';
import type { Client } from '../client/client.ts';
import { withTransitionTimes } from './pod-conditions.ts';
import { isTerminalPhase, podUidOf } from './pod-names.ts';
import { isMirrorPod } from './static-pod.ts';
import { sameStatus, statusPatch, statusToWrite } from './status-patch.ts';
import { formatTime } from '../api/time.ts';

const reconcileMs = 10_000; // upstream: syncPeriod
const writersMax = 8; // writes at a time, of different pods

interface Entry {
  readonly pod: Pod;
  readonly status: PodStatus;
  /** The newest copy from the API that a write answered with. */
  readonly answered: Pod | undefined;
  /** Nothing of it runs, and nothing will: its terminal phase may be shown, and its object deleted. */
  readonly isFinished: boolean;
  /** A write failed without telling whether it was done: the API has to be asked what it has. */
  readonly isUncertain: boolean;
  /** The final DELETE was accepted; what still holds the object is somebody's finalizer. */
  readonly isDeleteSent: boolean;
}

export interface StatusWriterDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Log;
  /**
   * What shows the pod in the API, as the informer has it: the pod itself, or the mirror of a static one. `undefined`:
   * nothing.
   */
  readonly podOf: (pod: Pod) => Pod | undefined;
}

/**
 * Holds the kubelet's own view of every pod's status, and brings it to the API: at once on a change, and every 10 s
 * what failed or drifted. Writes of one pod never overlap. Also sends the final DELETE of a finished pod (section
 * 7.1). Upstream: `status.Manager`.
 */
export class StatusWriter {
  readonly #deps: StatusWriterDeps;
  readonly #entries = new Map<string, Entry>(); // by pod uid
  #queue: WorkQueue<string> | undefined; // of pod uids; exists while running

  constructor(deps: StatusWriterDeps) {
    this.#deps = deps;
  }

  /** The kubelet's own view, which may not have reached the API yet. */
  statusOf(podUid: string): PodStatus | undefined {
    return this.#entries.get(podUid)?.status;
  }

  /** Takes over `status`, gives its conditions their times and the pod its start time; returns what is held now. */
  set(pod: Pod, status: PodStatus): PodStatus {
    const uid = podUidOf(pod);
    const entry = this.#entries.get(uid);
    const before = entry?.status ?? pod.status ?? {};
    const now = formatTime(this.#deps.clock.wallMs());
    const next: PodStatus = {
      ...status,
      startTime: before.startTime ?? status.startTime ?? now,
      conditions: withTransitionTimes(status.conditions ?? [], before.conditions ?? [], now),
    };
    const isDeleted = pod.metadata?.deletionTimestamp !== undefined;
    if (entry !== undefined && !isDeleted && sameStatus(entry.status, next)) {
      this.#entries.set(uid, { ...entry, pod });
      return entry.status;
    }
    this.#entries.set(uid, {
      pod,
      status: next,
      answered: entry?.answered,
      isUncertain: entry?.isUncertain ?? false,
      isFinished: entry?.isFinished ?? false,
      isDeleteSent: entry?.isDeleteSent ?? false,
    });
    this.#queue?.add(uid);
    return next;
  }

  /** Everything of the pod has ended; `status` is its last, with a terminal phase. */
  finish(pod: Pod, status: PodStatus): void {
    this.set(pod, status);
    const uid = podUidOf(pod);
    this.#amendEntry(uid, { isFinished: true });
    this.#queue?.add(uid);
  }

  isFinished(podUid: string): boolean {
    return this.#entries.get(podUid)?.isFinished === true;
  }

  /** What shows a pod in the API changed: a finished one may have been deleted, a mirror be new. */
  poke(pod: Pod): void {
    const uid = podUidOf(pod);
    this.#amendEntry(uid, { pod });
    this.#queue?.add(uid);
  }

  /** Changes parts of the held status in place: for readiness and startup results, which do not wait for a sync. */
  amend(podUid: string, change: (status: PodStatus, pod: Pod) => PodStatus): void {
    const entry = this.#entries.get(podUid);
    if (entry !== undefined) this.set(entry.pod, change(entry.status, entry.pod));
  }

  /** The object is gone. */
  forget(podUid: string): void {
    this.#entries.delete(podUid);
  }

  async run(signal: AbortSignal): Promise<void> {
    const scope = new TaskScope(signal);
    const queue = new WorkQueue<string>({ clock: this.#deps.clock, signal: scope.signal });
    this.#queue = queue;
    for (const uid of this.#entries.keys()) queue.add(uid);
    for (let i = 0; i < writersMax; i++) scope.start((inner) => this.#runWriter(queue, inner));
    try {
      for (;;) {
        await this.#deps.clock.sleep(reconcileMs, 'kubelet.status.reconcile', scope.signal);
        for (const [uid, entry] of this.#entries) if (this.#stepOf(entry).kind !== 'nothing') queue.add(uid);
        for (const [uid, entry] of this.#entries) this.#dropCopies(uid, entry);
      }
    } catch (error) {
      if (!scope.signal.aborted) throw error;
    } finally {
      this.#queue = undefined;
      await scope.close();
    }
  }

  async #runWriter(queue: WorkQueue<string>, signal: AbortSignal): Promise<void> {
    for (let uid = await queue.take(); uid !== undefined; uid = await queue.take()) {
      try {
        await this.#write(uid, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof StatusError)) throw error;
        // Tried again by the reconcile within 10 s.
        this.#deps.log.warn('podStatusNotWritten', { podUid: uid, error: messageOf(error) });
      } finally {
        queue.done(uid);
      }
    }
  }

  /** Writes until the API has what is held. */
  async #write(uid: string, signal: AbortSignal): Promise<void> {
    for (;;) {
      const entry = this.#entries.get(uid);
      if (entry === undefined) return;
      const step = this.#stepOf(entry);
      if (step.kind === 'nothing') return;
      const { pod } = step;
      const ref = { namespace: pod.metadata?.namespace ?? '', name: pod.metadata?.name ?? '' };
      try {
        if (entry.isUncertain) {
          const found = await this.#deps.client.get(resources.pods, ref, signal);
          if (podUidOf(found) !== podUidOf(pod)) return; // its successor of the same name
          this.#amendEntry(uid, { answered: found, isUncertain: false });
          continue;
        }
        if (step.kind === 'delete') {
          const options = { gracePeriodSeconds: 0, preconditions: { uid } };
          await this.#deps.client.delete(resources.pods, ref, options, signal);
          this.#amendEntry(uid, { isDeleteSent: true });
          return;
        }
        const body = { metadata: { uid: podUidOf(pod) }, status: step.patch };
        const statusRef = { ...ref, subresource: 'status' };
        const answer = await this.#deps.client.patch(resources.pods, statusRef, { type: 'strategic', body }, signal);
        this.#amendEntry(uid, { answered: answer });
        if (statusPatch(answer.status ?? {}, step.status) !== undefined) return; // the server saw it otherwise
      } catch (error) {
        // Gone, or another pod of the same name, maybe of another node: the informer will tell.
        if (hasReason(error, 'NotFound', 'Conflict', 'Forbidden')) return;
        this.#amendEntry(uid, { isUncertain: true });
        throw error;
      }
    }
  }

  /** Nothing happens if the pod was forgotten meanwhile. */
  #amendEntry(uid: string, change: Partial<Entry>): void {
    const entry = this.#entries.get(uid);
    if (entry !== undefined) this.#entries.set(uid, { ...entry, ...change });
  }

  /** Once the informer has what is held, older copies of the pod need not be kept beside its own. */
  #dropCopies(uid: string, entry: Entry): void {
    const known = this.#deps.podOf(entry.pod);
    if (known === undefined || newerOf(known, entry.answered) !== known) return;
    const pod = podUidOf(known) === uid ? known : entry.pod;
    if (pod === entry.pod && entry.answered === undefined) return;
    this.#entries.set(uid, { ...entry, pod, answered: undefined });
  }

  #stepOf(entry: Entry): WriteStep {
    const known = this.#deps.podOf(entry.pod);
    if (known === undefined) return { kind: 'nothing' };
    const pod = newerOf(known, entry.answered);
    const status = statusToWrite(pod, entry.status, !entry.isFinished);
    const patch = statusPatch(pod.status ?? {}, status);
    if (patch !== undefined) return { kind: 'patch', pod, status, patch };
    const isDeleted = pod.metadata?.deletionTimestamp !== undefined;
    const isDue = isDeleted && entry.isFinished && !entry.isDeleteSent && !isMirrorPod(pod); // it goes its own way
    if (isDue && isTerminalPhase(pod.status?.phase)) return { kind: 'delete', pod };
    return { kind: 'nothing' };
  }
}

type WriteStep =
  | { readonly kind: 'nothing' }
  | {
      readonly kind: 'patch';
      readonly pod: Pod;
      readonly status: PodStatus;
      readonly patch: Readonly<Record<string, unknown>>;
    }
  | { readonly kind: 'delete'; readonly pod: Pod };

function newerOf(known: Pod, answered: Pod | undefined): Pod {
  const version = (pod: Pod | undefined): number => Number(pod?.metadata?.resourceVersion ?? 0);
  return answered !== undefined && version(answered) > version(known) ? answered : known;
}
