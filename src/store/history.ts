/**
 * The recent events of a store, and the watchers that follow them. The history is the buffer of every watcher: a
 * watcher is only a position in it, so a thousand watchers cost no more memory than one, and none can grow.
 *
 * Worked example, `eventsMax` 3. `|` is the floor: reads at it or later, and watches from after it, find all they need.
 *
 *     append rev 5, 6, 7      |5  6  7        droppedRevision 4: reads from 4, watches from 5
 *     append rev 8             5 |6  7  8     droppedRevision 5: reads from 5, watches from 6
 *     compact(8)               5  6  7 |8     compactedRevision 8: reads from 8, watches from 8
 *     restart                  5  6  7  8|    droppedRevision 8: reads from 8, watches from 9
 */
import { invariant, StatusError } from '../base/status-error.ts';
import { eventKey, eventRevision, EventRing } from './event-ring.ts';
import {
  type KeyValue,
  type StoreEvent,
  type WatchBatch,
  watchBufferEventsMax,
  type WatchOptions,
  watchProgressRevisionsMax,
} from './store.ts';

export const historyBytesMax = 32 * 1_024 * 1_024; // some 7,000 updates of a pod: keys, values and previous values
const batchEventsMax = 1_024; // per batch that a watcher gets, but never less than one whole revision

export interface HistoryOptions {
  /** Where the store stands: nothing before it is known. */
  readonly revision: number;
  /** Default `watchBufferEventsMax`. */
  readonly eventsMax?: number;
  /** Default `historyBytesMax`; counted in UTF-16 units, previous values included. */
  readonly bytesMax?: number;
}

interface Watcher {
  readonly prefix: string;
  nextRevision: number; // everything of ours before it has been delivered, or was not under our prefix
  reportedRevision: number; // of the last batch that was delivered
  wake: (() => void) | undefined; // set only while it waits for something new
}

export class History {
  readonly #ring = new EventRing();
  readonly #watchers = new Set<Watcher>();
  readonly #eventsMax: number;
  readonly #bytesMax: number;
  #bytes = 0; // of the events in the ring
  #revision: number; // of the newest event ever appended
  #droppedRevision: number; // events of it and before are not in the ring
  #compactedRevision = 0; // of the last compact()
  #failure: StatusError | undefined; // set once: the store closed or failed

  constructor(options: HistoryOptions) {
    this.#revision = options.revision;
    this.#droppedRevision = options.revision;
    this.#eventsMax = options.eventsMax ?? watchBufferEventsMax;
    this.#bytesMax = options.bytesMax ?? historyBytesMax;
  }

  get watcherCount(): number {
    return this.#watchers.size;
  }

