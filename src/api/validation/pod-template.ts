import { forbidden, invalid, notSupported, required } from '../field-error.ts';
import type { PodTemplateSpec } from '../gen/types.ts';
import type { LabelMatcher } from '../label-selector.ts';
import { checkAnnotations, checkLabels, type Errors } from './metadata.ts';
import { checkPodAnnotations, checkPodSpec } from './pod.ts';

/** Upstream: `ValidatePodTemplateSpec`. */
export function checkPodTemplate(errors: Errors, path: string, template: PodTemplateSpec): void {
  const { metadata = {}, spec = { containers: [] } } = template;
  checkLabels(errors, `${path}.labels`, metadata.labels ?? {}); // without `metadata`, as upstream
  checkAnnotations(errors, `${path}.annotations`, metadata.annotations ?? {});
  checkPodAnnotations(errors, metadata, spec, `${path}.annotations`);
  checkPodSpec(errors, `${path}.spec`, spec, '');
  if ((spec.ephemeralContainers ?? []).length > 0) {
    errors.push(forbidden(`${path}.spec.ephemeralContainers`, 'ephemeral containers not allowed in pod template'));
  }
}

/**
 * The template of what keeps a number of pods running. `selector` `undefined`: it could not be read, and that is told
 * elsewhere. Upstream: `ValidatePodTemplateSpecForRC` and its siblings.
 */
export function checkEndlessTemplate(
  errors: Errors,
  path: string,
  template: PodTemplateSpec | undefined,
  options: { readonly kind: string; readonly selector: LabelMatcher },
): void {
  if (template === undefined) return void errors.push(required(path));
  const { kind, selector } = options;
  const labels = template.metadata?.labels;
  if (selector.requirements.length > 0 && !selector.matches(labels)) {
    errors.push(invalid(`${path}.metadata.labels`, sortedByKey(labels), '`selector` does not match template `labels`'));
  }
  checkPodTemplate(errors, path, template);
  const { restartPolicy = '', activeDeadlineSeconds } = template.spec ?? {};
  if (restartPolicy !== 'Always') {
    errors.push(notSupported(`${path}.spec.restartPolicy`, restartPolicy, ['Always']));
  }
  if (activeDeadlineSeconds !== undefined) {
    const text = `activeDeadlineSeconds in ${kind} is not Supported`;
    errors.push(forbidden(`${path}.spec.activeDeadlineSeconds`, text));
  }
}

/** As Go writes maps. */
export function sortedByKey(
  labels: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> | undefined {
  if (labels === undefined) return undefined;
  return Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}
