import type { Event, Lease, Node, Pod } from '../../api/gen/types.ts';
import { effectivePodRequests, podLimitsOf } from '../../api/pod-resources.ts';
import {
  addQuantities,
  formatQuantity,
  quantityMilliValue,
  quantityOf,
  quantityValue,
  zeroQuantity,
} from '../../api/quantity.ts';
import type { Quantity } from '../../api/quantity.ts';
import { describeEvents } from './describe-events.ts';
import { byKey, DescribeWriter, type DescribeContext } from './describe-writer.ts';

/** What `kubectl describe node` looks up besides the node. */
export interface NodeSurroundings {
  /** Those that have not ended. */
  readonly pods: readonly Pod[];
  /** A text: why there is none. */
  readonly lease: Lease | string;
  /** Absent: without that section. */
  readonly events: readonly Event[] | undefined;
}

/** `kubectl describe node`, line by line. */
export function describeNode(node: Node, around: NodeSurroundings, context: DescribeContext): string {
  const writer = new DescribeWriter(context);
  const { metadata, spec } = node;
  writer.line(0, `Name:\t${metadata?.name ?? ''}`);
  writer.line(0, `Roles:\t${rolesOf(metadata?.labels ?? {}) || '<none>'}`);
  writer.labels('Labels', metadata?.labels);
  writer.annotations('Annotations', metadata?.annotations);
  writer.line(0, `CreationTimestamp:\t${writer.time(metadata?.creationTimestamp)}`);
  writer.multiline('Taints', taintTexts(node));
  writer.line(0, `Unschedulable:\t${spec?.unschedulable ?? false}`);
  describeLease(writer, around.lease);
  describeConditions(writer, node);
  writer.line(0, 'Addresses:');
  for (const { type, address } of node.status?.addresses ?? []) writer.line(1, `${type}:\t${address}`);
  describeAmounts(writer, 'Capacity', node.status?.capacity);
  describeAmounts(writer, 'Allocatable', node.status?.allocatable);
  describeSystem(writer, node);
  describePods(writer, node, around.pods);
  describeAllocated(writer, node, around.pods);
  if (around.events !== undefined) describeEvents(writer, around.events);
  return writer.text();
}

const rolePrefix = 'node-role.kubernetes.io/';

function rolesOf(labels: Readonly<Record<string, string>>): string {
  const roles = Object.entries(labels).flatMap(([key, value]) => {
    if (key.startsWith(rolePrefix) && key.length > rolePrefix.length) return [key.slice(rolePrefix.length)];
    return key === 'kubernetes.io/role' && value !== '' ? [value] : [];
  });
  return [...new Set(roles)].sort().join(',');
}

function taintTexts({ spec }: Node): string[] {
  return (spec?.taints ?? [])
    .toSorted((a, b) => byKey([`${a.effect},${a.key}`, 0], [`${b.effect},${b.key}`, 0]))
    .map(({ key, value = '', effect }) => (value === '' ? `${key}:${effect}` : `${key}=${value}:${effect}`));
}

function describeLease(writer: DescribeWriter, lease: Lease | string): void {
  if (typeof lease === 'string') {
    writer.line(0, `Lease:\tFailed to get lease: ${lease}`);
    return;
  }
  const { holderIdentity = '<unset>', acquireTime, renewTime } = lease.spec ?? {};
  writer.line(0, 'Lease:');
  writer.line(1, `HolderIdentity:\t${holderIdentity}`);
  writer.line(1, `AcquireTime:\t${acquireTime === undefined ? '<unset>' : writer.time(acquireTime)}`);
  writer.line(1, `RenewTime:\t${renewTime === undefined ? '<unset>' : writer.time(renewTime)}`);
}

function describeConditions(writer: DescribeWriter, { status }: Node): void {
  const conditions = status?.conditions ?? [];
  if (conditions.length === 0) return;
  writer.line(0, 'Conditions:');
  writer.line(1, 'Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage');
  writer.line(1, '----\t------\t-----------------\t------------------\t------\t-------');
  for (const { type, status: value, lastHeartbeatTime, lastTransitionTime, reason = '', message = '' } of conditions) {
    const times = `${writer.time(lastHeartbeatTime)} \t${writer.time(lastTransitionTime)}`;
    writer.line(1, `${type} \t${value} \t${times} \t${reason} \t${message}`);
  }
}

function describeAmounts(
  writer: DescribeWriter,
  title: string,
  amounts: Readonly<Record<string, string>> | undefined,
): void {
  const entries = Object.entries(amounts ?? {}).sort(byKey);
  if (entries.length > 0) writer.line(0, `${title}:`);
  for (const [name, amount] of entries) writer.line(1, `${name}:\t${amount}`);
}

