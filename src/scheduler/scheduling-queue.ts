import { invariant, unreachable } from '../base/status-error.ts';

const backoffFirstMs = 1_000;
const backoffMaxMs = 10_000;
const unschedulableMaxMs = 300_000; // it is tried again after so long even if nothing has changed

/**
 * Where a pod is that waits for a node.
 *
 *     active --take--> inFlight --rejected--> unschedulable --may be helped, or 5 min--> backingOff or active
 *        ^                |    \--rejected, and others make room--> preempting --> unschedulable or backingOff
 *        |                '--failed--> backingOff
 *        '--- back-off over, or nothing else to do ---'
 */
type State<R> =
  | { readonly kind: 'active' }
  | { readonly kind: 'inFlight' }
  /** `mayBeEarly`: tried before its time when nothing else is active, as upstream does since 1.33; not after errors. */
  | { readonly kind: 'backingOff'; readonly untilMs: number; readonly mayBeEarly: boolean }
  | ({ readonly kind: 'unschedulable' } & Rejected<R>)
  /** Not tried before the requests that make room have been answered. */
  | ({ readonly kind: 'preempting'; readonly isHelped: boolean } & Rejected<R>);

interface Rejected<R> {
  readonly rejectedBy: ReadonlySet<R>;
  readonly backoffUntilMs: number;
  readonly flushAtMs: number;
}

interface Entry<R> {
  readonly priority: number;
  readonly attempts: number;
  readonly state: State<R>;
}

/**
 * The pods that wait for a node, by uid: the highest priority first, then first come, first served. `R`: what a pod can
 * be rejected by. Reads no clock: every `nowMs` is `monoMs()`. Upstream: the scheduler's `PriorityQueue`.
 */
export class SchedulingQueue<R> {
  readonly #entries = new Map<string, Entry<R>>();
  readonly #activeByPriority = new Map<number, Set<string>>(); // exactly the active ones; no set is empty
  readonly #backingOff = new Set<string>(); // exactly those that back off
  readonly #rejected = new Set<string>(); // exactly the unschedulable and preempting ones
  readonly #rejectedBy = new Map<R | 'anything', Set<string>>(); // the same, by what rejected them
  #backoffDueMs = Number.POSITIVE_INFINITY; // no back-off is over before this
  #flushDueMs = Number.POSITIVE_INFINITY; // no unschedulable pod is to be tried again before this

  get length(): number {
    return this.#entries.size;
  }

  /** A pod is new, or has changed so that it may fit now: its back-off is forgiven. One that is in flight stays so. */
  add(uid: string, priority: number): void {
    const before = this.#entries.get(uid);
    if (before?.state.kind === 'inFlight') this.#set(uid, { ...before, priority });
    else if (before?.state.kind === 'preempting') {
      this.#set(uid, { ...before, priority, state: { ...before.state, isHelped: true } });
    } else this.#set(uid, { priority, attempts: before?.attempts ?? 0, state: { kind: 'active' } });
  }

  /** It was bound, or is gone. */
  remove(uid: string): void {
    this.#unlist(uid);
    this.#entries.delete(uid);
  }

  /** The next pod to try; `undefined` if none is to be tried now. Give it back with `remove`, `rejected` or `failed`. */
  take(nowMs: number): string | undefined {
    this.#activateDue(nowMs);
    const uid = this.#firstActive() ?? this.#firstEarly();
    if (uid === undefined) return undefined;
    const entry = this.#entries.get(uid);
    invariant(entry !== undefined, `active pod ${uid} is not in the queue`);
    this.#set(uid, { ...entry, state: { kind: 'inFlight' } });
    return uid;
  }

