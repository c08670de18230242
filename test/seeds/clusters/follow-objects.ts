import type { KubernetesObject, ResourceType } from '../../../src/api/resources.ts';
import type { Clock } from '../../../src/base/clock.ts';
import { InvariantError, hasReason } from '../../../src/base/status-error.ts';
import type { StatusError } from '../../../src/base/status-error.ts';
import type { ApiClient } from '../../../src/client/api-client.ts';

const retryMs = 200;

export type EventType = 'ADDED' | 'MODIFIED' | 'DELETED';

export interface ObjectFollower<T> {
  /** A change that the watch told of. */
  onEvent(type: EventType, object: T): void;
  /** It went while nobody answered: `object` is what it was before. */
  onMissed(object: T): void;
  /** Everything was looked at anew: what comes next is later than this. */
  onList(revision: number): void;
}

interface Following<T> {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly type: ResourceType<T & KubernetesObject>;
  readonly namespace?: string;
}

/** Tells of every change until `signal` aborts; looks at everything anew when the server died in between. */
export async function followObjects<T extends KubernetesObject>(
  { client, clock, type, namespace }: Following<T>,
  follower: ObjectFollower<T>,
  signal: AbortSignal,
): Promise<void> {
  const known = new Map<string, T>(); // by uid
  const scope = namespace === undefined ? {} : { namespace };
  while (!signal.aborted) {
    try {
      const list = await client.list<T>(type, scope, signal);
      const resourceVersion = list.metadata.resourceVersion ?? '';
      follower.onList(Number(resourceVersion));
      tellDifference(known, list.items, follower);
      for await (const event of client.watch<T>(type, { ...scope, resourceVersion }, signal)) {
        if (event.type === 'BOOKMARK') continue;
        const uid = event.object.metadata?.uid ?? '';
        if (event.type === 'DELETED') known.delete(uid);
        else known.set(uid, event.object);
        follower.onEvent(event.type, event.object);
      }
      if (!signal.aborted) throw new InvariantError(`the watch of ${type.resource} ended`);
    } catch (error) {
      if (signal.aborted) return;
      // What a client throws.
      if (!hasReason(error as StatusError, 'ServiceUnavailable')) throw error;
      await clock.sleep(retryMs, 'seed.follow.retry', signal);
    }
  }
}

function tellDifference<T extends KubernetesObject>(
  known: Map<string, T>,
  items: readonly T[],
  follower: ObjectFollower<T>,
): void {
  const listed = new Map(items.map((object) => [object.metadata?.uid ?? '', object]));
  for (const [uid, object] of Array.from(known)) {
    if (listed.has(uid)) continue;
    known.delete(uid);
    follower.onMissed(object);
  }
  const versionOf = ({ metadata }: T): number => Number(metadata?.resourceVersion);
  for (const [uid, object] of [...listed].sort(([, a], [, b]) => versionOf(a) - versionOf(b))) {
    const before = known.get(uid);
    if (before?.metadata?.resourceVersion === object.metadata?.resourceVersion) continue;
    known.set(uid, object);
    follower.onEvent(before === undefined ? 'ADDED' : 'MODIFIED', object);
  }
}
