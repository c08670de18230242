import type { Pod } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import { formatTime } from '../api/time.ts';
import { hasReason } from '../base/status-error.ts';
import type { ControllerDeps } from './run-controller.ts';

export interface Disruption {
  /** E.g. `DeletionByTaintManager`. */
  readonly reason: string;
  readonly message: string;
  /** Written into the status too. Default: the phase stays as it is. */
  readonly phase?: 'Failed';
  /** Default: the pod's own. */
  readonly gracePeriodSeconds?: number;
}

/** Says in the pod's status why it goes, and deletes it. Nothing happens if it is gone or another one by now. */
export async function disruptPod(
  { client, clock }: Pick<ControllerDeps, 'client' | 'clock'>,
  pod: Pod,
  { reason, message, phase, gracePeriodSeconds }: Disruption,
  signal: AbortSignal,
): Promise<void> {
  const { namespace = '', name = '', uid = '' } = pod.metadata ?? {};
  const now = formatTime(clock.wallMs());
  const condition = { type: 'DisruptionTarget', status: 'True', reason, message, lastTransitionTime: now };
  const status = { conditions: [condition], ...(phase === undefined ? {} : { phase }) };
  const patch = { type: 'strategic', body: { metadata: { uid }, status } } as const;
  const grace = gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds };
  try {
    await client.patch(resources.pods, { namespace, name, subresource: 'status' }, patch, signal);
    await client.delete(resources.pods, { namespace, name }, { preconditions: { uid }, ...grace }, signal);
  } catch (error) {
    if (!hasReason(error, 'NotFound', 'Conflict')) throw error;
  }
}
