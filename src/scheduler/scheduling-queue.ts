import { invariant, unreachable } from '../base/status-error.ts';

const backoffFirstMs = 1_000;
const backoffMaxMs = 10_000;
const unschedulableMaxMs = 300_000; // it is tried again after so long even if nothing has changed

/**
 * Where a pod is that waits for a node.
 *
 *     active --take--> inFlight --found none--> unschedulable --cluster changed, or 5 min--> backingOff or active
 *        ^                |  '--failed, or the cluster changed meanwhile--> backingOff
 *        '--- back-off over, or nothing else to do ---------------------------'
 */
type State =
  | { readonly kind: 'active' }
  | { readonly kind: 'inFlight'; readonly changedMeanwhile: boolean }
  /** `mayBeEarly`: tried before its time when nothing else is active, as upstream does since 1.33; not after errors. */
  | { readonly kind: 'backingOff'; readonly untilMs: number; readonly mayBeEarly: boolean }
  | { readonly kind: 'unschedulable'; readonly backoffUntilMs: number; readonly flushAtMs: number };

interface Entry {
  readonly priority: number;
  readonly attempts: number;
  readonly state: State;
}

/**
 * The pods that wait for a node, by uid: the highest priority first, then first come, first served. Reads no clock:
 * every `nowMs` is `monoMs()`. Upstream: the scheduler's `PriorityQueue`.
 */
export class SchedulingQueue {
  readonly #entries = new Map<string, Entry>();
  readonly #activeByPriority = new Map<number, Set<string>>(); // exactly the active ones; no set is empty
  readonly #backingOff = new Set<string>(); // exactly those that back off
  #earliestDueMs = Number.POSITIVE_INFINITY; // no entry is due by time before this

  get length(): number {
    return this.#entries.size;
  }

  /** A pod is new, or has changed so that it may fit now: its back-off is forgiven. One that is in flight stays so. */
  add(uid: string, priority: number): void {
    const before = this.#entries.get(uid);
    if (before?.state.kind === 'inFlight') {
      this.#set(uid, { ...before, priority, state: { kind: 'inFlight', changedMeanwhile: true } });
    } else {
      this.#set(uid, { priority, attempts: before?.attempts ?? 0, state: { kind: 'active' } });
    }
  }

  /** It was bound, or is gone. */
  remove(uid: string): void {
    this.#unlist(uid);
    this.#entries.delete(uid);
  }

  /** The next pod to try; `undefined` if none is to be tried now. Give it back with `remove` or `failed`. */
  take(nowMs: number): string | undefined {
    this.#activateDue(nowMs);
    const uid = this.#firstActive() ?? this.#firstEarly();
    if (uid === undefined) return undefined;
    const entry = this.#entries.get(uid);
    invariant(entry !== undefined, `active pod ${uid} is not in the queue`);
    this.#set(uid, { ...entry, state: { kind: 'inFlight', changedMeanwhile: false } });
    return uid;
  }

  /** `unschedulable`: no node fits. `error`: a node was found, but something else failed. */
  failed(uid: string, why: 'unschedulable' | 'error', nowMs: number): void {
    const entry = this.#entries.get(uid);
    if (entry?.state.kind !== 'inFlight') return; // removed meanwhile, and perhaps added anew
    const untilMs = nowMs + Math.min(backoffMaxMs, backoffFirstMs * 2 ** Math.min(entry.attempts, 30));
    const attempts = entry.attempts + 1;
    const mayBeEarly = why === 'unschedulable';
    const state: State =
      why === 'error' || entry.state.changedMeanwhile
        ? { kind: 'backingOff', untilMs, mayBeEarly }
        : { kind: 'unschedulable', backoffUntilMs: untilMs, flushAtMs: nowMs + unschedulableMaxMs };
    this.#set(uid, { ...entry, attempts, state });
  }

  /** Something happened that may make room: every pod that found no node is tried again, after its back-off. */
  clusterChanged(nowMs: number): void {
    for (const [uid, entry] of this.#entries) this.#afterChange(uid, entry, nowMs);
  }

  /** When `take` is worth calling next if nothing happens before; infinite if never. */
  nextDueMs(): number {
    return this.#earliestDueMs;
  }

  #afterChange(uid: string, entry: Entry, nowMs: number): void {
    const { state } = entry;
    switch (state.kind) {
      case 'active':
      case 'backingOff':
        return;
      case 'inFlight':
        this.#set(uid, { ...entry, state: { kind: 'inFlight', changedMeanwhile: true } });
        return;
      case 'unschedulable':
        this.#set(uid, { ...entry, state: afterUnschedulable(state.backoffUntilMs, nowMs) });
        return;
      default:
        unreachable(state);
    }
  }

  #activateDue(nowMs: number): void {
    if (nowMs < this.#earliestDueMs) return;
    this.#earliestDueMs = Number.POSITIVE_INFINITY;
    for (const [uid, entry] of this.#entries) {
      if (dueAtMs(entry.state) <= nowMs) this.#set(uid, { ...entry, state: { kind: 'active' } });
      else this.#earliestDueMs = Math.min(this.#earliestDueMs, dueAtMs(entry.state));
    }
  }

  #firstActive(): string | undefined {
    if (this.#activeByPriority.size === 0) return undefined;
    const highest = Math.max(...this.#activeByPriority.keys());
    for (const uid of this.#activeByPriority.get(highest) ?? []) return uid;
    return undefined;
  }

  #firstEarly(): string | undefined {
    let first: { readonly uid: string; readonly untilMs: number } | undefined;
    for (const uid of this.#backingOff) {
      const state = this.#entries.get(uid)?.state;
      if (state?.kind !== 'backingOff' || !state.mayBeEarly) continue;
      if (first === undefined || state.untilMs < first.untilMs) first = { uid, untilMs: state.untilMs };
    }
    return first?.uid;
  }

  #set(uid: string, entry: Entry): void {
    this.#unlist(uid);
    this.#entries.set(uid, entry);
    this.#earliestDueMs = Math.min(this.#earliestDueMs, dueAtMs(entry.state));
    if (entry.state.kind === 'backingOff') this.#backingOff.add(uid);
    if (entry.state.kind !== 'active') return;
    const sameInPriority = this.#activeByPriority.get(entry.priority) ?? new Set();
    sameInPriority.add(uid);
    this.#activeByPriority.set(entry.priority, sameInPriority);
  }

  #unlist(uid: string): void {
    const entry = this.#entries.get(uid);
    this.#backingOff.delete(uid);
    if (entry?.state.kind !== 'active') return;
    const sameInPriority = this.#activeByPriority.get(entry.priority);
    sameInPriority?.delete(uid);
    if (sameInPriority?.size === 0) this.#activeByPriority.delete(entry.priority);
  }
}

function afterUnschedulable(backoffUntilMs: number, nowMs: number): State {
  if (backoffUntilMs <= nowMs) return { kind: 'active' };
  return { kind: 'backingOff', untilMs: backoffUntilMs, mayBeEarly: true };
}

/** When time alone moves it on; infinite for the others. */
function dueAtMs(state: State): number {
  switch (state.kind) {
    case 'active':
    case 'inFlight':
      return Number.POSITIVE_INFINITY;
    case 'backingOff':
      return state.untilMs;
    case 'unschedulable':
      return state.flushAtMs;
    default:
      return unreachable(state);
  }
}
