/**
 * Checks a recorded history of operations on a store against a simple model: a map that is replayed, revision by
 * revision, from the store's own event log (a watch of everything from the start). Since every answer names the
 * revision that it holds for, no search is needed: the log is the order, and the operations must fit it.
 *
 *  - The log is a possible history: revisions without gaps, create and mod revisions and previous values as replayed.
 *  - Every acknowledged write is in the log at its revision, with exactly its effect, and its compares held there.
 *  - Every revision is claimed by one write only; one that no acknowledged write claims, by one of unknown outcome.
 *  - Every read, and every compare that failed, shows the state at its revision.
 *  - Real time: an operation sees all that was acknowledged before it was asked, and nothing asked after its answer.
 */
import assert from 'node:assert/strict';
import type { KeyValue, RangeOptions, RangeResult, StoreEvent, TxnOptions, TxnResult } from '../../src/store/store.ts';

export type Operation =
  | { readonly kind: 'txn'; readonly options: TxnOptions; readonly result: TxnResult | 'unknown' }
  | { readonly kind: 'range'; readonly options: RangeOptions; readonly result: RangeResult };

/** When an operation was asked and answered: any counter that only rises. */
export type Recorded = Operation & { readonly askedAt: number; readonly answeredAt: number };

type State = ReadonlyMap<string, KeyValue>;

/**
 * Throws an `AssertionError` that names the operation, unless `operations` fit `log`. The store began empty, at
 * revision 0.
 */
export function checkHistory(log: readonly StoreEvent[], operations: readonly Recorded[]): void {
  const eventsByRevision = groupByRevision(log);
  const states = replay(eventsByRevision);
  const claims = new Map<number, Recorded>();
  const deletions: (() => void)[] = []; // they may have written nothing; so the sure ones claim their revisions first
  for (const operation of operations) {
    if (operation.kind === 'range') checkRange(operation.options, operation.result, states);
    else if (operation.result === 'unknown') continue;
    else if (!operation.result.succeeded) checkMismatch(operation.options, operation.result, states);
    else {
      const { revision } = operation.result;
      if (wroteNothing(operation.options, stateAt(states, revision), revision)) {
        deletions.push(() => {
          const isOwner = operation.options.writes.length > 0 && !claims.has(revision);
          if (isOwner && fits(operation.options, revision, states, eventsByRevision)) claims.set(revision, operation);
        });
      } else {
        const text = `acknowledged ${JSON.stringify(operation.options)} at ${revision}`;
        assert.ok(fits(operation.options, revision, states, eventsByRevision), `${text}: not in the log`);
        assert.equal(claims.get(revision), undefined, `${text}: a revision with two owners`);
        claims.set(revision, operation);
      }
    }
  }
  for (const claim of deletions) claim();
  checkUnclaimed(operations, states, eventsByRevision, claims);
  checkRealTime(operations, claims);
}

function revisionOf(event: StoreEvent): number {
  return event.kind === 'put' ? event.item.modRevision : event.revision;
}

/** Index 0 is empty; index r holds the events of revision r. */
function groupByRevision(log: readonly StoreEvent[]): StoreEvent[][] {
  const groups: StoreEvent[][] = [[]];
  for (const event of log) {
    const revision = revisionOf(event);
    if (revision === groups.length) groups.push([]);
    assert.equal(revision, groups.length - 1, 'the log has a gap, or goes back');
    groups.at(-1)?.push(event);
  }
  return groups;
}

function replay(eventsByRevision: readonly StoreEvent[][]): State[] {
  const states: State[] = [];
  let state: State = new Map();
  for (const [revision, events] of eventsByRevision.entries()) {
    const next = new Map(state);
    for (const event of events) {
      const key = event.kind === 'put' ? event.item.key : event.key;
      const before = state.get(key);
      assert.deepEqual(event.previous, before, `previous value of ${key} at revision ${revision}`);
      if (event.kind === 'put') {
        assert.equal(event.item.createRevision, before?.createRevision ?? revision, `createRevision of ${key}`);
        next.set(key, event.item);
      } else {
        next.delete(key);
      }
    }
    state = next;
    states.push(state);
  }
  return states;
}

function stateAt(states: readonly State[], revision: number): State {
  const state = states[revision];
  assert.ok(state !== undefined, `revision ${revision} is not in the log, which ends at ${states.length - 1}`);
  return state;
}

