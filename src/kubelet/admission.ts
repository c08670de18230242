import type { Container, Node, Pod } from '../api/gen/types.ts';
import { isSelectedNode } from '../api/node-selection.ts';
import { effectivePodRequests } from '../api/pod-resources.ts';
import {
  addQuantities,
  compareQuantities,
  quantityMilliValue,
  quantityOf,
  quantityValue,
  zeroQuantity,
} from '../api/quantity.ts';
import type { Quantity } from '../api/quantity.ts';
import { isExtended } from '../api/validation/resources.ts';
import { containersOf } from './pod-names.ts';
import { fqdnLengthMax, hostnameOf } from './sandbox-config.ts';
import { sysctlProblem } from './sysctls.ts';

export interface Refusal {
  /** `OutOfcpu`, `NodePorts`, ... */
  readonly reason: string;
  readonly message: string;
  /** All that is missing, if nothing else is against the pod. */
  readonly shortages?: readonly Shortage[];
}

/** Of one resource: `cpu` in thousandths, all others in whole units. */
export interface Shortage {
  readonly name: string;
  readonly amount: number;
}

export interface AdmissionInput {
  readonly pod: Pod;
  /** The pods that this node has already, and that have not ended. */
  readonly others: readonly Pod[];
  readonly allocatable: Readonly<Record<string, string>>;
  /** `undefined` until the node is registered; then labels are not checked. */
  readonly node: Node | undefined;
}

/**
 * Why this node cannot take the pod, as the scheduler ought to have seen; `undefined`: it can. Upstream: the predicate
 * admit handler.
 */
export function refusalOf(input: AdmissionInput): Refusal | undefined {
  const byFields = refusedByFields(input);
  if (byFields !== undefined) return byFields;
  const lacks = lacksOf(input);
  const otherwise = refusedByLabels(input) ?? refusedByPorts(input);
  const [first] = lacks;
  if (first === undefined) return otherwise;
  const { name, requested, used, capacity } = first;
  const message = `Node didn't have enough resource: ${name}, requested: ${requested}, used: ${used}, capacity: ${capacity}`;
  const shortages = lacks.map((lack) => ({ name: lack.name, amount: lack.requested - (lack.capacity - lack.used) }));
  return { reason: `OutOf${name}`, message, ...(otherwise === undefined ? { shortages } : {}) };
}

/** What the pod asks for and this node cannot give. */
function refusedByFields({ pod, node }: AdmissionInput): Refusal | undefined {
  const { spec } = pod;
  const system = node?.status?.nodeInfo?.operatingSystem ?? 'linux';
  if (spec?.os !== undefined && spec.os.name !== system) {
    // The words are upstream's.
    const message = "Failed to admit pod as the OS field doesn't match node OS";
    return { reason: 'PodOSNotSupported', message };
  }
  const sysctl = sysctlProblem(pod);
  if (sysctl !== undefined) return { reason: 'SysctlForbidden', message: sysctl };
  const hostname = hostnameOf(pod, '');
  if (spec?.setHostnameAsFQDN === true && hostname.length > fqdnLengthMax) {
    const message = `FQDN ${hostname} is too long (${fqdnLengthMax} characters is the max, ${hostname.length} characters requested)`;
    return { reason: 'UnsupportedPodSpec', message };
  }
  const unsupported = [
    ...(spec?.hostUsers === false ? ['hostUsers'] : []),
    ...((spec?.resourceClaims ?? []).length === 0 ? [] : ['resourceClaims']),
    ...unsupportedOfContainers(spec?.initContainers ?? [], 'initContainers'),
    ...unsupportedOfContainers(spec?.containers ?? [], 'containers'),
  ];
  if (unsupported.length === 0) return undefined;
  const message = unsupported.map((field) => `spec.${field} is not supported by this node`).join(', ');
  return { reason: 'UnsupportedPodSpec', message };
}

