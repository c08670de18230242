import type { ContainerStatus, Pod } from '../../src/api/gen/types.ts';
import type { Recording, WatchRow } from './recording.ts';

/**
 * Compares two recordings of the golden pods field by field, and says each difference in a line. What may differ: names
 * that are made up anew (uid, ip, container id, token volume), the runtime's own texts, and times within the probes' and the
 * back-off's own jitter.
 *
 * A sync after a failure comes 10 to 15 s later, at random, so what a pod in back-off is doing at a given moment is a matter
 * of luck, also on the recorded cluster. Of `jitterPods` the order of states, the events, the pace of the restarts and all
 * that does not change with time are compared; of the others everything.
 */
export function differences(golden: Recording, ours: Recording): string[] {
  const found: string[] = [];
  for (const theirPod of golden.pods) {
    const name = theirPod.metadata?.name ?? '';
    const ourPod = ours.pods.find((pod) => pod.metadata?.name === name);
    if (ourPod === undefined) {
      found.push(`${name}: no such pod`);
      continue;
    }
    const hasJitter = jitterPods.has(name);
    const prepare = hasJitter ? withoutMoment : (pod: Pod): unknown => pod;
    found.push(...compareValues(name, comparable(prepare(theirPod), ''), comparable(prepare(ourPod), '')));
    found.push(...compareEvents(name, eventsOf(golden, theirPod), eventsOf(ours, ourPod)));
    found.push(...compareWatch(name, rowsOf(golden, name), rowsOf(ours, name)));
    if (hasJitter) found.push(...checkPace(name, rowsOf(ours, name)));
    else found.push(...comparePodTimes(name, theirPod, ourPod));
  }
  for (const [key, theirs] of Object.entries(golden.logs)) {
    found.push(...compareLines(`logs ${key}`, theirs, ours.logs[key]));
  }
  for (const [key, theirs] of Object.entries(golden.volumes)) {
    found.push(...compareLines(`describe ${key}`, theirs, ours.volumes[key]));
  }
  return found;
}

// What differs from machine to machine and from run to run, replaced by what it is.
function normalizeText(text: string): string {
  return text
    .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, 'UID')
    .replaceAll(/\bkube-api-access-[a-z0-9]{5}\b/g, 'kube-api-access-XXXXX')
    .replaceAll(/\b(?:\d{1,3}\.){3}\d{1,3}\b/g, 'IP')
    .replaceAll(/to [a-z0-9.-]+$/g, 'to NODE')
    .replace(/(Failed to pull image "[^"]+": ).*/s, '$1RUNTIME')
    .replace(/(Back-off pulling image "[^"]+": ErrImagePull: ).*/s, '$1RUNTIME')
    .replace(
      /is waiting to start: (?:image can't be pulled|trying and failing to pull image)/,
      'is waiting to start: IMAGE',
    )
    .replace(/^(?:rpc error.*|failed to pull and unpack.*|no image .*)/s, 'RUNTIME')
    .replace(
      /cat: (?:can't open )?'?\/tmp\/up'?: No such file or directory/,
      'cat: /tmp/up: No such file or directory',
    );
}

// apiVersion and kind: an item of a list does not repeat them.
const dropped = new Set([
  'apiVersion',
  'kind',
  'uid',
  'resourceVersion',
  'nodeName',
  'hostIP',
  'hostIPs',
  'podIP',
  'podIPs',
]);
const replacedIds = new Set(['containerID', 'imageID']);
const times = /^(?:creationTimestamp|lastTransitionTime|startedAt|finishedAt|startTime)$/;

function comparable(value: unknown, key: string): unknown {
  if (Array.isArray(value)) return value.map((item) => comparable(item, key));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value)
        .filter(([name]) => !dropped.has(name))
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, inner]) => [name, comparable(inner, name)]),
    );
  }
  if (typeof value !== 'string') return value;
  if (times.test(key)) return value.startsWith('1970') ? value : 'TIME';
  if (replacedIds.has(key)) return value === '' ? '' : 'ID';
  return normalizeText(value);
}

/** Without what depends on the moment at which it is looked at: the current state, and what follows from it. */
function withoutMoment(pod: Pod): unknown {
  const container = ({ name, image, resources, lastState }: ContainerStatus): object => ({
    name,
    image,
    resources,
    exitCode: lastState?.terminated?.exitCode,
    reason: lastState?.terminated?.reason,
  });
  return {
    metadata: pod.metadata,
    spec: pod.spec,
    status: {
      ...pod.status,
      conditions: pod.status?.conditions?.map(({ type }) => type),
      containerStatuses: pod.status?.containerStatuses?.map(container),
      initContainerStatuses: pod.status?.initContainerStatuses?.map(container),
    },
  };
}

