import { StatusError, invariant } from '../../../src/base/status-error.ts';
import type { Faults } from '../../../src/sim/faults.ts';
import type { VirtualClock } from '../../../src/sim/virtual-clock.ts';
import { MemoryStore } from '../../../src/store/memory-store.ts';
import type { Store, StoreEvent } from '../../../src/store/store.ts';

const slowMs = 700;
const commitMs = 3; // with it, a write is under way for a while, and may be lost with the process
const windowMs = 10_000;
/** A lease is renewed each second at most; a pod that starts, is probed and crashes is written some ten times. */
const writesOfOneObjectMax = 60;
/** A controller writes at each change of a pod, of which there are two or three for each node: gone, made, Ready. */
const writesOfOneObjectMaxPerNode = 10;
const podsPrefix = '/registry/pods/default/';

/** A change of a pod, as the store has it. */
export interface PodChange {
  readonly revision: number;
  readonly isDelete: boolean;
}

/**
 * The store of a run, which is slow now and then, and forgets with each crash of the server what was not durable yet.
 * Whatever is written to it is checked: revisions only rise, no object is written without end, and what was acknowledged
 * is there after a crash.
 */
export class SeedStore {
  readonly #clock: VirtualClock;
  readonly #faults: Faults;
  readonly #writesMax: number; // of one object, in one window
  #memory: MemoryStore;
  #acknowledged = 0; // the highest revision that a writer was told of
  #seen = 0; // the highest revision that the watch told of
  readonly #revisions = new Map<string, number>(); // by key
  readonly #writes = new Map<string, number>(); // by key; in this window
  #windowEndMs = windowMs;
  #podChanges: PodChange[] = [];

  /** `isDurableLater`: each write takes some time, and a crash in between takes it away. */
  constructor(
    { clock, faults }: { readonly clock: VirtualClock; readonly faults: Faults },
    { nodeCount, isDurableLater }: { readonly nodeCount: number; readonly isDurableLater: boolean },
  ) {
    this.#clock = clock;
    this.#faults = faults;
    this.#writesMax = writesOfOneObjectMax + writesOfOneObjectMaxPerNode * nodeCount;
    this.#memory = new MemoryStore(isDurableLater ? { commit: { clock, delayMs: commitMs } } : {});
  }

  /** As a process of the server uses it. */
  get store(): Store {
    return slow(this.#memory, this.#clock, this.#faults, ({ revision }) => {
      this.#acknowledged = Math.max(this.#acknowledged, revision);
    });
  }

  /** With the process that uses it. `keepInFlight`: what was just being written is there all the same. */
  async crash(keepInFlight: boolean, signal: AbortSignal): Promise<void> {
    this.#memory = this.#memory.crash({ keepInFlight });
    const { revision } = await this.#memory.range({ prefix: '/', limit: 1 }, signal);
    const known = Math.max(this.#acknowledged, this.#seen);
    invariant(revision >= known, `after a crash the store is at ${revision}, and somebody was told of ${known}`);
  }

  /** Checks each change until `signal` aborts. */
  async follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        for await (const { events } of this.#memory.watch({ prefix: '/', fromRevision: this.#seen + 1 }, signal)) {
          for (const event of events) this.#onEvent(event);
        }
      } catch (error) {
        if (!(error instanceof StatusError)) throw error;
        // What was in flight and kept was never seen by anybody: the history of before the crash is gone.
        const { revision } = await this.#memory.range({ prefix: '/', limit: 1 }, signal);
        this.#seen = revision;
      }
    }
  }

  #onEvent(event: StoreEvent): void {
    const { key, revision } = event.kind === 'put' ? { ...event.item, revision: event.item.modRevision } : event;
    const before = this.#revisions.get(key) ?? 0;
    invariant(revision >= this.#seen, `the store went from revision ${this.#seen} to ${revision}`);
    invariant(revision > before, `${key} went from revision ${before} to ${revision}`);
    this.#seen = revision;
    this.#revisions.set(key, revision);
    this.#countWrite(key);
    if (key.startsWith(podsPrefix)) this.#podChanges.push({ revision, isDelete: event.kind === 'delete' });
  }

  #countWrite(key: string): void {
    const nowMs = this.#clock.monoMs();
    if (nowMs >= this.#windowEndMs) {
      this.#writes.clear();
      this.#windowEndMs = nowMs + windowMs;
    }
    const count = (this.#writes.get(key) ?? 0) + 1;
    this.#writes.set(key, count);
    invariant(count <= this.#writesMax, `${key} was written ${count} times in ${windowMs / 1_000} s`);
  }

  /** Every change of a pod since the last call, in order. */
  takePodChanges(): readonly PodChange[] {
    return this.#podChanges.splice(0);
  }
}

/** Writes take their time now and then. */
function slow(inner: MemoryStore, clock: VirtualClock, faults: Faults, onWritten: (at: Written) => void): Store {
  return {
    get: (key, signal) => inner.get(key, signal),
    range: (options, signal) => inner.range(options, signal),
    async txn(options, signal) {
      if (faults.hit('store.slow')) await clock.sleep(slowMs, 'store.slow', signal);
      const result = await inner.txn(options, signal);
      if (result.succeeded) onWritten(result);
      return result;
    },
    watch: (options, signal) => inner.watch(options, signal),
    compact: (revision, signal) => inner.compact(revision, signal),
    close: () => inner.close(),
  };
}

interface Written {
  readonly revision: number;
}
