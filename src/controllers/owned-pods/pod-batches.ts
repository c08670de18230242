import type { Pod } from '../../api/gen/types.ts';
import type { KubernetesObject } from '../../api/resources.ts';
import type { Expectations } from './expectations.ts';
import { createPod, deletePod } from './pod-control.ts';
import type { PodControl } from './pod-control.ts';
import { slowStart } from './slow-start.ts';

/** Whose pods are made and deleted, and where it is noted what its cache is to show. */
export interface PodBatch {
  readonly control: PodControl;
  readonly owner: KubernetesObject;
  readonly expectations: Expectations;
  readonly key: string;
}

export function uidOf({ metadata }: Pod): string {
  return metadata?.uid ?? '';
}

/**
 * Makes `pods` with a slow start, and deletes `surplus`, all at once. Resolves to the first failure, when all has been
 * tried; what failed is no longer expected.
 */
export async function changePods(
  batch: PodBatch,
  pods: readonly Pod[],
  surplus: readonly Pod[],
  signal: AbortSignal,
): Promise<unknown> {
  if (pods.length === 0 && surplus.length === 0) return undefined;
  const { control, owner, expectations, key } = batch;
  expectations.expect(key, { creations: pods.length, deletions: surplus.map(uidOf) });
  const waiting = [...pods];
  const { succeeded, failure } = await slowStart(pods.length, async () => {
    const pod = waiting.shift();
    const created = pod === undefined ? undefined : await createPod(control, owner, pod, signal);
    if (created === undefined) expectations.creationSeen(key);
  });
  // What was not created will never be seen.
  expectations.creationSeen(key, pods.length - succeeded);
  const results = await Promise.allSettled(
    surplus.map(async (pod) => {
      let isGoing = false;
      try {
        isGoing = await deletePod(control, owner, pod, signal);
      } finally {
        if (!isGoing) expectations.deletionSeen(key, uidOf(pod));
      }
    }),
  );
  return failure ?? results.find((result) => result.status === 'rejected')?.reason;
}
