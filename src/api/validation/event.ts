import { invalid, required } from '../field-error.ts';
import type { Event, EventsV1Event, ObjectReference } from '../gen/types.ts';
import { byteLength, dns1123SubdomainProblems, qualifiedNameProblems } from '../names.ts';
import { addInvalid, checkImmutable, checkMetadata, checkMetadataUpdate, type Errors } from './metadata.ts';

const shortMax = 128; // of action, reason, reportingInstance
const messageMax = 1_024;

/** What the two versions of events have in common, in the words of either. */
interface EventFields {
  readonly namespace: string;
  readonly objectNamespace: string;
  readonly hasEventTime: boolean;
  readonly reportingField: 'reportingComponent' | 'reportingController';
  readonly reporting: string;
  readonly reportingInstance: string;
  readonly action: string;
  readonly reason: string;
  readonly message: string;
}

/** Upstream: `legacyValidateEvent`, which is all that `v1` asks for. */
function checkEventFields(errors: Errors, event: EventFields): void {
  const mismatch = 'does not match event.namespace';
  const at = 'involvedObject.namespace';
  const { namespace, objectNamespace } = event;
  if (!event.hasEventTime) {
    const fits = objectNamespace === '' ? ['', 'default'].includes(namespace) : objectNamespace === namespace;
    if (!fits) errors.push(invalid(at, objectNamespace, mismatch));
  } else {
    if (objectNamespace === '' && namespace !== 'default' && namespace !== 'kube-system') {
      errors.push(invalid(at, objectNamespace, mismatch));
    }
    if (event.reporting === '') errors.push(required(event.reportingField));
    addInvalid(errors, event.reportingField, event.reporting, qualifiedNameProblems(event.reporting));
    for (const name of ['reportingInstance', 'action', 'reason'] as const) {
      if (event[name] === '') errors.push(required(name));
      if (byteLength(event[name]) > shortMax) errors.push(invalid(name, '', `can have at most ${shortMax} characters`));
    }
    if (byteLength(event.message) > messageMax) {
      errors.push(invalid('message', '', `can have at most ${messageMax} characters`));
    }
  }
  addInvalid(errors, 'namespace', namespace, dns1123SubdomainProblems(namespace));
}

/** Upstream: `ValidateEventCreate` for `v1`. */
export function checkEvent(errors: Errors, event: Event): void {
  checkEventFields(errors, {
    namespace: event.metadata.namespace ?? '',
    objectNamespace: event.involvedObject.namespace ?? '',
    hasEventTime: (event.eventTime ?? null) !== null,
    reportingField: 'reportingComponent',
    reporting: event.reportingComponent ?? '',
    reportingInstance: event.reportingInstance ?? '',
    action: event.action ?? '',
    reason: event.reason ?? '',
    message: event.message ?? '',
  });
}

function fieldsOfV1(event: EventsV1Event): EventFields {
  return {
    namespace: event.metadata?.namespace ?? '',
    objectNamespace: event.regarding?.namespace ?? '',
    hasEventTime: isSet(event.eventTime),
    reportingField: 'reportingController',
    reporting: event.reportingController ?? '',
    reportingInstance: event.reportingInstance ?? '',
    action: event.action ?? '',
    reason: event.reason ?? '',
    message: event.note ?? '',
  };
}

function isSet(time: string | null | undefined): boolean {
  return time !== undefined && time !== null && time !== '';
}

/** Upstream: `ValidateEventCreate` for `events.k8s.io/v1`, which allows none of the old fields. */
export function checkEventsV1(errors: Errors, event: EventsV1Event): void {
  checkEventFields(errors, fieldsOfV1(event));
  checkMetadata(errors, event.metadata ?? {}, true, 'subdomain');
  checkSeries(errors, event);
  if (!isSet(event.eventTime)) errors.push(required('eventTime'));
  const type = event.type ?? '';
  if (type !== 'Normal' && type !== 'Warning') errors.push(invalid('type', '', `has invalid value: ${type}`));
  const unset = (field: string, isUnset: boolean): void => {
    if (!isUnset) errors.push(invalid(field, '', 'needs to be unset'));
  };
  unset('firstTimestamp', !isSet(event.deprecatedFirstTimestamp));
  unset('lastTimestamp', !isSet(event.deprecatedLastTimestamp));
  unset('count', (event.deprecatedCount ?? 0) === 0);
  const { component = '', host = '' } = event.deprecatedSource ?? {};
  unset('source', component === '' && host === '');
}

function checkSeries(errors: Errors, event: EventsV1Event): void {
  if (event.series === undefined) return;
  if (event.series.count < 2) errors.push(invalid('series.count', '', 'should be at least 2'));
  if (!isSet(event.series.lastObservedTime)) errors.push(required('series.lastObservedTime'));
}

/** Upstream: `ValidateEventUpdate` for `events.k8s.io/v1`: only the series may grow. */
export function checkEventsV1Update(errors: Errors, next: EventsV1Event, current: EventsV1Event): void {
  checkEventFields(errors, fieldsOfV1(next));
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
  const regarding = (event: EventsV1Event): ObjectReference => event.regarding ?? {};
  checkImmutable(errors, 'involvedObject', regarding(next), regarding(current));
  checkImmutable(errors, 'reason', next.reason ?? '', current.reason ?? '');
  checkImmutable(errors, 'message', next.note ?? '', current.note ?? '');
  checkImmutable(errors, 'source', next.deprecatedSource ?? {}, current.deprecatedSource ?? {});
  checkImmutable(errors, 'firstTimestamp', next.deprecatedFirstTimestamp, current.deprecatedFirstTimestamp);
  checkImmutable(errors, 'lastTimestamp', next.deprecatedLastTimestamp, current.deprecatedLastTimestamp);
  checkImmutable(errors, 'count', next.deprecatedCount ?? 0, current.deprecatedCount ?? 0);
  checkImmutable(errors, 'reason', next.reason ?? '', current.reason ?? '');
  checkImmutable(errors, 'type', next.type ?? '', current.type ?? '');
  checkImmutable(errors, 'eventTime', next.eventTime, current.eventTime);
  checkImmutable(errors, 'action', next.action ?? '', current.action ?? '');
  checkImmutable(errors, 'related', next.related, current.related);
  checkImmutable(errors, 'reportingController', next.reportingController ?? '', current.reportingController ?? '');
  checkImmutable(errors, 'reportingInstance', next.reportingInstance ?? '', current.reportingInstance ?? '');
  if (next.series !== undefined) checkSeries(errors, next);
}
