/**
 * Events of the core group and of events.k8s.io are one and the same in the store, in the core's form. Upstream:
 * `pkg/apis/events/v1/conversion.go`.
 */
import type { Event, EventsV1Event } from '../api/gen/types.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Drops the keys whose value is `undefined` (and, in the events' strings, empty). */
function present(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== ''));
}

/** A core event as events.k8s.io/v1 shows it. */
export function toEventsV1(event: Event): EventsV1Event {
  const fields = present({
    kind: 'Event',
    apiVersion: 'events.k8s.io/v1',
    metadata: event.metadata,
    eventTime: event.eventTime ?? null,
    series: event.series,
    reportingController: event.reportingComponent,
    reportingInstance: event.reportingInstance,
    action: event.action,
    reason: event.reason,
    regarding: event.involvedObject,
    related: event.related,
    note: event.message,
    type: event.type,
    deprecatedSource: event.source ?? {},
    deprecatedFirstTimestamp: event.firstTimestamp ?? null,
    deprecatedLastTimestamp: event.lastTimestamp ?? null,
    deprecatedCount: event.count,
  });
  // Each field has the type that its counterpart has; unset times are null on the wire.
  return fields as unknown as EventsV1Event;
}

/** An events.k8s.io/v1 event as it is stored. */
export function fromEventsV1(event: EventsV1Event): Event {
  const fields = present({
    kind: 'Event',
    apiVersion: 'v1',
    metadata: event.metadata ?? {},
    involvedObject: event.regarding ?? {},
    reason: event.reason,
    message: event.note,
    source: event.deprecatedSource ?? {},
    firstTimestamp: event.deprecatedFirstTimestamp ?? null,
    lastTimestamp: event.deprecatedLastTimestamp ?? null,
    count: event.deprecatedCount,
    type: event.type,
    eventTime: event.eventTime ?? null,
    series: event.series,
    action: event.action,
    related: event.related,
  });
  const { reportingController = '', reportingInstance = '' } = event;
  // As above; these two are written even when they are empty.
  return { ...fields, reportingComponent: reportingController, reportingInstance } as unknown as Event;
}