function compareValues(where: string, theirs: unknown, ours: unknown): string[] {
  if (isRecord(theirs) && isRecord(ours)) {
    const keys = new Set([...Object.keys(theirs), ...Object.keys(ours)]);
    return [...keys].flatMap((key) => compareValues(`${where}.${key}`, theirs[key], ours[key]));
  }
  if (Array.isArray(theirs) && Array.isArray(ours) && theirs.length === ours.length) {
    return theirs.flatMap((item, index) => compareValues(`${where}[${index}]`, item, ours[index]));
  }
  const a = JSON.stringify(theirs);
  const b = JSON.stringify(ours);
  return a === b ? [] : [`${where}: golden ${a}, ours ${b}`];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const jitterPods = new Set(['crasher', 'init-and-sidecar', 'missing-binary', 'no-image', 'tcp-liveness']);
/** Container start (up to 2 s there), whole-second stamps, and the phase of the probe's ticker. */
const toleranceSeconds = 4;

function offsetSeconds(pod: Pod, time: string | undefined): number | undefined {
  if (time === undefined || time.startsWith('1970')) return undefined;
  return (Date.parse(time) - Date.parse(pod.metadata?.creationTimestamp ?? '')) / 1_000;
}

function timesOf(pod: Pod): Record<string, number | undefined> {
  const found: Record<string, number | undefined> = { startTime: offsetSeconds(pod, pod.status?.startTime) };
  for (const condition of pod.status?.conditions ?? []) {
    found[condition.type] = offsetSeconds(pod, condition.lastTransitionTime);
  }
  const statuses: readonly ContainerStatus[] = [
    ...(pod.status?.initContainerStatuses ?? []),
    ...(pod.status?.containerStatuses ?? []),
  ];
  for (const { name, state, lastState } of statuses) {
    found[`${name}.running`] = offsetSeconds(pod, state?.running?.startedAt);
    found[`${name}.finished`] = offsetSeconds(pod, state?.terminated?.finishedAt);
    found[`${name}.lastStarted`] = offsetSeconds(pod, lastState?.terminated?.startedAt);
    found[`${name}.lastFinished`] = offsetSeconds(pod, lastState?.terminated?.finishedAt);
  }
  return found;
}

function comparePodTimes(name: string, golden: Pod, our: Pod): string[] {
  const theirs = timesOf(golden);
  const ours = timesOf(our);
  return Object.keys({ ...theirs, ...ours }).flatMap((key) => {
    const a = theirs[key];
    const b = ours[key];
    if (a === undefined && b === undefined) return [];
    if (a !== undefined && b !== undefined && Math.abs(a - b) <= toleranceSeconds) return [];
    return [`${name}: time ${key}: golden +${a}s, ours +${b}s`];
  });
}

interface EventLine {
  readonly count: number;
  readonly firstSeconds: number;
  readonly lastSeconds: number;
}

function eventsOf(recording: Recording, pod: Pod): Map<string, EventLine> {
  const lines = new Map<string, EventLine>();
  const mine = recording.events.filter((event) => event.involvedObject.name === pod.metadata?.name);
  for (const event of mine) {
    const component = event.source?.component ?? event.reportingComponent;
    const field = event.involvedObject.fieldPath ?? '';
    const message = normalizeText(event.message ?? '');
    const key = `${event.type} ${event.reason} ${component} ${field} ${message}`;
    lines.set(key, {
      count: event.count ?? 1,
      firstSeconds: offsetSeconds(pod, event.firstTimestamp ?? event.eventTime ?? undefined) ?? Number.NaN,
      lastSeconds: offsetSeconds(pod, event.lastTimestamp ?? event.eventTime ?? undefined) ?? Number.NaN,
    });
  }
  return lines;
}

/** Written once for each sync in back-off, so their number depends on the jitter of the syncs. */
const countedPerSync = /^(?:Normal|Warning) BackOff |Error: ImagePullBackOff$/;
const perSyncCountTolerance = 6;

function countTolerance(pod: string, key: string): number {
  if (countedPerSync.test(key)) return perSyncCountTolerance;
  if (pod === 'not-ready') return 1; // the first attempt comes as soon as the container runs
  // One restart more or less within the six minutes, with its probes; a burst of 25 events is all that is written.
  return jitterPods.has(pod) ? 4 : 0;
}

function compareEvents(
  pod: string,
  golden: ReadonlyMap<string, EventLine>,
  ours: ReadonlyMap<string, EventLine>,
): string[] {
  const found: string[] = [];
  for (const key of new Set([...golden.keys(), ...ours.keys()])) {
    const a = golden.get(key);
    const b = ours.get(key);
    if (a === undefined || b === undefined) {
      found.push(`${pod}: event only ${a === undefined ? `ours (x${b?.count})` : `golden (x${a.count})`}: ${key}`);
      continue;
    }
    if (Math.abs(a.count - b.count) > countTolerance(pod, key)) {
      found.push(`${pod}: event count golden x${a.count}, ours x${b.count}: ${key}`);
    }
    if (jitterPods.has(pod)) continue;
    for (const [when, x, y] of [
      ['first', a.firstSeconds, b.firstSeconds],
      ['last', a.lastSeconds, b.lastSeconds],
    ] as const) {
      if (Math.abs(x - y) > toleranceSeconds) found.push(`${pod}: ${when} at golden +${x}s, ours +${y}s: ${key}`);
    }
  }
  return found;
}

function rowsOf(recording: Recording, pod: string): WatchRow[] {
  const rows: WatchRow[] = [];
  for (const row of recording.watch.filter((candidate) => candidate.pod === pod)) {
    const last = rows.at(-1);
    if (last?.ready === row.ready && last.status === row.status && last.restarts === row.restarts) continue;
    rows.push(row);
  }
  return rows;
}

/**
 * Both must go through the same states. A state that lasted less than two seconds may be missing on either side:
 * `kubectl get -w` shows what the server's watch saw.
 */
function compareWatch(pod: string, golden: readonly WatchRow[], ours: readonly WatchRow[]): string[] {
  const hasJitter = jitterPods.has(pod);
  const nameOf = ({ ready, status, restarts }: WatchRow): string =>
    hasJitter ? `${ready} ${status}` : `${ready} ${status} ${restarts}`;
  const found: string[] = [];
  const mine = new Set(ours.map(nameOf));
  const theirs = new Set(golden.map(nameOf));
  for (const state of new Set(lasting(golden).map(nameOf))) {
    if (!mine.has(state)) found.push(`${pod}: get -w never showed ${state}`);
  }
  for (const state of new Set(lasting(ours).map(nameOf))) {
    if (!theirs.has(state)) found.push(`${pod}: get -w showed ${state}, the golden one never did`);
  }
  if (hasJitter) return found;
  for (const row of golden) {
    const same = ours.find((candidate) => nameOf(candidate) === nameOf(row));
    if (same !== undefined && Math.abs(same.atSeconds - row.atSeconds) > toleranceSeconds) {
      found.push(`${pod}: ${nameOf(row)} at golden +${row.atSeconds}s, ours +${same.atSeconds}s`);
    }
  }
  return found;
}

/** A crashed container is restarted at once, and then after 10, 20, 40 ... s, each up to a sync (15 s) late. */
const pacedPods = new Set(['crasher', 'missing-binary']);
const syncLatenessSeconds = 17;

function checkPace(pod: string, rows: readonly WatchRow[]): string[] {
  if (!pacedPods.has(pod)) return [];
  const found: string[] = [];
  let expected = 0;
  let previousSeconds: number | undefined;
  for (let restarts = 1; ; restarts++) {
    const at = rows.find((row) => row.restarts === restarts)?.atSeconds;
    if (at === undefined) break;
    const gap = previousSeconds === undefined ? at : at - previousSeconds;
    if (gap < expected - 1 || gap > expected + syncLatenessSeconds) {
      found.push(`${pod}: restart ${restarts} came ${gap} s after the one before it, not ${expected} s`);
    }
    previousSeconds = at;
    expected = expected === 0 ? 10 : Math.min(300, expected * 2);
  }
  if (previousSeconds === undefined) found.push(`${pod}: was never restarted`);
  return found;
}

function lasting(rows: readonly WatchRow[]): WatchRow[] {
  return rows.filter((row, index) => {
    const next = rows[index + 1];
    return next === undefined || next.atSeconds - row.atSeconds >= 2;
  });
}

function compareLines(what: string, golden: readonly string[], ours: readonly string[] | undefined): string[] {
  if (ours === undefined) return [`${what}: none`];
  const a = golden.map(normalizeText).map((line) => line.replaceAll('::ffff:', ''));
  const b = ours.map(normalizeText).map((line) => line.replaceAll('::ffff:', ''));
  return a.join('\n') === b.join('\n') ? [] : [`${what}: golden ${JSON.stringify(a)}, ours ${JSON.stringify(b)}`];
}
