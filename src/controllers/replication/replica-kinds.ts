import type { ReplicaSet, ReplicationController } from '../../api/gen/types.ts';
import { type LabelMatcher, matcherOfLabels, matcherOfSelector } from '../../api/label-selector.ts';
import { resources } from '../../api/resources.ts';
import type { ResourceType } from '../../api/resources.ts';

/** What keeps a number of pods running: one controller does for both kinds, as upstream. */
export type Replicated = ReplicationController | ReplicaSet;

export interface ReplicaKind<T extends Replicated> {
  readonly type: ResourceType<T>;
  /** Who says so in events. */
  readonly component: string;
  selectorOf(owner: T): LabelMatcher;
}

export const replicationControllerKind: ReplicaKind<ReplicationController> = {
  type: resources.replicationcontrollers,
  component: 'replication-controller',
  selectorOf: ({ spec }) => matcherOfLabels(spec?.selector ?? {}),
};

export const replicaSetKind: ReplicaKind<ReplicaSet> = {
  type: resources.replicasets,
  component: 'replicaset-controller',
  selectorOf: ({ spec }) => matcherOfSelector(spec?.selector),
};
