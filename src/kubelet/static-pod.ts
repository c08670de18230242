import { decodeObject } from '../api/decode-body.ts';
import { applyDefaults } from '../api/defaulting.ts';
import { fieldErrorText, joinErrorTexts } from '../api/field-error.ts';
import type { Pod } from '../api/gen/types.ts';
import { apiReferenceOf } from '../api/pod-references.ts';
import { resources } from '../api/resources.ts';
import { formatMicroTime } from '../api/time.ts';
import { validateCreate } from '../api/validation/validate.ts';
import { StatusError } from '../base/status-error.ts';

/** Upstream's annotations, by which a static pod and its mirror are known. */
export const configSourceAnnotation = 'kubernetes.io/config.source';
export const configHashAnnotation = 'kubernetes.io/config.hash';
const configSeenAnnotation = 'kubernetes.io/config.seen';
export const configMirrorAnnotation = 'kubernetes.io/config.mirror';

export interface StaticPodFacts {
  readonly nodeName: string;
  /** Of the manifest. */
  readonly path: string;
  readonly seenWallMs: number;
}

export interface StaticPod {
  readonly pod: Pod;
  /** What is in the manifest and means nothing: `unknown field "spec.foo"`. */
  readonly warnings: readonly string[];
}

/**
 * The pod that a parsed manifest describes, as this node runs it: with the defaults and checks of the API server, named
 * after the node, and with a UID that stands for its content (one in the manifest is not used). Rejects what needs an
 * API server. `StatusError` with upstream's texts. Upstream: `tryDecodeSinglePod`.
 */
export function staticPodOf(value: unknown, { nodeName, path, seenWallMs }: StaticPodFacts): StaticPod {
  if (value === undefined || value === null) throw new StatusError('BadRequest', 'the file is empty');
  const { object: pod, warnings } = decodeObject(resources.pods, value, 'Warn');
  const name = pod.metadata?.name ?? '';
  if (name === '') throw new StatusError('Invalid', 'invalid pod: name is needed for the pod');
  delete pod.status;
  const uid = hashOf(`${canonicalText(pod)}host:${nodeName}file:${path}`);
  const spec = (pod.spec ??= { containers: [] });
  pod.metadata = {
    name: `${name}-${nodeName.toLowerCase()}`,
    namespace: pod.metadata?.namespace ?? 'default',
    uid,
    ...(pod.metadata?.labels === undefined ? {} : { labels: pod.metadata.labels }),
    annotations: {
      ...pod.metadata?.annotations,
      [configHashAnnotation]: uid,
      [configSourceAnnotation]: 'file',
      [configSeenAnnotation]: formatMicroTime(seenWallMs),
    },
  };
  delete pod.metadata.annotations?.[configMirrorAnnotation];
  spec.nodeName = nodeName;
  // No taint ends it: nobody could start it elsewhere.
  if (!spec.tolerations?.some(({ key, operator, effect }) => !key && operator === 'Exists' && effect === 'NoExecute')) {
    spec.tolerations = [...(spec.tolerations ?? []), { operator: 'Exists', effect: 'NoExecute' }];
  }
  applyDefaults(resources.pods, pod);
  const errors = validateCreate(resources.pods, pod);
  if (errors.length > 0) {
    throw new StatusError('Invalid', `invalid pod: ${joinErrorTexts(errors.map(fieldErrorText))}`);
  }
  const reference = apiReferenceOf(pod);
  if (reference !== undefined) throw new StatusError('Invalid', `static pods may not reference ${reference}`);
  pod.status = { phase: 'Pending' };
  return { pod, warnings };
}

/** It is from a manifest. What comes from an API server bears a version, whatever its annotations say. */
export function isStaticPod({ metadata }: Pod): boolean {
  return metadata?.annotations?.[configSourceAnnotation] === 'file' && metadata.resourceVersion === undefined;
}

/** It shows a static pod in the API, and nothing else. */
export function isMirrorPod({ metadata }: Pod): boolean {
  return metadata?.annotations?.[configMirrorAnnotation] !== undefined;
}

/** The UID of the static pod that it shows. */
export function mirroredUidOf({ metadata }: Pod): string | undefined {
  return metadata?.annotations?.[configMirrorAnnotation];
}

/** The same for the same content, in whatever order it was written. */
function canonicalText(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) => {
    if (typeof member !== 'object' || member === null || Array.isArray(member)) return member;
    return Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

/** FNV-1a of 128 bits, 32 hexadecimal digits, as upstream's MD5 has. Tells versions apart; keeps no secret. */
function hashOf(text: string): string {
  let hash = 0x6c62272e07bb014262b821756295c58dn;
  for (const byte of new TextEncoder().encode(text)) {
    hash = BigInt.asUintN(128, (hash ^ BigInt(byte)) * 0x0000000001000000000000000000013bn);
  }
  return hash.toString(16).padStart(32, '0');
}
