import type { ControllerRevision, DaemonSet, Pod, PodTemplateSpec } from '../../api/gen/types.ts';
import { matcherOfSelector } from '../../api/label-selector.ts';
import { resources } from '../../api/resources.ts';
import { sameValue } from '../../api/validation/same-value.ts';
import { StatusError, hasReason } from '../../base/status-error.ts';
import type { Client } from '../../client/client.ts';
import { claimObjects } from '../owned-pods/claim-objects.ts';
import { controllerOf, controllerRefOf } from '../owned-pods/controller-ref.ts';
import { templateHash } from '../deployment/revisions.ts';
import { hashLabel } from './daemon-pods.ts';

/** The templates that a daemon set has had, as ControllerRevisions. Upstream: `constructHistory`. */
export interface TemplateHistory {
  /** Of the template that it has now. */
  readonly hash: string;
  readonly current: ControllerRevision;
  readonly old: readonly ControllerRevision[];
  /** Others of the same template: somebody made them by hand. */
  readonly doubles: readonly ControllerRevision[];
}

/** What `kubectl rollout undo` patches the daemon set with: the whole template in place of what is there. */
function dataOf(template: PodTemplateSpec): object {
  return { spec: { template: { ...template, $patch: 'replace' } } };
}

/** Finds the revision of the template, or makes it; one that is found again gets the highest number. */
export async function recordTemplate(
  client: Client,
  daemonSet: DaemonSet,
  candidates: readonly ControllerRevision[],
  signal: AbortSignal,
): Promise<TemplateHistory> {
  const revisions = await claimObjects(
    {
      client,
      ownerType: resources.daemonsets,
      owner: daemonSet,
      selector: matcherOfSelector(daemonSet.spec?.selector),
      type: resources.controllerrevisions,
    },
    candidates,
    signal,
  );
  const data = dataOf(daemonSet.spec?.template ?? {});
  const byNumber = [...revisions].sort((a, b) => a.revision - b.revision);
  const same = byNumber.filter((one) => sameValue(one.data, data));
  const found = same.at(-1);
  const doubles = same.slice(0, -1);
  const old = byNumber.filter((one) => !same.includes(one));
  const highest = Math.max(0, ...old.map(({ revision }) => revision));
  if (found === undefined) {
    const made = await makeRevision(client, daemonSet, data, highest + 1, signal);
    return { hash: hashOf(made), current: made, old, doubles };
  }
  if (found.revision > highest) return { hash: hashOf(found), current: found, old, doubles };
  const { namespace = '', name = '' } = found.metadata ?? {};
  const raised = { ...found, revision: highest + 1 };
  const current = await client.update(resources.controllerrevisions, { namespace, name }, raised, signal);
  return { hash: hashOf(current), current, old, doubles };
}

/** One that bears none is told by its name. */
function hashOf({ metadata }: ControllerRevision): string {
  return metadata?.labels?.[hashLabel] ?? metadata?.name ?? '';
}

/**
 * Of several revisions of the current template the newest stays, and its pods bear its hash. False: pods had to be
 * relabelled, and until the cache shows them so nothing may be decided by their hashes. Upstream: `dedupCurHistories`.
 */
export async function mergeDoubles(
  client: Client,
  { doubles, hash }: TemplateHistory,
  pods: readonly Pod[],
  signal: AbortSignal,
): Promise<boolean> {
  const others = new Set(doubles.map(hashOf).filter((one) => one !== hash));
  const mislabelled = pods.filter(({ metadata }) => others.has(metadata?.labels?.[hashLabel] ?? ''));
  for (const { metadata } of mislabelled) {
    const { namespace = '', name = '', uid = '' } = metadata ?? {};
    const body = { metadata: { uid, labels: { [hashLabel]: hash } } };
    try {
      await client.patch(resources.pods, { namespace, name }, { type: 'strategic', body }, signal);
    } catch (error) {
      if (!hasReason(error, 'NotFound', 'Conflict')) throw error;
    }
  }
  if (mislabelled.length > 0) return false;
  for (const double of doubles) await deleteRevision(client, double, signal);
  return true;
}

async function deleteRevision(client: Client, { metadata }: ControllerRevision, signal: AbortSignal): Promise<void> {
  const { namespace = '', name = '', uid = '' } = metadata ?? {};
  try {
    const options = { preconditions: { uid } };
    await client.delete(resources.controllerrevisions, { namespace, name }, options, signal);
  } catch (error) {
    if (!hasReason(error, 'NotFound', 'Conflict')) throw error;
  }
}

async function makeRevision(
  client: Client,
  daemonSet: DaemonSet,
  data: object,
  revision: number,
  signal: AbortSignal,
): Promise<ControllerRevision> {
  const { namespace = '', name = '', annotations } = daemonSet.metadata ?? {};
  const template = daemonSet.spec?.template ?? {};
  const hash = templateHash(template, daemonSet.status?.collisionCount);
  const wanted: ControllerRevision = {
    metadata: {
      name: `${name}-${hash}`,
      namespace,
      labels: { ...template.metadata?.labels, [hashLabel]: hash },
      ...(annotations === undefined ? {} : { annotations }),
      ownerReferences: [controllerRefOf(resources.daemonsets, daemonSet)],
    },
    data,
    revision,
  };
  try {
    return await client.create<ControllerRevision>(resources.controllerrevisions, { namespace }, wanted, signal);
  } catch (error) {
    if (!hasReason(error, 'AlreadyExists')) throw error;
  }
  const ref = { namespace, name: wanted.metadata?.name ?? '' };
  const found = await client.get<ControllerRevision>(resources.controllerrevisions, ref, signal);
  if (controllerOf(found)?.uid === daemonSet.metadata?.uid && sameValue(found.data, data)) return found;
  // Another template has the same hash: the next one is made with the count of such cases in it.
  const collisionCount = (daemonSet.status?.collisionCount ?? 0) + 1;
  const status = { ...(daemonSet.status ?? noStatus), collisionCount };
  const statusRef = { namespace, name, subresource: 'status' };
  await client.update(resources.daemonsets, statusRef, { ...daemonSet, status }, signal);
  throw new StatusError('Conflict', `the hash of the template of ${name} is taken`);
}

const noStatus = { currentNumberScheduled: 0, desiredNumberScheduled: 0, numberMisscheduled: 0, numberReady: 0 };

/** Deletes the oldest revisions beyond the limit that no pod is of. Upstream: `cleanupHistory`. */
export async function trimHistory(
  client: Client,
  daemonSet: DaemonSet,
  { old, hash }: TemplateHistory,
  pods: readonly Pod[],
  signal: AbortSignal,
): Promise<void> {
  const live = new Set([hash, ...pods.map(({ metadata }) => metadata?.labels?.[hashLabel] ?? '')]);
  const unused = old.filter((one) => !live.has(hashOf(one)));
  const surplus = old.length - (daemonSet.spec?.revisionHistoryLimit ?? 10);
  for (const one of unused.slice(0, Math.max(0, surplus))) await deleteRevision(client, one, signal);
}
