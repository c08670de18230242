import type { EventsV1Event, ObjectReference } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import { formatMicroTime, parseTime } from '../api/time.ts';
import type { Clock } from '../base/clock.ts';
import type { Entropy } from '../base/entropy.ts';
import type { Log } from '../base/log.ts';
import { hasReason } from '../base/status-error.ts';
import type { Client } from './client.ts';
import { EventInstants, eventName, eventNamespace } from './event-name.ts';
import { EventSender } from './event-sender.ts';
import { LruMap } from './lru-map.ts';

const seriesMax = 4_096;
const seriesEndsAfterMs = 360_000; // a repeat after so long is a new event
const refreshMs = 1_800_000; // how often a series that goes on is written again
const noteCharsMax = 1_024; // the API server refuses more

/** What an event says. Two that agree in all but `note` and time are one series. */
export interface SeriesEvent {
  readonly regarding: ObjectReference;
  /** On whose account it happened. */
  readonly related?: ObjectReference;
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  /** What was done or tried: `Binding`, `Scheduling`. */
  readonly action: string;
  readonly note: string;
}

export interface SeriesEventRecorderDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
  /** `default-scheduler`. */
  readonly reportingController: string;
  /** `default-scheduler-HOSTNAME`. */
  readonly reportingInstance: string;
}

/**
 * Writes events.k8s.io/v1 events, as the scheduler does: the first of a series is created, the second turns it into one
 * with a count, the others are only counted here, and written every 30 min and when the series has ended. Never blocks
 * and never fails. Upstream: `events.EventBroadcaster`.
 */
export class SeriesEventRecorder {
  readonly #deps: SeriesEventRecorderDeps;
  readonly #sender: EventSender;
  readonly #instants: EventInstants;
  readonly #seriesByKey = new LruMap<string, EventsV1Event>(seriesMax); // as they are here, ahead of the server

  constructor(deps: SeriesEventRecorderDeps) {
    this.#deps = deps;
    this.#sender = new EventSender(deps);
    this.#instants = new EventInstants(deps);
  }

  event(said: SeriesEvent): void {
    const key = keyOf(said);
    const before = this.#seriesByKey.get(key);
    if (before === undefined) {
      const event = this.#make(said);
      this.#seriesByKey.set(key, event);
      this.#write(event);
      return;
    }
    const isSecond = before.series === undefined;
    const series = {
      count: (before.series?.count ?? 1) + 1,
      lastObservedTime: formatMicroTime(this.#deps.clock.wallMs()),
    };
    const event = { ...before, series };
    this.#seriesByKey.set(key, event);
    if (isSecond) this.#write(event);
  }

  /** Writes until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#sender.run(signal), this.#keepSeries(signal)]);
  }

  /** Writes what is queued, also after `run` has ended; gives up when `signal` aborts. */
  flush(signal: AbortSignal): Promise<void> {
    return this.#sender.flush(signal);
  }

  async #keepSeries(signal: AbortSignal): Promise<void> {
    let sinceRefreshMs = 0;
    while (!signal.aborted) {
      try {
        await this.#deps.clock.sleep(seriesEndsAfterMs, 'event.series', signal);
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
      sinceRefreshMs += seriesEndsAfterMs;
      const isRefresh = sinceRefreshMs >= refreshMs;
      if (isRefresh) sinceRefreshMs = 0;
      this.#endSeries(isRefresh);
    }
  }

  #endSeries(isRefresh: boolean): void {
    const endedBeforeMs = this.#deps.clock.wallMs() - seriesEndsAfterMs;
    for (const [key, event] of this.#seriesByKey.entries()) {
      const lastText = event.series?.lastObservedTime ?? event.eventTime;
      const hasEnded = (parseTime(lastText) ?? 0) < endedBeforeMs;
      if (hasEnded) this.#seriesByKey.delete(key);
      if (event.series !== undefined && (hasEnded || isRefresh)) this.#write(event);
    }
  }

  #make(said: SeriesEvent): EventsV1Event {
    const { reportingController, reportingInstance } = this.#deps;
    const { wallMs, nanosWithinMs } = this.#instants.next();
    const note = said.note.length > noteCharsMax ? `${said.note.slice(0, noteCharsMax - 4)} ...` : said.note;
    return {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: {
        name: eventName(said.regarding.name ?? '', wallMs, nanosWithinMs),
        namespace: eventNamespace(said.regarding.namespace),
      },
      eventTime: formatMicroTime(wallMs),
      reportingController,
      reportingInstance,
      action: said.action,
      reason: said.reason,
      regarding: said.regarding,
      ...(said.related === undefined ? {} : { related: said.related }),
      note,
      type: said.type,
    };
  }

  #write(event: EventsV1Event): void {
    const { client } = this.#deps;
    const namespace = eventNamespace(event.metadata?.namespace);
    const name = event.metadata?.name ?? '';
    this.#sender.offer(() => async (signal) => {
      if (event.series === undefined) {
        await client.create(resources.eventsV1, { namespace }, event, signal);
        return;
      }
      try {
        const body = { series: event.series };
        await client.patch(resources.eventsV1, { namespace, name }, { type: 'strategic', body }, signal);
      } catch (error) {
        if (!hasReason(error, 'NotFound')) throw error;
        await client.create(resources.eventsV1, { namespace }, event, signal);
      }
    });
  }
}

function keyOf(said: SeriesEvent): string {
  return [said.type, said.action, said.reason, ...partsOf(said.regarding), ...partsOf(said.related)].join('\0');
}

function partsOf(reference: ObjectReference = {}): readonly string[] {
  const { kind = '', namespace = '', name = '', uid = '', apiVersion = '', fieldPath = '' } = reference;
  return [kind, namespace, name, uid, apiVersion, reference.resourceVersion ?? '', fieldPath];
}
