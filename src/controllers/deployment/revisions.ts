/** Which replica set is the newest of a deployment, and what its annotations say. Pure. */
import type { Deployment, PodTemplateSpec, ReplicaSet } from '../../api/gen/types.ts';
import { hashLabel, isSameTemplate } from '../../api/pod-template-hash.ts';
import { controllerRefOf } from '../owned-pods/controller-ref.ts';
import { resources } from '../../api/resources.ts';
import { nameAlphabet } from '../../base/entropy.ts';

export const revisionAnnotation = 'deployment.kubernetes.io/revision';
const historyAnnotation = 'deployment.kubernetes.io/revision-history';
/** How many pods the deployment wanted, and might have had, when the size was decided last. */
export const desiredAnnotation = 'deployment.kubernetes.io/desired-replicas';
export const maxAnnotation = 'deployment.kubernetes.io/max-replicas';
const historyCharsMax = 2_000;

/** Annotations of a deployment that its replica sets do not get. */
const ownAnnotations: ReadonlySet<string> = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  'deprecated.deployment.rollback.to',
  revisionAnnotation,
  historyAnnotation,
  desiredAnnotation,
  maxAnnotation,
]);

/** Older first, by name if of the same second. */
export function byCreation(a: ReplicaSet, b: ReplicaSet): number {
  const [ofA, ofB] = [a.metadata?.creationTimestamp ?? '', b.metadata?.creationTimestamp ?? ''];
  if (ofA !== ofB) return ofA < ofB ? -1 : 1;
  return (a.metadata?.name ?? '') < (b.metadata?.name ?? '') ? -1 : 1;
}

/** The oldest one with the template of the deployment. Upstream: `FindNewReplicaSet`. */
export function findNewReplicaSet(deployment: Deployment, all: readonly ReplicaSet[]): ReplicaSet | undefined {
  return [...all].sort(byCreation).find((one) => hasTemplate(one, deployment.spec?.template));
}

export function hasTemplate(replicaSet: ReplicaSet, template: PodTemplateSpec | undefined): boolean {
  return isSameTemplate(replicaSet.spec?.template, template);
}

/** Any 64-bit integer: who made a replica set by hand may have written one that no `number` holds. */
export function revisionOf(replicaSet: ReplicaSet): bigint {
  const text = replicaSet.metadata?.annotations?.[revisionAnnotation] ?? '';
  return /^\d+$/.test(text) ? BigInt(text) : 0n;
}

export function maxRevision(replicaSets: readonly ReplicaSet[]): bigint {
  return replicaSets.map(revisionOf).reduce((max, each) => (each > max ? each : max), 0n);
}

/** Oldest revision first, by age if they have the same. Upstream: `ReplicaSetsByRevision`. */
export function byRevision(a: ReplicaSet, b: ReplicaSet): number {
  const [ofA, ofB] = [revisionOf(a), revisionOf(b)];
  if (ofA === ofB) return byCreation(a, b);
  return ofA < ofB ? -1 : 1;
}

/** The annotations that the newest replica set is to have. Upstream: `SetNewReplicaSetAnnotations`. */
export function newAnnotations(
  deployment: Deployment,
  replicaSet: ReplicaSet,
  revision: bigint,
): Readonly<Record<string, string>> {
  const annotations: Record<string, string> = { ...replicaSet.metadata?.annotations };
  for (const [name, value] of Object.entries(deployment.metadata?.annotations ?? {})) {
    if (!ownAnnotations.has(name)) annotations[name] = value;
  }
  const before = annotations[revisionAnnotation];
  if (before !== undefined && before !== '' && !/^\d+$/.test(before)) return annotations; // somebody else's doing
  if (revisionOf(replicaSet) >= revision) return annotations;
  annotations[revisionAnnotation] = String(revision);
  // It had a revision before: this is a way back, and the old number is kept for the record.
  if (before !== undefined) annotations[historyAnnotation] = historyWith(annotations[historyAnnotation] ?? '', before);
  return annotations;
}

function historyWith(history: string, revision: string): string {
  const revisions = history === '' ? [] : history.split(',');
  revisions.push(revision);
  while (revisions.length > 1 && revisions.join(',').length > historyCharsMax) revisions.shift();
  return revisions.join(',');
}

/** The replica set for the template that the deployment has now, still without pods. */
export function makeReplicaSet(deployment: Deployment, hash: string): ReplicaSet {
  const { name = '', namespace = '' } = deployment.metadata ?? {};
  const { selector = {}, template = {}, minReadySeconds } = deployment.spec ?? {};
  const labels = { ...template.metadata?.labels, [hashLabel]: hash };
  return {
    metadata: {
      name: `${name.slice(0, nameCharsMax - hash.length - 1)}-${hash}`,
      namespace,
      labels,
      ownerReferences: [controllerRefOf(resources.deployments, deployment)],
    },
    spec: {
      replicas: 0,
      ...(minReadySeconds === undefined ? {} : { minReadySeconds }),
      selector: { ...selector, matchLabels: { ...selector.matchLabels, [hashLabel]: hash } },
      template: { ...template, metadata: { ...template.metadata, labels } },
    },
  };
}

const nameCharsMax = 253;

/**
 * A short hash of a template, as upstream writes it (32-bit FNV-1a, in an alphabet without vowels), though of another
 * text of the template. `collisions`: how often another template had the same one.
 */
export function templateHash(template: PodTemplateSpec, collisions: number | undefined): string {
  let hash = 0x811c9dc5;
  const text = JSON.stringify(sortedKeys(template)) + (collisions === undefined ? '' : String(collisions));
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  let encoded = '';
  for (const digit of String(hash >>> 0)) encoded += nameAlphabet.charAt(digit.charCodeAt(0) % nameAlphabet.length);
  return encoded;
}

function sortedKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortedKeys);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, member]) => [key, sortedKeys(member)]));
}
