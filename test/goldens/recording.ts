import fs from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import type { Event, Pod } from '../../src/api/gen/types.ts';

/** What was seen of the golden pods over six minutes: on the recorded cluster, or on ours. */
export interface Recording {
  /** Seconds after the create at which pods and events were read. */
  readonly readAtSeconds: number;
  readonly pods: readonly Pod[];
  readonly events: readonly Event[];
  /** The cells NAME READY STATUS RESTARTS of `kubectl get po -w`, each with the seconds after the create (its AGE). */
  readonly watch: readonly WatchRow[];
  /** `kubectl logs [--previous] POD`: the lines; by `POD` and `POD --previous`. */
  readonly logs: Readonly<Record<string, readonly string[]>>;
  /** `kubectl describe po POD`: what it says about volumes and where they are mounted, by pod. */
  readonly volumes: Readonly<Record<string, readonly string[]>>;
}

export interface WatchRow {
  readonly pod: string;
  readonly ready: string;
  readonly status: string;
  readonly restarts: number;
  readonly atSeconds: number;
}

const directory = path.resolve(import.meta.dirname ?? '.', '../data/goldens');

export const goldenPodNames = [
  'crasher',
  'init-and-sidecar',
  'kubia-liveness',
  'kubia-liveness-delay',
  'missing-binary',
  'no-image',
  'not-ready',
  'slow-start',
  'tcp-liveness',
] as const;

/** `6m2s` -> 362. */
export function secondsOfAge(age: string): number {
  let seconds = 0;
  for (const [, count, unit] of age.matchAll(/(\d+)([dhms])/g)) {
    seconds += Number(count) * { d: 86_400, h: 3_600, m: 60, s: 1 }[unit as 'd' | 'h' | 'm' | 's'];
  }
  return seconds;
}

/** One line of `kubectl get po`: `crasher   0/1   Error   2 (16s ago)   18s`. */
export function parseWatchLine(line: string): WatchRow | undefined {
  const cells = line.trim().split(/\s{2,}/);
  const [pod, ready, status, restarts, age] = cells;
  if (pod === undefined || pod === 'NAME' || ready === undefined || status === undefined) return undefined;
  if (restarts === undefined || age === undefined) return undefined;
  return { pod, ready, status, restarts: Number.parseInt(restarts, 10), atSeconds: secondsOfAge(age) };
}

/** The lines of `kubectl describe po` about mounts and volumes. */
export function volumeLinesOf(description: string): string[] {
  const found: string[] = [];
  let sectionIndent: number | undefined; // of the heading that we are under
  for (const line of description.split('\n')) {
    const indent = line.length - line.trimStart().length;
    if (sectionIndent !== undefined && indent <= sectionIndent) sectionIndent = undefined;
    if (/^ *(?:Mounts|Volumes):/.test(line)) sectionIndent = indent;
    if (sectionIndent !== undefined) found.push(line);
  }
  return found;
}

function readLines(name: string): string[] {
  return fs.readFileSync(path.join(directory, name), 'utf8').split('\n').filter(Boolean);
}

/** The manifests that were created together. */
export function goldenManifests(): string {
  return fs.readFileSync(path.join(directory, 'pods.yaml'), 'utf8');
}

/** What the real cluster showed. */
export function goldenRecording(): Recording {
  const logs: Record<string, string[]> = {};
  for (const pod of goldenPodNames) {
    logs[pod] = readLines(`logs-${pod}.txt`);
    logs[`${pod} --previous`] = fs.existsSync(path.join(directory, `logs-previous-${pod}.txt`))
      ? readLines(`logs-previous-${pod}.txt`)
      : [];
  }
  return {
    readAtSeconds: 362,
    pods: goldenPodNames.map((name) => parse(fs.readFileSync(path.join(directory, `${name}.yaml`), 'utf8')) as Pod),
    events: goldenEvents(),
    watch: readLines('get-watch.txt').flatMap((line) => parseWatchLine(line) ?? []),
    logs,
    volumes: Object.fromEntries(
      goldenPodNames.map((name) => {
        const text = fs.readFileSync(path.join(directory, `describe-${name}.txt`), 'utf8');
        return [name, volumeLinesOf(text)];
      }),
    ),
  };
}

/** `events.yaml` lacks some that were there: those come from what `kubectl events` printed 3 s after the other readings. */
function goldenEvents(): Event[] {
  const { items } = parse(fs.readFileSync(path.join(directory, 'events.yaml'), 'utf8')) as { items: Event[] };
  const isKnown = (pod: string, message: string): boolean =>
    items.some((event) => event.involvedObject.name === pod && event.message?.trim() === message);
  const printed = readLines('kubectl-events.txt').slice(1).map(parseEventLine);
  return [
    ...items,
    ...printed.filter(({ pod, message }) => !isKnown(pod, message)).map((line) => asEvent(line, items)),
  ];
}

interface EventLine {
  readonly lastAgo: number;
  readonly firstAgo: number;
  readonly count: number;
  readonly type: string;
  readonly reason: string;
  readonly pod: string;
  readonly message: string;
}

function parseEventLine(line: string): EventLine {
  const [age = '', type = '', reason = '', object = '', ...message] = line.split(/\s{2,}/);
  const [, last = '', count = '1', first = last] = /^(\S+)(?: \(x(\d+) over (\S+)\))?$/.exec(age) ?? [];
  return {
    lastAgo: secondsOfAge(last),
    firstAgo: secondsOfAge(first),
    count: Number(count),
    type,
    reason,
    pod: object.replace('Pod/', ''),
    message: message.join(' ').trim(),
  };
}

const printedAtSeconds = 365; // the Scheduled events of the first second are 6m5s old

function asEvent(line: EventLine, known: readonly Event[]): Event {
  const ofPod = known.filter((event) => event.involvedObject.name === line.pod);
  const created = Date.parse('2026-11-21T20:03:22Z');
  const time = (ago: number): string => new Date(created + (printedAtSeconds - ago) * 1_000).toISOString();
  const isScheduled = line.reason === 'Scheduled';
  const fieldPath = ofPod.find(({ involvedObject }) => involvedObject.fieldPath !== undefined)?.involvedObject
    .fieldPath;
  return {
    metadata: {},
    involvedObject: { name: line.pod, ...(isScheduled || fieldPath === undefined ? {} : { fieldPath }) },
    type: line.type,
    reason: line.reason,
    message: line.message,
    count: line.count,
    source: { component: isScheduled ? 'default-scheduler' : 'kubelet' },
    firstTimestamp: time(line.firstAgo),
    lastTimestamp: time(line.lastAgo),
  };
}
