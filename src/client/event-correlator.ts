import type { Event, ObjectReference } from '../api/gen/types.ts';
import { formatTime } from '../api/time.ts';
import { eventName } from './event-name.ts';
import { LruMap } from './lru-map.ts';

/**
 * Decides what becomes of each core event of one process, so that a failure that repeats does not fill the store:
 *
 * 1. Aggregate: from the 10th distinct message of similar events within 600 s on, they become one event whose message
 *    begins with `combinedPrefix`.
 * 2. Count: an event that was seen before raises the count of the one that there is.
 * 3. Spam filter: 25 events at once for each source, object and type, then one each 300 s. What it holds back is
 *    counted all the same, so the next one that passes shows the jump.
 *
 * Pure: it reads no clock, and forgets the longest unused of `keysMax` keys of each kind. Upstream: `EventCorrelator`.
 */
export const combinedPrefix = '(combined from similar events): ';
export const keysMax = 4_096;
const distinctMessagesMax = 10;
const similarWithinMs = 600_000;
const spamBurst = 25;
const spamRefillMs = 300_000; // for one event

export type EventDecision =
  | { readonly kind: 'drop' }
  | { readonly kind: 'create'; readonly event: Event }
  /** `event` is the whole of it: to be created if the one to patch is gone. */
  | { readonly kind: 'patch'; readonly event: Event; readonly patch: EventPatch };

export interface EventPatch {
  readonly count: number;
  readonly lastTimestamp: string;
  readonly message: string;
}

interface Similar {
  readonly messages: Set<string>; // at most distinctMessagesMax
  readonly lastMs: number;
}

interface Counted {
  readonly count: number;
  readonly name: string;
  readonly firstTimestamp: string;
}

interface Bucket {
  readonly tokens: number; // 0 to spamBurst
  readonly atMs: number; // when it had so many
}

/** When an event is looked at: `monoMs` for intervals, `wallMs` and `nanosWithinMs` to name what is made of several. */
export interface CorrelationTime {
  readonly monoMs: number;
  readonly wallMs: number;
  readonly nanosWithinMs: number;
}

export class EventCorrelator {
  readonly #similar = new LruMap<string, Similar>(keysMax);
  readonly #counted = new LruMap<string, Counted>(keysMax);
  readonly #buckets = new LruMap<string, Bucket>(keysMax);

  /** What to do with `event`, which came up just now. */
  correlate(event: Event, now: CorrelationTime): EventDecision {
    const { event: aggregated, key } = this.#aggregate(event, now);
    const { event: counted, patch } = this.#count(aggregated, key);
    if (!this.#takeToken(spamKeyOf(event), now.monoMs)) return { kind: 'drop' };
    return patch === undefined ? { kind: 'create', event: counted } : { kind: 'patch', event: counted, patch };
  }

  /** Learns from the answer to a write what the event is like on the server. */
  written(event: Event): void {
    this.#remember(countKeyOf(event), event);
  }

  #aggregate(event: Event, now: CorrelationTime): { readonly event: Event; readonly key: string } {
    const similarKey = similarKeyOf(event);
    const before = this.#similar.get(similarKey);
    const isRecent = before !== undefined && now.monoMs - before.lastMs <= similarWithinMs;
    const messages = isRecent ? before.messages : new Set<string>();
    messages.add(event.message ?? '');
    this.#similar.set(similarKey, { messages, lastMs: now.monoMs });
    if (messages.size < distinctMessagesMax) return { event, key: countKeyOf(event) };
    for (const some of messages) {
      messages.delete(some); // leaves room: the set grows no further, and the next distinct one is combined too
      break;
    }
    return { event: combine(event, now), key: similarKey };
  }

  #count(event: Event, key: string): { readonly event: Event; readonly patch?: EventPatch } {
    const before = this.#counted.get(key);
    if (before === undefined || before.count === 0) {
      this.#remember(key, event);
      return { event };
    }
    const { name, firstTimestamp } = before;
    const count = before.count + 1;
    const counted = { ...event, metadata: { ...event.metadata, name }, firstTimestamp, count };
    this.#remember(key, counted);
    const patch = { count, lastTimestamp: event.lastTimestamp ?? '', message: event.message ?? '' };
    return { event: counted, patch };
  }

  #remember(key: string, event: Event): void {
    const { metadata, count = 0, firstTimestamp } = event;
    this.#counted.set(key, { count, name: metadata?.name ?? '', firstTimestamp: firstTimestamp ?? '' });
  }

  #takeToken(key: string, nowMs: number): boolean {
    const before = this.#buckets.get(key) ?? { tokens: spamBurst, atMs: nowMs };
    const tokens = Math.min(spamBurst, before.tokens + (nowMs - before.atMs) / spamRefillMs);
    const passes = tokens >= 1;
    this.#buckets.set(key, { tokens: passes ? tokens - 1 : tokens, atMs: nowMs });
    return passes;
  }
}

function combine(event: Event, now: CorrelationTime): Event {
  const timestamp = formatTime(now.wallMs);
  const { namespace } = event.metadata ?? {};
  return {
    metadata: {
      name: eventName(event.involvedObject.name ?? '', now.wallMs, now.nanosWithinMs),
      ...(namespace === undefined ? {} : { namespace }),
    },
    involvedObject: event.involvedObject,
    ...(event.reason === undefined ? {} : { reason: event.reason }),
    message: combinedPrefix + (event.message ?? ''),
    ...(event.source === undefined ? {} : { source: event.source }),
    firstTimestamp: timestamp,
    lastTimestamp: timestamp,
    count: 1,
    ...(event.type === undefined ? {} : { type: event.type }),
  };
}

function objectKeyOf(event: Event): string {
  const object: ObjectReference = event.involvedObject;
  const { kind = '', namespace = '', name = '', uid = '', apiVersion = '' } = object;
  const { component = '', host = '' } = event.source ?? {};
  return [component, host, kind, namespace, name, uid, apiVersion].join('\0');
}

function spamKeyOf(event: Event): string {
  return `${objectKeyOf(event)}\0${event.type ?? ''}`;
}

function similarKeyOf(event: Event): string {
  const { type = '', reason = '', reportingComponent = '', reportingInstance = '' } = event;
  return [objectKeyOf(event), type, reason, reportingComponent, reportingInstance].join('\0');
}

/** Starts unlike any `similarKeyOf`, so that the two never meet in one map. */
function countKeyOf(event: Event): string {
  const { type = '', reason = '', message = '', involvedObject } = event;
  return ['#', objectKeyOf(event), involvedObject.fieldPath ?? '', type, reason, message].join('\0');
}
