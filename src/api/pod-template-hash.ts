import type { PodTemplateSpec } from './gen/types.ts';
import { sameValue } from './validation/same-value.ts';

/** On the replica sets of a deployment and their pods, so that no two select the same ones. */
export const hashLabel = 'pod-template-hash';

/** Whether two templates differ in nothing but that label. Upstream: `EqualIgnoreHash`. */
export function isSameTemplate(a: PodTemplateSpec | undefined, b: PodTemplateSpec | undefined): boolean {
  return sameValue(withoutHash(a), withoutHash(b));
}

function withoutHash(template: PodTemplateSpec = {}): PodTemplateSpec {
  const { [hashLabel]: _hash, ...labels } = template.metadata?.labels ?? {};
  return { ...template, metadata: { ...template.metadata, labels } };
}
