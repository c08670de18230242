import { ageOf } from '../../api/age.ts';
import type { Event } from '../../api/gen/types.ts';
import { wallMsOf, type DescribeWriter } from './describe-writer.ts';

/** The events table at the end of a description, oldest last occurrence first. Upstream: `DescribeEvents`. */
export function describeEvents(writer: DescribeWriter, events: readonly Event[]): void {
  if (events.length === 0) {
    writer.line(0, 'Events:\t<none>');
    return;
  }
  writer.flush();
  writer.line(0, 'Events:');
  writer.line(1, 'Type\tReason\tAge\tFrom\tMessage');
  writer.line(1, '----\t------\t----\t----\t-------');
  const sorted = events.toSorted((a, b) => (wallMsOf(a.lastTimestamp) ?? 0) - (wallMsOf(b.lastTimestamp) ?? 0));
  for (const event of sorted) {
    const from = event.source?.component || event.reportingComponent || '';
    const message = (event.message ?? '').trim();
    writer.line(
      1,
      `${event.type ?? ''}\t${event.reason ?? ''}\t${ageOfEvent(event, writer.context.nowMs)}\t${from}\t${message}`,
    );
  }
}

/** `8s (x6 over 2m52s)`: since the last time, how often, since the first. */
export function ageOfEvent(event: Event, nowMs: number): string {
  const first = ageOf(event.eventTime ?? event.firstTimestamp, nowMs);
  if (event.series !== undefined) {
    return `${ageOf(event.series.lastObservedTime, nowMs)} (x${event.series.count ?? 0} over ${first})`;
  }
  const count = event.count ?? 0;
  return count > 1 ? `${ageOf(event.lastTimestamp, nowMs)} (x${count} over ${first})` : first;
}
