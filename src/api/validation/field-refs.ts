import { invalid, notSupported, required } from '../field-error.ts';
import type { ObjectFieldSelector, ResourceFieldSelector } from '../gen/types.ts';
import { qualifiedNameProblems } from '../names.ts';
import { addInvalid, type Errors } from './metadata.ts';

/** Fields of the pod that environment variables may show; sorted, as errors list them. */
export const envFieldPaths = [
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
  'spec.nodeName',
  'spec.serviceAccountName',
  'status.hostIP',
  'status.hostIPs',
  'status.podIP',
  'status.podIPs',
] as const;

/** The same for files of a downward API volume. */
export const volumeFieldPaths = [
  'metadata.annotations',
  'metadata.labels',
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
] as const;

const resourcePaths = [
  'limits.cpu',
  'limits.ephemeral-storage',
  'limits.memory',
  'requests.cpu',
  'requests.ephemeral-storage',
  'requests.memory',
] as const;

const convertible: ReadonlySet<string> = new Set([
  ...envFieldPaths,
  'metadata.annotations',
  'metadata.labels',
  'spec.restartPolicy',
  'spec.schedulerName',
  'status.phase',
]);
const byteDivisors = ['1', '1k', '1M', '1G', '1T', '1P', '1E', '1Ki', '1Mi', '1Gi', '1Ti', '1Pi', '1Ei'] as const;

/** Upstream: `validateObjectFieldSelector`. */
export function checkFieldRef(
  errors: Errors,
  path: string,
  ref: ObjectFieldSelector,
  supported: readonly string[],
): void {
  if ((ref.apiVersion ?? '') === '') return void errors.push(required(`${path}.apiVersion`));
  if (ref.fieldPath === '') return void errors.push(required(`${path}.fieldPath`));
  const fieldPath = ref.fieldPath === 'spec.host' ? 'spec.nodeName' : ref.fieldPath;
  const [, base = fieldPath, subscript] = /^(.*)\['(.*)'\]$/s.exec(fieldPath) ?? [];
  const problem = conversionProblem(ref.apiVersion ?? '', fieldPath, base, subscript);
  if (problem !== undefined) {
    errors.push(invalid(`${path}.fieldPath`, ref.fieldPath, `error converting fieldPath: ${problem}`));
  } else if (subscript !== undefined) {
    const name = base === 'metadata.annotations' ? subscript.toLowerCase() : subscript;
    addInvalid(errors, path, name, qualifiedNameProblems(name));
  } else if (!supported.includes(fieldPath)) {
    errors.push(notSupported(`${path}.fieldPath`, fieldPath, supported));
  }
}

function conversionProblem(
  version: string,
  fieldPath: string,
  base: string,
  subscript: string | undefined,
): string | undefined {
  if (version !== 'v1') return `unsupported pod version: ${version}`;
  if (subscript !== undefined) {
    const mayHave = base === 'metadata.annotations' || base === 'metadata.labels';
    return mayHave ? undefined : `field label does not support subscript: ${fieldPath}`;
  }
  return convertible.has(fieldPath) ? undefined : `field label not supported: ${fieldPath}`;
}

/** Upstream: `validateContainerResourceFieldSelector`. */
export function checkResourceFieldRef(
  errors: Errors,
  path: string,
  ref: ResourceFieldSelector,
  needsContainer: boolean,
): void {
  const { resource, divisor = '0' } = ref;
  const isHugePages = /^(?:requests|limits)\.hugepages-/.test(resource);
  const isKnown = resourcePaths.some((name) => name === resource);
  if (needsContainer && (ref.containerName ?? '') === '') errors.push(required(`${path}.containerName`));
  else if (resource === '') errors.push(required(`${path}.resource`));
  else if (!isKnown && !isHugePages) errors.push(notSupported(`${path}.resource`, resource, resourcePaths));
  if (divisor === '0') return;
  if (resource.endsWith('.cpu')) {
    if (divisor === '1m' || divisor === '1') return;
    const text = "only divisor's values 1m and 1 are supported with the cpu resource";
    errors.push(invalid(`${path}.divisor`, resource, text));
  } else if ((isKnown || isHugePages) && !byteDivisors.some((known) => known === divisor)) {
    const owner = isHugePages ? 'hugepages' : resource.endsWith('.memory') ? 'memory' : 'local ephemeral storage';
    const text = `only divisor's values ${byteDivisors.join(', ')} are supported with the ${owner} resource`;
    errors.push(invalid(`${path}.divisor`, resource, text));
  }
}