  /** A node was found, but something else failed: it backs off. */
  failed(uid: string, nowMs: number): void {
    const entry = this.#entries.get(uid);
    if (entry?.state.kind !== 'inFlight') return; // removed meanwhile, and perhaps added anew
    const untilMs = nowMs + backoffOf(entry);
    this.#set(uid, {
      ...entry,
      attempts: entry.attempts + 1,
      state: { kind: 'backingOff', untilMs, mayBeEarly: false },
    });
  }

  /**
   * No node fits. `rejectedBy`: only changes that concern one of these can help; none: any change may. `isPreempting`:
   * `preempted` will be called when others have been asked to make room.
   */
  rejected(uid: string, rejectedBy: ReadonlySet<R>, isPreempting: boolean, nowMs: number): void {
    const entry = this.#entries.get(uid);
    if (entry?.state.kind !== 'inFlight') return; // likewise
    const backoffUntilMs = nowMs + backoffOf(entry);
    const rejected = { rejectedBy, backoffUntilMs, flushAtMs: nowMs + unschedulableMaxMs };
    const state: State<R> = isPreempting
      ? { kind: 'preempting', isHelped: false, ...rejected }
      : { kind: 'unschedulable', ...rejected };
    this.#set(uid, { ...entry, attempts: entry.attempts + 1, state });
  }

  /** Others have been asked to make room for this pod, or that has failed and it is tried again. */
  preempted(uid: string, hasWorked: boolean, nowMs: number): void {
    const entry = this.#entries.get(uid);
    if (entry?.state.kind !== 'preempting') return;
    const { rejectedBy, backoffUntilMs, flushAtMs, isHelped } = entry.state;
    const state: State<R> = { kind: 'unschedulable', rejectedBy, backoffUntilMs, flushAtMs };
    this.#set(uid, { ...entry, state: isHelped || !hasWorked ? afterHelp(backoffUntilMs, nowMs) : state });
  }

  /** Something has happened: pods rejected by one of `concerned` are asked whether it may help them. */
  clusterChanged(concerned: readonly R[], mayHelp: (uid: string, rejectedBy: R) => boolean, nowMs: number): void {
    for (const uid of this.#rejectedBy.get('anything') ?? []) this.#help(uid, nowMs);
    for (const rejector of concerned) {
      for (const uid of this.#rejectedBy.get(rejector) ?? []) if (mayHelp(uid, rejector)) this.#help(uid, nowMs);
    }
  }

  /** When `take` is worth calling next if nothing happens before; infinite if never. */
  nextDueMs(): number {
    return Math.min(this.#backoffDueMs, this.#flushDueMs);
  }

  #help(uid: string, nowMs: number): void {
    const entry = this.#entries.get(uid);
    if (entry?.state.kind === 'preempting') {
      // Not twice: it goes to the end of the lists that are being walked.
      if (!entry.state.isHelped) this.#set(uid, { ...entry, state: { ...entry.state, isHelped: true } });
    } else if (entry?.state.kind === 'unschedulable') {
      this.#set(uid, { ...entry, state: afterHelp(entry.state.backoffUntilMs, nowMs) });
    }
  }

  #activateDue(nowMs: number): void {
    if (nowMs >= this.#backoffDueMs) this.#backoffDueMs = this.#activateOf(this.#backingOff, nowMs);
    if (nowMs >= this.#flushDueMs) this.#flushDueMs = this.#activateOf(this.#rejected, nowMs);
  }

  /** Returns when the next of them is due. */
  #activateOf(uids: ReadonlySet<string>, nowMs: number): number {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const uid of uids) {
      const entry = this.#entries.get(uid);
      if (entry === undefined) continue;
      const dueMs = dueAtMs(entry.state);
      if (dueMs <= nowMs) this.#set(uid, { ...entry, state: { kind: 'active' } });
      else nextMs = Math.min(nextMs, dueMs);
    }
    return nextMs;
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

  #set(uid: string, entry: Entry<R>): void {
    this.#unlist(uid);
    this.#entries.set(uid, entry);
    const { state, priority } = entry;
    switch (state.kind) {
      case 'active':
        listIn(this.#activeByPriority, priority, uid);
        break;
      case 'inFlight':
        break;
      case 'backingOff':
        this.#backingOff.add(uid);
        this.#backoffDueMs = Math.min(this.#backoffDueMs, state.untilMs);
        break;
      case 'unschedulable':
      case 'preempting':
        this.#rejected.add(uid);
        for (const rejector of keysOf(state)) listIn(this.#rejectedBy, rejector, uid);
        this.#flushDueMs = Math.min(this.#flushDueMs, dueAtMs(state));
        break;
      default:
        unreachable(state);
    }
  }

  #unlist(uid: string): void {
    const entry = this.#entries.get(uid);
    if (entry === undefined) return;
    this.#backingOff.delete(uid);
    if (entry.state.kind === 'active') unlistFrom(this.#activeByPriority, entry.priority, uid);
    if (!this.#rejected.delete(uid)) return;
    if (entry.state.kind !== 'unschedulable' && entry.state.kind !== 'preempting') return;
    for (const rejector of keysOf(entry.state)) unlistFrom(this.#rejectedBy, rejector, uid);
  }
}

function keysOf<R>({ rejectedBy }: Rejected<R>): Iterable<R | 'anything'> {
  return rejectedBy.size === 0 ? ['anything'] : rejectedBy;
}

function listIn<K>(lists: Map<K, Set<string>>, key: K, uid: string): void {
  const list = lists.get(key) ?? new Set();
  list.add(uid);
  lists.set(key, list);
}

function unlistFrom<K>(lists: Map<K, Set<string>>, key: K, uid: string): void {
  const list = lists.get(key);
  list?.delete(uid);
  if (list?.size === 0) lists.delete(key);
}

function backoffOf({ attempts }: { readonly attempts: number }): number {
  return Math.min(backoffMaxMs, backoffFirstMs * 2 ** Math.min(attempts, 30));
}

function afterHelp<R>(backoffUntilMs: number, nowMs: number): State<R> {
  if (backoffUntilMs <= nowMs) return { kind: 'active' };
  return { kind: 'backingOff', untilMs: backoffUntilMs, mayBeEarly: true };
}

/** When time alone moves it on; infinite for the others. */
function dueAtMs(state: State<unknown>): number {
  switch (state.kind) {
    case 'active':
    case 'inFlight':
    case 'preempting':
      return Number.POSITIVE_INFINITY;
    case 'backingOff':
      return state.untilMs;
    case 'unschedulable':
      return state.flushAtMs;
    default:
      return unreachable(state);
  }
}
