/** What `rollout status` says. Pure. */
import type { DaemonSet, Deployment } from '../api/gen/types.ts';
import { CliError } from './cli-error.ts';

export interface RolloutState {
  readonly text: string;
  readonly isDone: boolean;
}

/** Fails if it will not be done any more. `revision` 0: whichever it is. */
export function deploymentRollout(deployment: Deployment, revision: number): RolloutState {
  const { metadata, spec, status = {} } = deployment;
  const name = `deployment "${metadata?.name ?? ''}"`;
  const running = Number(metadata?.annotations?.['deployment.kubernetes.io/revision'] ?? 0);
  if (revision > 0 && revision !== running) {
    throw new CliError(`desired revision (${revision}) is different from the running revision (${running})`);
  }
  const waiting = (what: string): RolloutState => ({
    text: `Waiting for ${name} rollout to finish: ${what}...\n`,
    isDone: false,
  });
  if ((metadata?.generation ?? 0) > (status.observedGeneration ?? 0)) {
    return { text: 'Waiting for deployment spec update to be observed...\n', isDone: false };
  }
  if (status.conditions?.find(({ type }) => type === 'Progressing')?.reason === 'ProgressDeadlineExceeded') {
    throw new CliError(`${name} exceeded its progress deadline`);
  }
  const { replicas = 0, updatedReplicas = 0, availableReplicas = 0 } = status;
  const wanted = spec?.replicas ?? 0;
  if (updatedReplicas < wanted) return waiting(`${updatedReplicas} out of ${wanted} new replicas have been updated`);
  if (replicas > updatedReplicas) return waiting(`${replicas - updatedReplicas} old replicas are pending termination`);
  if (availableReplicas < updatedReplicas) {
    return waiting(`${availableReplicas} of ${updatedReplicas} updated replicas are available`);
  }
  return { text: `${name} successfully rolled out\n`, isDone: true };
}

export function daemonSetRollout({ metadata, spec, status }: DaemonSet): RolloutState {
  const name = `daemon set "${metadata?.name ?? ''}"`;
  if (spec?.updateStrategy?.type !== 'RollingUpdate') {
    throw new CliError('rollout status is only available for RollingUpdate strategy type');
  }
  if ((metadata?.generation ?? 0) > (status?.observedGeneration ?? 0)) {
    return { text: 'Waiting for daemon set spec update to be observed...\n', isDone: false };
  }
  const { updatedNumberScheduled: updated = 0, desiredNumberScheduled: wanted = 0, numberAvailable = 0 } = status ?? {};
  const waiting = (what: string): RolloutState => ({
    text: `Waiting for ${name} rollout to finish: ${what}...\n`,
    isDone: false,
  });
  if (updated < wanted) return waiting(`${updated} out of ${wanted} new pods have been updated`);
  if (numberAvailable < wanted) return waiting(`${numberAvailable} of ${wanted} updated pods are available`);
  return { text: `${name} successfully rolled out\n`, isDone: true };
}