  /** Adds the events of one or more whole revisions, up to `revision`, and wakes those whom they concern. */
  append(events: readonly StoreEvent[], revision: number): void {
    for (const event of events) {
      const last = eventRevision(event);
      invariant(last >= this.#revision && last <= revision, `event of ${last} after ${this.#revision}, to ${revision}`);
      this.#revision = last;
      this.#ring.push(event);
      this.#bytes += eventBytes(event);
    }
    this.#revision = revision;
    while (this.#ring.end - this.#ring.first > this.#eventsMax || this.#bytes > this.#bytesMax) this.#dropOldest();
    this.#wakeWatchers(events);
  }

  /** Forgets what is before `revision`. */
  compact(revision: number): void {
    this.#compactedRevision = Math.max(this.#compactedRevision, revision);
    while (this.#ring.first < this.#ring.end && eventRevision(this.#ring.at(this.#ring.first)) < revision) {
      this.#dropOldest();
    }
  }

  /**
   * What the keys under `prefix` held at `revision`, for those that were written since; `undefined`: the key did not
   * exist. Throws `Expired` if that is no longer known.
   */
  changedSince(revision: number, prefix: string): Map<string, KeyValue | undefined> {
    const oldest = Math.max(this.#compactedRevision, this.#droppedRevision);
    if (revision < oldest) throw expired(revision, oldest);
    const before = new Map<string, KeyValue | undefined>();
    for (let number = this.#ring.end - 1; number >= this.#ring.first; number--) {
      const event = this.#ring.at(number);
      if (eventRevision(event) <= revision) break;
      const key = eventKey(event);
      if (key.startsWith(prefix)) before.set(key, event.previous);
    }
    return before;
  }

  /** See `Store.watch`. Nothing is held for a watch before its first batch is asked for. */
  async *watch(options: WatchOptions, signal: AbortSignal): AsyncGenerator<WatchBatch, void, undefined> {
    const watcher: Watcher = {
      prefix: options.prefix,
      nextRevision: Math.max(1, options.fromRevision),
      reportedRevision: Math.max(1, options.fromRevision) - 1,
      wake: undefined,
    };
    const onAbort = (): void => {
      this.#watchers.delete(watcher); // also if nobody asks for another batch
      watcher.wake?.();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    this.#watchers.add(watcher);
    try {
      while (!signal.aborted) {
        const batch = this.#take(watcher);
        if (batch !== undefined) yield batch;
        else await this.#changed(watcher);
      }
    } finally {
      this.#watchers.delete(watcher);
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Ends every watch with `failure`, those to come too. */
  close(failure: StatusError): void {
    this.#failure = failure;
    for (const watcher of this.#watchers) watcher.wake?.();
  }

  /** The next batch for `watcher`, if there is anything to tell; moves it past what it has seen. */
  #take(watcher: Watcher): WatchBatch | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    const oldest = Math.max(this.#compactedRevision, this.#droppedRevision + 1);
    if (watcher.nextRevision < oldest) throw expired(watcher.nextRevision, oldest);
    const events: StoreEvent[] = [];
    let revision = this.#revision;
    for (let number = this.#ring.firstAtRevision(watcher.nextRevision); number < this.#ring.end; number++) {
      const event = this.#ring.at(number);
      if (!eventKey(event).startsWith(watcher.prefix)) continue;
      if (events.length >= batchEventsMax && eventRevision(event) !== lastRevision(events)) {
        revision = eventRevision(event) - 1;
        break;
      }
      events.push(event);
    }
    if (revision < watcher.nextRevision) return undefined; // it waits for a revision that is still to come
    watcher.nextRevision = revision + 1;
    if (events.length === 0 && !isProgressDue(watcher, revision)) return undefined;
    watcher.reportedRevision = revision;
    return { events, revision };
  }

  #changed(watcher: Watcher): Promise<void> {
    return new Promise((resolve) => {
      watcher.wake = () => {
        watcher.wake = undefined;
        resolve();
      };
    });
  }

  #wakeWatchers(events: readonly StoreEvent[]): void {
    const matchByPrefix = new Map<string, boolean>(); // many watchers share a prefix
    for (const watcher of this.#watchers) {
      if (watcher.wake === undefined || watcher.nextRevision > this.#revision) continue;
      let isMatch = matchByPrefix.get(watcher.prefix);
      if (isMatch === undefined) {
        isMatch = events.some((event) => eventKey(event).startsWith(watcher.prefix));
        matchByPrefix.set(watcher.prefix, isMatch);
      }
      if (isMatch || isProgressDue(watcher, this.#revision)) watcher.wake();
      else watcher.nextRevision = this.#revision + 1;
    }
  }

  /** Drops the oldest revision whole. */
  #dropOldest(): void {
    const revision = eventRevision(this.#ring.at(this.#ring.first));
    while (this.#ring.first < this.#ring.end && eventRevision(this.#ring.at(this.#ring.first)) === revision) {
      this.#bytes -= eventBytes(this.#ring.dropFirst());
    }
    this.#droppedRevision = revision;
  }
}

function isProgressDue(watcher: Watcher, revision: number): boolean {
  return revision - watcher.reportedRevision >= watchProgressRevisionsMax;
}

function lastRevision(events: readonly StoreEvent[]): number {
  const last = events.at(-1);
  return last === undefined ? 0 : eventRevision(last);
}

function eventBytes(event: StoreEvent): number {
  const own = event.kind === 'put' ? event.item.value.length : 0;
  return eventKey(event).length + own + (event.previous?.value.length ?? 0);
}

function expired(revision: number, oldest: number): StatusError {
  return new StatusError('Expired', `revision ${revision} is too old: the history starts at ${oldest}`);
}
