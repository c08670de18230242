import type { Container, Pod, ResourceFieldSelector } from '../api/gen/types.ts';
import { compareQuantities, quantityMilliValue, quantityOf, quantityValue, zeroQuantity } from '../api/quantity.ts';
import { StatusError } from '../base/status-error.ts';

/** What the downward API can tell a container about where it runs. */
export interface DownwardFacts {
  readonly pod: Pod;
  /** The primary one first. */
  readonly podIps: readonly string[];
  readonly hostIps: readonly string[];
  /** Of the node: the limit of a container that has none. */
  readonly allocatable: Readonly<Record<string, string>>;
}

const subscript = /^(metadata\.(?:labels|annotations))\['(.*)'\]$/s;

/** The value of a `fieldRef`; `BadRequest` for a path that has none. Upstream: `ExtractFieldPathAsString`. */
export function fieldValue(facts: DownwardFacts, fieldPath: string): string {
  const { pod, podIps, hostIps } = facts;
  const [, map, key = ''] = subscript.exec(fieldPath) ?? [];
  if (map === 'metadata.labels') return pod.metadata?.labels?.[key] ?? '';
  if (map === 'metadata.annotations') return pod.metadata?.annotations?.[key] ?? '';
  switch (fieldPath) {
    case 'metadata.name':
      return pod.metadata?.name ?? '';
    case 'metadata.namespace':
      return pod.metadata?.namespace ?? '';
    case 'metadata.uid':
      return pod.metadata?.uid ?? '';
    case 'metadata.labels':
      return formatMap(pod.metadata?.labels ?? {});
    case 'metadata.annotations':
      return formatMap(pod.metadata?.annotations ?? {});
    case 'spec.nodeName':
      return pod.spec?.nodeName ?? '';
    case 'spec.serviceAccountName':
      return pod.spec?.serviceAccountName ?? '';
    case 'status.podIP':
      return podIps[0] ?? '';
    case 'status.podIPs':
      return podIps.join(',');
    case 'status.hostIP':
      return hostIps[0] ?? '';
    case 'status.hostIPs':
      return hostIps.join(',');
    default:
      throw new StatusError('BadRequest', `unsupported fieldPath: ${fieldPath}`);
  }
}

// One `key="value"` a line, sorted, as in the files of a downward API volume.
function formatMap(map: Readonly<Record<string, string>>): string {
  return Object.keys(map)
    .sort()
    .map((key) => `${key}=${JSON.stringify(map[key])}`)
    .join('\n');
}

/** The value of a `resourceFieldRef` about `container`, in units of its divisor, rounded up. */
export function resourceValue(facts: DownwardFacts, container: Container, ref: ResourceFieldSelector): string {
  const [list, ...rest] = ref.resource.split('.');
  const name = rest.join('.');
  const { limits, requests } = container.resources ?? {};
  if ((list !== 'limits' && list !== 'requests') || name === '') {
    throw new StatusError('BadRequest', `unsupported container resource : ${ref.resource}`);
  }
  const limit = limits?.[name] ?? facts.allocatable[name];
  const amount = quantityOf(list === 'limits' ? limit : requests?.[name]);
  const given = quantityOf(ref.divisor);
  const divisor = compareQuantities(given, zeroQuantity) === 0 ? quantityOf('1') : given;
  const quotient =
    name === 'cpu'
      ? quantityMilliValue(amount) / quantityMilliValue(divisor)
      : quantityValue(amount) / quantityValue(divisor);
  return String(Math.ceil(quotient));
}
