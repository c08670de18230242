import type { Pod } from '../../api/gen/types.ts';
import type { LabelMatcher } from '../../api/label-selector.ts';
import { selectorText } from '../../api/label-selector.ts';
import { resources } from '../../api/resources.ts';
import type { KubernetesObject } from '../../api/resources.ts';
import { hasReason } from '../../base/status-error.ts';
import type { Client } from '../../client/client.ts';
import type { ByController } from './by-controller.ts';
import { controllerOf } from './controller-ref.ts';
import type { Expectations } from './expectations.ts';
import { uidOf } from './pod-batches.ts';

export interface LostAnswersDeps {
  readonly client: Client;
  readonly podsByController: ByController<Pod>;
  readonly expectations: Expectations;
}

/** Which owners may have pods that were made or deleted by a request that was not answered, by their keys. */
export class LostAnswers {
  readonly #deps: LostAnswersDeps;
  readonly #doubtful = new Set<string>();

  constructor(deps: LostAnswersDeps) {
    this.#deps = deps;
  }

  /** A create or delete of a pod of this owner has failed so. */
  note(key: string, failure: unknown): void {
    if (mayHaveHappened(failure)) this.#doubtful.add(key);
  }

  forget(key: string): void {
    this.#doubtful.delete(key);
  }

  /** If in doubt, looks at what pods there really are, and expects to see them so. */
  async clear(key: string, owner: KubernetesObject, selector: LabelMatcher, signal: AbortSignal): Promise<void> {
    if (!this.#doubtful.has(key)) return;
    const { client, podsByController, expectations } = this.#deps;
    const { uid = '', namespace = '' } = owner.metadata ?? {};
    const labelSelector = selectorText(selector);
    const { items } = await client.list<Pod>(resources.pods, { namespace, labelSelector }, signal);
    const stays = ({ metadata }: Pod): boolean => metadata?.deletionTimestamp === undefined;
    const live = new Set(items.filter((pod) => controllerOf(pod)?.uid === uid && stays(pod)).map(uidOf));
    const known = podsByController.ownedBy(uid);
    const knownUids = new Set(known.map(uidOf));
    const creations = [...live].filter((podUid) => !knownUids.has(podUid)).length;
    const deletions = known.filter((pod) => stays(pod) && !live.has(uidOf(pod))).map(uidOf);
    expectations.expect(key, { creations, deletions });
    this.#doubtful.delete(key);
  }
}

/** Whether a request that failed so may have been done all the same. */
export function mayHaveHappened(failure: unknown): boolean {
  return hasReason(failure, 'ServiceUnavailable', 'Timeout', 'InternalError');
}
