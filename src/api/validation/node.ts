import { duplicate, forbidden, invalid } from '../field-error.ts';
import type { Node } from '../gen/types.ts';
import { ipFamilyOf } from './ip.ts';
import { checkMetadata, checkMetadataUpdate, type Errors } from './metadata.ts';
import { checkResourceList } from './resources.ts';
import { sameValue } from './same-value.ts';
import { checkTaints } from './taints.ts';

/** Upstream: `ValidateNode`. */
export function checkNode(errors: Errors, node: Node): void {
  checkMetadata(errors, node.metadata ?? {}, false, 'subdomain');
  checkTaints(errors, 'metadata.taints', node.spec?.taints);
  checkNodeResources(errors, node);
  checkPodCidrs(errors, node);
}

function checkNodeResources(errors: Errors, node: Node): void {
  checkResourceList(errors, 'status.capacity', node.status?.capacity);
  checkResourceList(errors, 'status.allocatable', node.status?.allocatable);
}

function isCidr(text: string): boolean {
  const [ip = '', bits, ...rest] = text.split('/');
  const family = ipFamilyOf(ip);
  if (family === undefined || bits === undefined || rest.length > 0 || !/^\d{1,3}$/.test(bits)) return false;
  return Number(bits) <= (family === 4 ? 32 : 128);
}

const cidrText = 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)';

function checkPodCidrs(errors: Errors, node: Node): void {
  const cidrs = node.spec?.podCIDRs ?? [];
  cidrs.forEach((cidr, index) => {
    if (!isCidr(cidr)) errors.push(invalid(`spec.podCIDRs[${index}]`, cidr, cidrText));
  });
  if (cidrs.length < 2) return;
  const families = new Set(cidrs.map((cidr) => ipFamilyOf(cidr.split('/')[0] ?? '')));
  if (families.size < 2 || cidrs.length > 2) {
    errors.push(invalid('spec.podCIDRs', cidrs, 'may specify no more than one CIDR for each IP family'));
  }
  cidrs.forEach((cidr, index) => {
    if (cidrs.indexOf(cidr) < index) errors.push(duplicate(`spec.podCIDRs[${index}]`, cidr));
  });
}

/** Upstream: `ValidateNodeUpdate`, for the object and its status alike. */
export function checkNodeUpdate(errors: Errors, next: Node, current: Node): void {
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
  checkTaints(errors, 'metadata.taints', next.spec?.taints);
  checkNodeResources(errors, next);
  const addresses = new Set<string>();
  next.status?.addresses?.forEach((address, index) => {
    const key = `${address.type}/${address.address}`;
    if (addresses.has(key)) errors.push(duplicate(`status.addresses[${index}]`, address));
    addresses.add(key);
  });
  checkSetOnce(errors, 'podCIDRs', 'podCIDR', next.spec?.podCIDRs, current.spec?.podCIDRs);
  if (!sameValue(next.spec?.podCIDRs, current.spec?.podCIDRs)) checkPodCidrs(errors, next);
  checkSetOnce(errors, 'providerID', 'providerID', next.spec?.providerID, current.spec?.providerID);
}

/** Fields that may be filled in, but not changed. */
function checkSetOnce(errors: Errors, field: string, name: string, next: unknown, current: unknown): void {
  if (current === undefined || current === '' || sameValue(next, current)) return;
  errors.push(forbidden(`spec.${field}`, `node updates may not change ${name} except from "" to valid`));
}
