/**
 * What `livelet demo` tells, as a pure state machine: probe attempts, events and pod states go in, lines of the
 * timeline come out, until the restart was seen and the new instance is well.
 */
import type { Event, Pod } from '../api/gen/types.ts';
import type { ProbeAttempt } from '../main/livelet.ts';
import { unreachable } from '../base/status-error.ts';

export type StoryInput =
  | { readonly kind: 'probe'; readonly attempt: ProbeAttempt }
  | { readonly kind: 'event'; readonly event: Event }
  | { readonly kind: 'pod'; readonly pod: Pod };

export interface Story {
  /** Failed attempts in a row on the first instance. */
  readonly failureCount: number;
  /** What the last failed attempt said. */
  readonly failureText: string;
  /** The kubelet said that it kills the container. */
  readonly wasKilled: boolean;
  readonly restartCount: number;
  /** Of the instance that was killed. */
  readonly exitCode: number | undefined;
  /** It ended before the kubelet killed it. */
  readonly crashed: boolean;
  /** The new instance has answered its probe. */
  readonly isWellAgain: boolean;
  /** What was told of the pod last, so that it is told once. */
  readonly podText: string;
  /** Occurrences of each event told so far, by its UID. */
  readonly toldEvents: ReadonlyMap<string, number>;
}

export type Tone = 'good' | 'bad' | 'plain';

export interface StoryLine {
  readonly what: 'probe' | 'event' | 'state' | 'cluster';
  readonly text: string;
  readonly tone: Tone;
}

export const newStory: Story = {
  failureCount: 0,
  failureText: '',
  wasKilled: false,
  restartCount: 0,
  exitCode: undefined,
  crashed: false,
  isWellAgain: false,
  podText: '',
  toldEvents: new Map(),
};

/** Whether all that the demo promises was really seen. */
export function isTold(story: Story): boolean {
  return story.wasKilled && story.restartCount > 0 && story.failureCount > 0 && story.isWellAgain;
}

export function nextStory(
  story: Story,
  input: StoryInput,
): { readonly story: Story; readonly lines: readonly StoryLine[] } {
  switch (input.kind) {
    case 'probe':
      return onProbe(story, input.attempt);
    case 'event':
      return onEvent(story, input.event);
    case 'pod':
      return onPod(story, input.pod);
    default:
      return unreachable(input);
  }
}

const killText = 'SIGTERM goes to the container; what still runs when the grace period is over gets SIGKILL';

type Told = ReturnType<typeof nextStory>;

function onProbe(story: Story, attempt: ProbeAttempt): Told {
  const latency = `${attempt.durationMs.toFixed(1)} ms`.padStart(8);
  const output = attempt.output.trim();
  if (attempt.outcome === 'success') {
    const text = `${latency}  success   ${output}`.trimEnd();
    return { story: { ...story, isWellAgain: story.restartCount > 0 }, lines: [{ what: 'probe', text, tone: 'good' }] };
  }
  const count = `${attempt.consecutive} of ${attempt.threshold}`;
  const text = `${latency}  ${attempt.outcome}   ${output} (${count})`;
  const isFirst = story.restartCount === 0;
  const next = isFirst ? { ...story, failureCount: attempt.consecutive, failureText: output } : story;
  return { story: next, lines: [{ what: 'probe', text, tone: 'bad' }] };
}

/** Repeats raise the event's count: each is told once. */
function onEvent(story: Story, event: Event): Told {
  const uid = event.metadata.uid ?? '';
  const count = event.series?.count ?? event.count ?? 1;
  if ((story.toldEvents.get(uid) ?? 0) >= count) return { story, lines: [] };
  const { reason = '', message = '' } = event;
  const repeats = count > 1 ? ` (x${count})` : '';
  const toldEvents = new Map(story.toldEvents).set(uid, count);
  const tone: Tone = event.type === 'Warning' || reason === 'Killing' ? 'bad' : 'plain';
  const lines: StoryLine[] = [{ what: 'event', text: `${reason.padEnd(11)}${message.trim()}${repeats}`, tone }];
  const isKilled = reason === 'Killing' && !story.wasKilled;
  if (isKilled) lines.push({ what: 'state', text: killText, tone: 'plain' });
  return { story: { ...story, toldEvents, wasKilled: story.wasKilled || isKilled }, lines };
}

function onPod(story: Story, pod: Pod): Told {
  const status = pod.status?.containerStatuses?.[0];
  if (status === undefined) return { story, lines: [] };
  const restartCount = status.restartCount;
  const exitCode = restartCount > 0 ? status.lastState?.terminated?.exitCode : undefined;
  const podText = `${stateText(pod)}, RESTARTS ${restartCount}`;
  if (podText === story.podText) return { story, lines: [] };
  const hasEnded = status.state?.terminated !== undefined || restartCount > 0;
  const crashed = story.crashed || (hasEnded && story.failureCount === 0);
  const next = { ...story, podText, restartCount, crashed, exitCode: exitCode ?? story.exitCode };
  const hasRestarted = restartCount > story.restartCount;
  const ended =
    hasRestarted && exitCode !== undefined ? `; the last instance ended with exit code ${exitCodeText(exitCode)}` : '';
  const tone: Tone = status.state?.running === undefined ? 'plain' : 'good';
  return { story: next, lines: [{ what: 'state', text: podText + ended, tone }] };
}

function stateText(pod: Pod): string {
  const status = pod.status?.containerStatuses?.[0];
  const name = `container ${status?.name ?? ''}`;
  if (status?.state?.running !== undefined) return `${name} is running`;
  const terminated = status?.state?.terminated;
  if (terminated !== undefined) return `${name} has ended with exit code ${exitCodeText(terminated.exitCode)}`;
  return `${name} is waiting: ${status?.state?.waiting?.reason ?? 'not started yet'}`;
}

const signalExitCodeMin = 128; // above it, a shell's way to tell of a signal
const signalNames: Readonly<Record<number, string>> = { 9: 'SIGKILL', 15: 'SIGTERM' };

/** `137 (128 + 9, SIGKILL)`. */
export function exitCodeText(exitCode: number): string {
  const signal = exitCode - signalExitCodeMin;
  const name = signalNames[signal];
  return name === undefined ? String(exitCode) : `${exitCode} (${signalExitCodeMin} + ${signal}, ${name})`;
}

/** Why the container was restarted, in two sentences. */
export function whyText(story: Story, options: { readonly graceSeconds: number; readonly container: string }): string {
  const { graceSeconds, container } = options;
  const first = `The liveness probe of container ${container} failed ${story.failureCount} times in a row
(${story.failureText}), so the kubelet killed the container.`;
  const how =
    story.exitCode === signalExitCodeMin + 9
      ? `It did not end on SIGTERM within its ${graceSeconds} s of grace, was ended by SIGKILL (exit code 137 = 128 + 9),
and was started again`
      : `It ended with exit code ${exitCodeText(story.exitCode ?? 0)}, and was started again`;
  return `${first}\n${how} because the pod's restartPolicy is Always: RESTARTS is ${story.restartCount}.`;
}