function describeSystem(writer: DescribeWriter, { spec, status }: Node): void {
  const info = status?.nodeInfo;
  writer.line(0, 'System Info:');
  writer.line(1, `Machine ID:\t${info?.machineID ?? ''}`);
  writer.line(1, `System UUID:\t${info?.systemUUID ?? ''}`);
  writer.line(1, `Boot ID:\t${info?.bootID ?? ''}`);
  writer.line(1, `Kernel Version:\t${info?.kernelVersion ?? ''}`);
  writer.line(1, `OS Image:\t${info?.osImage ?? ''}`);
  writer.line(1, `Operating System:\t${info?.operatingSystem ?? ''}`);
  writer.line(1, `Architecture:\t${info?.architecture ?? ''}`);
  writer.line(1, `Container Runtime Version:\t${info?.containerRuntimeVersion ?? ''}`);
  writer.line(1, `Kubelet Version:\t${info?.kubeletVersion ?? ''}`);
  writer.line(1, `Kube-Proxy Version:\t${info?.kubeProxyVersion ?? ''}`);
  if (spec?.podCIDR) writer.line(0, `PodCIDR:\t${spec.podCIDR}`);
  if ((spec?.podCIDRs ?? []).length > 0) writer.line(0, `PodCIDRs:\t${(spec?.podCIDRs ?? []).join(',')}`);
  if (spec?.providerID) writer.line(0, `ProviderID:\t${spec.providerID}`);
}

function allocatableOf({ status }: Node): Readonly<Record<string, string>> {
  const { allocatable = {}, capacity = {} } = status ?? {};
  return Object.keys(allocatable).length > 0 ? allocatable : capacity;
}

/** `250m (12%)`: the amount, and its part of what the node has, cut to whole percents. */
function shareText(amount: Quantity, whole: string | undefined, resource: string): string {
  const measure = resource === 'cpu' ? quantityMilliValue : quantityValue;
  const total = measure(quantityOf(whole));
  const percent = total === 0 ? 0 : Math.trunc((measure(amount) / total) * 100);
  return `${formatQuantity(amount)} (${percent}%)`;
}

function describePods(writer: DescribeWriter, node: Node, pods: readonly Pod[]): void {
  const whole = allocatableOf(node);
  writer.line(0, `Non-terminated Pods:\t(${pods.length} in total)`);
  writer.line(1, 'Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge');
  writer.line(1, '---------\t----\t\t------------\t----------\t---------------\t-------------\t---');
  for (const { metadata, spec } of pods) {
    const { requests, limits } = amountsOf(spec);
    const shares = ['cpu', 'memory'].flatMap((resource) =>
      [requests, limits].map((amounts) => shareText(amounts.get(resource) ?? zeroQuantity, whole[resource], resource)),
    );
    const name = `${metadata?.namespace ?? ''}\t${metadata?.name ?? ''}`;
    writer.line(1, `${name}\t\t${shares.join('\t')}\t${writer.since(metadata?.creationTimestamp)}`);
  }
}

type Amounts = ReadonlyMap<string, Quantity>;

function amountsOf(spec: Pod['spec']): { readonly requests: Amounts; readonly limits: Amounts } {
  if (spec === undefined) return { requests: new Map(), limits: new Map() };
  const limits = new Map(podLimitsOf(spec));
  for (const [name, text] of Object.entries(spec.resources?.limits ?? {})) limits.set(name, quantityOf(text));
  return { requests: effectivePodRequests(spec), limits };
}

function describeAllocated(writer: DescribeWriter, node: Node, pods: readonly Pod[]): void {
  const whole = allocatableOf(node);
  const sum = (pick: 'requests' | 'limits', resource: string): Quantity =>
    pods.reduce(
      (total, { spec }) => addQuantities(total, amountsOf(spec)[pick].get(resource) ?? zeroQuantity),
      zeroQuantity,
    );
  writer.line(0, 'Allocated resources:');
  writer.line(1, '(Total limits may be over 100 percent, i.e., overcommitted.)');
  writer.line(1, 'Resource\tRequests\tLimits');
  writer.line(1, '--------\t--------\t------');
  const hugePages = Object.keys(whole).filter((name) => name.startsWith('hugepages-'));
  const standard = ['cpu', 'memory', 'ephemeral-storage'];
  for (const resource of [...standard, ...hugePages.sort()]) {
    const shares = (['requests', 'limits'] as const).map((pick) =>
      shareText(sum(pick, resource), whole[resource], resource),
    );
    writer.line(1, `${resource}\t${shares.join('\t')}`);
  }
  const extended = Object.keys(whole).filter((name) => ![...standard, ...hugePages, 'pods'].includes(name));
  for (const resource of extended.sort()) {
    writer.line(
      1,
      `${resource}\t${formatQuantity(sum('requests', resource))}\t${formatQuantity(sum('limits', resource))}`,
    );
  }
}
