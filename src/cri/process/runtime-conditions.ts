import type { RuntimeCondition } from '../runtime.ts';
import type { Launcher } from './launcher.ts';

/** In containerd's words, as far as it has any. */
export function conditionsOf(launcher: Pick<Launcher, 'networkProblem'>): readonly RuntimeCondition[] {
  const problem = launcher.networkProblem();
  const reason = problem === undefined ? '' : 'NetworkPluginNotReady';
  return [
    { type: 'RuntimeReady', status: true, reason: '', message: '' },
    { type: 'NetworkReady', status: problem === undefined, reason, message: problem ?? '' },
  ];
}