function checkRange(options: RangeOptions, result: RangeResult, states: readonly State[]): void {
  if (options.atRevision !== undefined) assert.equal(result.revision, options.atRevision);
  const all = [...stateAt(states, result.revision).values()]
    .filter(({ key }) => key.startsWith(options.prefix) && key >= (options.from ?? ''))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  const limit = options.limit ?? all.length;
  const expected = {
    items: all.slice(0, limit),
    revision: result.revision,
    remainingCount: Math.max(0, all.length - limit),
  };
  assert.deepEqual(result, expected, `range ${JSON.stringify(options)}`);
}

function holds(options: TxnOptions, state: State): boolean {
  return options.compare.every(({ key, modRevision }) => (state.get(key)?.modRevision ?? 0) === modRevision);
}

function checkMismatch(
  options: TxnOptions,
  result: Extract<TxnResult, { succeeded: false }>,
  states: readonly State[],
): void {
  const state = stateAt(states, result.revision);
  const text = `failed ${JSON.stringify(options)} at ${result.revision}`;
  assert.deepEqual(
    result.current,
    options.compare.map(({ key }) => state.get(key)),
    text,
  );
  assert.equal(holds(options, state), false, `${text}: every compare holds`);
}

/** What `options` write on top of `state`, as the log must show it. */
function effectOf(options: TxnOptions, state: State, revision: number): StoreEvent[] {
  return options.writes.flatMap((op): StoreEvent[] => {
    const previous = state.get(op.key);
    if (op.kind === 'put') {
      const createRevision = previous?.createRevision ?? revision;
      const item = { key: op.key, value: op.value, createRevision, modRevision: revision };
      return [{ kind: 'put', item, previous }];
    }
    return previous === undefined ? [] : [{ kind: 'delete', key: op.key, revision, previous }];
  });
}

function fits(
  options: TxnOptions,
  revision: number,
  states: readonly State[],
  events: readonly StoreEvent[][],
): boolean {
  if (revision === 0) return false;
  const before = stateAt(states, revision - 1);
  if (!holds(options, before)) return false;
  try {
    assert.deepEqual(events[revision], effectOf(options, before, revision));
    return true;
  } catch {
    return false; // the answer is yes or no
  }
}

/** Whether `options` may have succeeded without a write, in the state that `revision` left. */
function wroteNothing(options: TxnOptions, state: State, revision: number): boolean {
  return holds(options, state) && effectOf(options, state, revision + 1).length === 0;
}

function checkUnclaimed(
  operations: readonly Recorded[],
  states: readonly State[],
  eventsByRevision: readonly StoreEvent[][],
  claims: Map<number, Recorded>,
): void {
  const unknown = new Set(operations.filter((operation) => operation.kind === 'txn' && operation.result === 'unknown'));
  for (let revision = 1; revision < eventsByRevision.length; revision++) {
    if (claims.has(revision)) continue;
    const owner = [...unknown].find(
      (operation) => operation.kind === 'txn' && fits(operation.options, revision, states, eventsByRevision),
    );
    assert.ok(owner !== undefined, `revision ${revision} was written by nobody`);
    unknown.delete(owner);
    claims.set(revision, owner);
  }
}

function checkRealTime(operations: readonly Recorded[], claims: ReadonlyMap<number, Recorded>): void {
  const writes = [...claims].sort(([a], [b]) => a - b);
  let latestAskedAt = -1;
  const latestAskedUpTo = [-1]; // by revision: when the last of the writes up to it was asked
  for (const [, write] of writes) {
    latestAskedAt = Math.max(latestAskedAt, write.askedAt);
    latestAskedUpTo.push(latestAskedAt);
  }
  const acknowledged = writes.filter(([, write]) => write.kind === 'txn' && write.result !== 'unknown');
  for (const operation of operations) {
    if (operation.result === 'unknown') continue;
    if (operation.kind === 'range' && operation.options.atRevision !== undefined) continue;
    const { revision } = operation.result;
    const text = `${JSON.stringify(operation)}`;
    for (const [writtenRevision, write] of acknowledged) {
      if (write.answeredAt < operation.askedAt) assert.ok(writtenRevision <= revision, `${text} is stale`);
    }
    assert.ok((latestAskedUpTo[revision] ?? -1) < operation.answeredAt, `${text} shows what was not asked yet`);
  }
}
