import type { ReplicaSet, ReplicationController } from '../api/gen/types.ts';
import { matcherOfLabels, matcherOfSelector } from '../api/label-selector.ts';
import type { LabelMatcher } from '../api/label-selector.ts';
import type { Informer } from '../client/informer.ts';
import type { PodNeeds } from './pod-needs.ts';

export interface OwnerInformers {
  readonly replicationControllers: Informer<ReplicationController>;
  readonly replicaSets: Informer<ReplicaSet>;
}

/**
 * What the controller of a pod selects its pods by, which is what it is spread among by default; `undefined` if there
 * is nothing to go by. Upstream: `helper.DefaultSelector`.
 */
export function ownerSelector({ namespace, owner }: PodNeeds, informers: OwnerInformers): LabelMatcher | undefined {
  let selector: LabelMatcher | undefined;
  if (owner?.kind === 'ReplicationController') {
    selector = matcherOfLabels(informers.replicationControllers.get(namespace, owner.name)?.spec?.selector ?? {});
  } else if (owner?.kind === 'ReplicaSet') {
    selector = matcherOfSelector(informers.replicaSets.get(namespace, owner.name)?.spec?.selector);
  }
  return selector === undefined || selector.requirements.length === 0 ? undefined : selector;
}
