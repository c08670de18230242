import type { LabelMatcher } from '../../api/label-selector.ts';
import type { KubernetesObject, ResourceType } from '../../api/resources.ts';
import { StatusError, hasReason } from '../../base/status-error.ts';
import type { Client } from '../../client/client.ts';
import { controllerOf, controllerRefOf } from './controller-ref.ts';

/** Who claims what. */
export interface Claim<T extends KubernetesObject> {
  readonly client: Client;
  readonly ownerType: ResourceType;
  readonly owner: KubernetesObject;
  readonly selector: LabelMatcher;
  /** Kind of what is claimed. */
  readonly type: ResourceType<T>;
  /** Finalizers that a pod loses when it is let go. */
  readonly finalizer?: string;
}

/**
 * Those of `objects` that belong to the owner: adopts orphans that its selector matches, lets go what it no longer
 * matches. Before the first adoption it reads the owner from the server: it may have gone meanwhile, or be another of
 * the same name. Upstream: `ControllerRefManager`.
 */
export async function claimObjects<T extends KubernetesObject>(
  claim: Claim<T>,
  objects: readonly T[],
  signal: AbortSignal,
): Promise<readonly T[]> {
  const { owner, selector } = claim;
  const isGoing = owner.metadata?.deletionTimestamp !== undefined;
  const claimed: T[] = [];
  let mayAdopt = false;
  let failure: unknown;
  for (const object of objects) {
    try {
      const controller = controllerOf(object);
      const matches = selector.matches(object.metadata?.labels);
      if (controller !== undefined) {
        if (controller.uid !== owner.metadata?.uid) continue;
        if (matches) claimed.push(object);
        else if (!isGoing) await release(claim, object, signal);
        continue;
      }
      if (isGoing || !matches || object.metadata?.deletionTimestamp !== undefined) continue;
      if (!mayAdopt) await checkOwner(claim, object, signal);
      mayAdopt = true;
      if (await adopt(claim, object, signal)) claimed.push(object);
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      failure ??= error;
    }
  }
  if (failure !== undefined) throw failure;
  return claimed;
}

async function checkOwner<T extends KubernetesObject>(
  { client, ownerType, owner, type }: Claim<T>,
  object: T,
  signal: AbortSignal,
): Promise<void> {
  const { namespace = '', name = '', uid = '' } = owner.metadata ?? {};
  const fresh = await client.get(ownerType, { namespace, name }, signal);
  const found = fresh.metadata?.uid ?? '';
  const at = fresh.metadata?.deletionTimestamp;
  const what = `${object.metadata?.namespace ?? ''}/${object.metadata?.name ?? ''} (${object.metadata?.uid ?? ''})`;
  const fail = (why: string): StatusError => new StatusError('Conflict', `can't adopt ${type.kind} ${what}: ${why}`);
  if (found !== uid) {
    throw fail(`original ${ownerType.kind} ${namespace}/${name} is gone: got uid ${found}, wanted ${uid}`);
  }
  if (at !== undefined) throw fail(`${namespace}/${name} has just been deleted at ${at}`);
}

/** False: it has gone. The UID in the patch makes sure that it is still the same object. */
async function adopt<T extends KubernetesObject>(
  { client, ownerType, owner, type, finalizer }: Claim<T>,
  object: T,
  signal: AbortSignal,
): Promise<boolean> {
  const { namespace = '', name = '', uid = '' } = object.metadata ?? {};
  const ownerReferences = [controllerRefOf(ownerType, owner)];
  const finalizers = finalizer === undefined ? {} : { finalizers: [finalizer] };
  const body = { metadata: { ownerReferences, uid, ...finalizers } };
  return patchIfThere(client, type, { namespace, name }, body, signal);
}

async function release<T extends KubernetesObject>(
  { client, owner, type, finalizer }: Claim<T>,
  object: T,
  signal: AbortSignal,
): Promise<void> {
  const { namespace = '', name = '', uid = '' } = object.metadata ?? {};
  const ownerReferences = [{ $patch: 'delete', uid: owner.metadata?.uid }];
  const finalizers = finalizer === undefined ? {} : { '$deleteFromPrimitiveList/finalizers': [finalizer] };
  const body = { metadata: { ownerReferences, uid, ...finalizers } };
  await patchIfThere(client, type, { namespace, name }, body, signal);
}

async function patchIfThere(
  client: Client,
  type: ResourceType,
  ref: { readonly namespace: string; readonly name: string },
  body: object,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await client.patch(type, ref, { type: 'strategic', body }, signal);
    return true;
  } catch (error) {
    if (hasReason(error, 'NotFound')) return false;
    throw error;
  }
}