function unsupportedOfContainers(containers: readonly Container[], field: string): string[] {
  return containers.flatMap(({ volumeDevices = [], volumeMounts = [] }, index) => [
    ...(volumeDevices.length === 0 ? [] : [`${field}[${index}].volumeDevices`]),
    ...volumeMounts.flatMap(({ recursiveReadOnly }, mountIndex) =>
      recursiveReadOnly === 'Enabled'
        ? [`${field}[${index}].volumeMounts[${mountIndex}].recursiveReadOnly: Enabled`]
        : [],
    ),
  ]);
}

interface Lack {
  readonly name: string;
  readonly requested: number;
  readonly used: number;
  readonly capacity: number;
}

function lacksOf({ pod, others, allocatable }: AdmissionInput): readonly Lack[] {
  const lacks: Lack[] = [];
  const podsMax = quantityValue(quantityOf(allocatable['pods']));
  if (allocatable['pods'] !== undefined && others.length + 1 > podsMax) {
    lacks.push({ name: 'pods', requested: 1, used: others.length, capacity: podsMax });
  }
  for (const [name, wanted] of requestsOf(pod)) {
    const free = quantityOf(allocatable[name]);
    let used = zeroQuantity;
    for (const other of others) used = addQuantities(used, requestsOf(other).get(name) ?? zeroQuantity);
    if (compareQuantities(wanted, zeroQuantity) === 0) continue;
    // Devices that this node knows nothing of are somebody else's business: it is the scheduler's that it came here.
    if (isExtended(name) && allocatable[name] === undefined) continue;
    if (compareQuantities(addQuantities(used, wanted), free) <= 0) continue;
    const valueOf = name === 'cpu' ? quantityMilliValue : quantityValue;
    lacks.push({ name, requested: valueOf(wanted), used: valueOf(used), capacity: valueOf(free) });
  }
  return lacks;
}

function requestsOf({ spec }: Pod): ReadonlyMap<string, Quantity> {
  return effectivePodRequests(spec ?? { containers: [] });
}

function refusedByLabels({ pod, node }: AdmissionInput): Refusal | undefined {
  if (node === undefined) return undefined;
  const labels = node.metadata?.labels ?? {};
  const { nodeSelector, affinity } = pod.spec ?? {};
  const requiredNodes = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  if (isSelectedNode({ nodeSelector, requiredNodes }, { name: node.metadata?.name ?? '', labels })) return undefined;
  const text = "node(s) didn't match Pod's node affinity/selector";
  return { reason: 'NodeAffinity', message: `Predicate NodeAffinity failed: ${text}` };
}

function refusedByPorts({ pod, others }: AdmissionInput): Refusal | undefined {
  const taken = others.flatMap(hostPortsOf);
  const isTaken = hostPortsOf(pod).some((wanted) => taken.some((other) => portsCollide(wanted, other)));
  if (!isTaken) return undefined;
  const text = "node(s) didn't have free ports for the requested pod ports";
  return { reason: 'NodePorts', message: `Predicate NodePorts failed: ${text}` };
}

interface HostPort {
  readonly ip: string;
  readonly port: number;
  readonly protocol: string;
}

function hostPortsOf(pod: Pod): HostPort[] {
  return containersOf(pod)
    .filter(({ kind }) => kind !== 'init')
    .flatMap(({ container }) => container.ports ?? [])
    .flatMap(({ hostPort, hostIP, protocol }) =>
      hostPort === undefined || hostPort === 0
        ? []
        : [{ port: hostPort, ip: hostIP ?? '0.0.0.0', protocol: protocol ?? 'TCP' }],
    );
}

function portsCollide(a: HostPort, b: HostPort): boolean {
  const sameAddress = a.ip === b.ip || isAny(a.ip) || isAny(b.ip);
  return a.port === b.port && a.protocol === b.protocol && sameAddress;
}

function isAny(ip: string): boolean {
  return ip === '' || ip === '0.0.0.0' || ip === '::';
}
