import { duplicate, forbidden, invalid, notFound, required } from '../field-error.ts';
import type { PodSpec, ResourceRequirements } from '../gen/types.ts';
import { qualifiedNameProblems } from '../names.ts';
import { podRequestsOf } from '../pod-resources.ts';
import { compareQuantities, formatQuantity, type Quantity, quantityOf, zeroQuantity } from '../quantity.ts';
import { addInvalid, type Errors, negativeText } from './metadata.ts';

const containerResources: ReadonlySet<string> = new Set(['cpu', 'memory', 'ephemeral-storage']);
const standardResources: ReadonlySet<string> = new Set([
  ...containerResources,
  'requests.cpu',
  'requests.memory',
  'requests.ephemeral-storage',
  'limits.cpu',
  'limits.memory',
  'limits.ephemeral-storage',
  'pods',
  'resourcequotas',
  'services',
  'replicationcontrollers',
  'secrets',
  'configmaps',
  'persistentvolumeclaims',
  'storage',
  'requests.storage',
  'services.nodeports',
  'services.loadbalancers',
]);

const isHugePages = (name: string): boolean => name.startsWith('hugepages-');
/** Named without a domain, or in Kubernetes' own. */
const isNative = (name: string): boolean => !name.includes('/') || name.includes('kubernetes.io/');
const mayOvercommit = (name: string): boolean => isNative(name) && !isHugePages(name);

/** It is a device or the like that somebody advertises for a node. Upstream: `IsExtendedResourceName`. */
export function isExtended(name: string): boolean {
  if (isNative(name) || name.startsWith('requests.')) return false;
  return qualifiedNameProblems(`requests.${name}`).length === 0;
}

function checkResourceName(errors: Errors, path: string, name: string, owner: 'containers' | 'pods'): void {
  const problems = qualifiedNameProblems(name);
  addInvalid(errors, path, name, problems);
  if (problems.length > 0) return;
  if (!name.includes('/')) {
    if (!standardResources.has(name) && !isHugePages(name)) {
      errors.push(invalid(path, name, 'must be a standard resource type or fully qualified'));
    }
    if (!containerResources.has(name) && !isHugePages(name)) {
      errors.push(invalid(path, name, `must be a standard resource for ${owner}`));
    }
  } else if (!isNative(name) && !isExtended(name)) {
    errors.push(invalid(path, name, "doesn't follow extended resource name standard"));
  }
}

/** Amounts that cannot be split. */
function mustBeWhole(name: string): boolean {
  return name === 'pods' || isExtended(name);
}

export function checkAmount(errors: Errors, path: string, name: string, amount: Quantity): void {
  if (compareQuantities(amount, zeroQuantity) < 0) errors.push(invalid(path, formatQuantity(amount), negativeText));
  if (mustBeWhole(name) && amount.nanos % 1_000_000_000n !== 0n) {
    errors.push(invalid(path, formatQuantity(amount), 'must be an integer'));
  }
}

/** Upstream: `ValidateContainerResourceRequirements`. */
export function checkResources(
  errors: Errors,
  path: string,
  resources: ResourceRequirements,
  claimNames: ReadonlySet<string>,
  owner: 'containers' | 'pods' = 'containers',
): void {
  const { limits, requests } = resources;
  if (limits === undefined && requests === undefined && resources.claims === undefined) return;
  const seen = { hugePages: false, cpuOrMemory: false };
  const note = (name: string): void => {
    if (isHugePages(name)) seen.hugePages = true;
    if (name === 'cpu' || name === 'memory') seen.cpuOrMemory = true;
  };
  for (const [name, text] of Object.entries(limits ?? {})) {
    const at = `${path}.limits[${name}]`;
    checkResourceName(errors, at, name, owner);
    checkAmount(errors, at, name, quantityOf(text));
    note(name);
  }
  for (const [name, text] of Object.entries(requests ?? {})) {
    const at = `${path}.requests[${name}]`;
    const amount = quantityOf(text);
    checkResourceName(errors, at, name, owner);
    checkAmount(errors, at, name, amount);
    checkAgainstLimit(errors, path, name, amount, limits?.[name]);
    note(name);
  }
  if (seen.hugePages && !seen.cpuOrMemory) errors.push(forbidden(path, 'HugePages require cpu or memory'));
  checkClaims(errors, `${path}.claims`, resources, claimNames);
}

function checkAgainstLimit(
  errors: Errors,
  path: string,
  name: string,
  request: Quantity,
  limitText: string | undefined,
): void {
  if (limitText === undefined) {
    if (mayOvercommit(name)) return;
    errors.push(required(`${path}.limits`, 'Limit must be set for non overcommitable resources'));
    return;
  }
  const order = compareQuantities(request, quantityOf(limitText));
  const text = formatQuantity(request);
  if (order !== 0 && !mayOvercommit(name)) {
    errors.push(invalid(`${path}.requests`, text, `must be equal to ${name} limit of ${limitText}`));
  } else if (order > 0) {
    errors.push(invalid(`${path}.requests`, text, `must be less than or equal to ${name} limit of ${limitText}`));
  }
}

function checkClaims(
  errors: Errors,
  path: string,
  resources: ResourceRequirements,
  claimNames: ReadonlySet<string>,
): void {
  const seen = new Set<string>();
  resources.claims?.forEach(({ name, request = '' }, index) => {
    const at = `${path}[${index}]`;
    if (name === '') {
      errors.push(required(`${at}.name`));
      return;
    }
    const key = `${name}/${request}`;
    if (seen.has(key)) errors.push(duplicate(at, name));
    seen.add(key);
    if (claimNames.has(name)) return;
    const known = claimNames.size === 0 ? ' which is empty' : `: ${[...claimNames].sort().join(', ')}`;
    const detail = `must be one of the names in pod.spec.resourceClaims${known}`;
    errors.push({ ...notFound(`${at}.name`, name), detail });
  });
}

/** The requests and limits of the pod as a whole. Upstream: `validatePodResources`. */
export function checkPodResources(errors: Errors, path: string, spec: PodSpec, claimNames: ReadonlySet<string>): void {
  const { resources } = spec;
  if (resources === undefined) return;
  if (resources.claims !== undefined) {
    errors.push(forbidden(`${path}.claims`, 'claims cannot be set for Resources at pod-level'));
  }
  checkResources(errors, path, resources, claimNames, 'pods');
  for (const [name, sum] of podRequestsOf(spec)) {
    const own = quantityOf(resources.requests?.[name]);
    if (compareQuantities(sum, own) <= 0) continue;
    const text = `must be greater than or equal to aggregate container requests of ${formatQuantity(sum)}`;
    errors.push(invalid(`${path}.requests[${name}]`, formatQuantity(own), text));
  }
  spec.containers.forEach((container, index) => {
    for (const [name, text] of Object.entries(container.resources?.limits ?? {})) {
      const podLimit = resources.limits?.[name];
      if (podLimit === undefined || compareQuantities(quantityOf(text), quantityOf(podLimit)) <= 0) continue;
      const at = `${path}.containers[${index}][${name}].limits`;
      errors.push(invalid(at, text, `must be less than or equal to pod limits of ${podLimit}`));
    }
  });
}

/** Names of node resources, as in capacity. */
export function checkResourceList(errors: Errors, path: string, list: Readonly<Record<string, string>> = {}): void {
  for (const [name, text] of Object.entries(list)) {
    addInvalid(errors, `${path}[${name}]`, name, qualifiedNameProblems(name));
    checkAmount(errors, `${path}[${name}]`, name, quantityOf(text));
  }
}
