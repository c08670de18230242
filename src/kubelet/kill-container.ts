import type { Container, Pod } from '../api/gen/types.ts';
import { StatusError, hasReason } from '../base/status-error.ts';
import { TaskScope } from '../base/task-scope.ts';
import { runHook } from './hooks.ts';
import type { NodeContext } from './node-context.ts';
import type { KillReason } from './pod-actions.ts';
import { containerReference } from './pod-names.ts';

export const graceSecondsMin = 2; // every container gets that long between the stop signal and SIGKILL

export interface KillTarget {
  readonly pod: Pod;
  readonly container: Container;
  readonly containerId: string;
  readonly podIp: string;
}

export interface KillOptions {
  /** The Killing event's text; `''`: `Stopping container NAME`. */
  readonly message: string;
  readonly reason: KillReason;
  /** Replaces the grace period that pod and probe ask for. */
  readonly graceSeconds: number | undefined;
  /** Waits until this container may be stopped, at most so long; for the order of sidecars. */
  readonly waitTurn: ((timeoutMs: number, signal: AbortSignal) => Promise<void>) | undefined;
}

type KillContext = Pick<NodeContext, 'clock' | 'log' | 'runtime' | 'transport' | 'recorder'>;

/** Ends one container: event, preStop, its turn, stop signal, SIGKILL (section 4.6). Resolves when it has ended. */
export async function killContainer(
  context: KillContext,
  target: KillTarget,
  options: KillOptions,
  signal: AbortSignal,
): Promise<void> {
  const { pod, container, containerId } = target;
  const message = options.message === '' ? `Stopping container ${container.name}` : options.message;
  context.recorder.event(containerReference(pod, container.name), 'Normal', 'Killing', message);
  let graceSeconds = options.graceSeconds ?? graceSecondsOf(pod, container, options.reason);
  if (container.lifecycle?.preStop !== undefined && graceSeconds > 0) {
    graceSeconds -= await secondsOf(context, () => runPreStop(context, target, graceSeconds, signal));
  }
  const { waitTurn } = options;
  if (waitTurn !== undefined && graceSeconds > 0) {
    graceSeconds -= await secondsOf(context, () => waitTurn(graceSeconds * 1_000, signal));
  }
  const graceMs = Math.max(graceSeconds, graceSecondsMin) * 1_000;
  context.log.info('containerKilled', { podUid: pod.metadata?.uid, container: container.name, containerId, graceMs });
  try {
    await context.runtime.stopContainer(containerId, graceMs, signal);
  } catch (error) {
    if (!hasReason(error, 'NotFound')) throw error;
  }
}

/** In seconds (section 4.6, 1). */
export function graceSecondsOf(pod: Pod, container: Container, reason: KillReason): number {
  const { deletionGracePeriodSeconds } = pod.metadata ?? {};
  if (deletionGracePeriodSeconds !== undefined) return deletionGracePeriodSeconds;
  const ofPod = pod.spec?.terminationGracePeriodSeconds ?? graceSecondsMin;
  switch (reason) {
    case 'liveness':
      return container.livenessProbe?.terminationGracePeriodSeconds ?? ofPod;
    case 'startup':
      return container.startupProbe?.terminationGracePeriodSeconds ?? ofPod;
    case 'other':
      return ofPod;
  }
}

async function secondsOf(context: KillContext, task: () => Promise<void>): Promise<number> {
  const startedMonoMs = context.clock.monoMs();
  await task();
  return Math.floor((context.clock.monoMs() - startedMonoMs) / 1_000);
}

/** Runs the hook for at most the grace period; one that takes longer is abandoned. */
async function runPreStop(
  context: KillContext,
  target: KillTarget,
  graceSeconds: number,
  signal: AbortSignal,
): Promise<void> {
  const { pod, container } = target;
  const preStop = container.lifecycle?.preStop;
  if (preStop === undefined) return;
  const scope = new TaskScope(signal);
  const outOfTime = new StatusError('Timeout', 'preStop hook took longer than the grace period');
  let failure: string | undefined;
  const hook = runHook(context, target, preStop, scope.signal).then((found) => {
    failure = found;
  });
  const limit = context.clock.sleep(graceSeconds * 1_000, 'kubelet.kill.preStop', scope.signal);
  try {
    await Promise.race([hook, limit]);
  } finally {
    await scope.close(outOfTime);
    await Promise.allSettled([hook, limit]);
  }
  if (failure === undefined) return;
  context.log.warn('preStopFailed', { podUid: pod.metadata?.uid, container: container.name, error: failure });
  const reference = containerReference(pod, container.name);
  context.recorder.event(reference, 'Warning', 'FailedPreStopHook', 'PreStopHook failed');
}
