import type { Event, Pod, PodSpec, Toleration } from '../../api/gen/types.ts';
import { formatSelector } from '../../api/label-selector.ts';
import { qosClassOf } from '../../api/qos.ts';
import { describeContainers, describeResources } from './describe-containers.ts';
import { describeEvents } from './describe-events.ts';
import { DescribeWriter, byKey, type DescribeContext } from './describe-writer.ts';
import { describeVolumes } from './describe-volumes.ts';

/** `kubectl describe pod`, line by line. `events` absent: without that section (`--show-events=false`). */
export function describePod(pod: Pod, events: readonly Event[] | undefined, context: DescribeContext): string {
  const writer = new DescribeWriter(context);
  describeIdentity(writer, pod);
  describeStatus(writer, pod);
  const { spec, status } = pod;
  if (spec?.resources !== undefined) {
    writer.line(0, 'Resources:');
    describeResources(writer, 1, spec.resources);
  }
  const initContainers = spec?.initContainers ?? [];
  if (initContainers.length > 0) {
    describeContainers(writer, 'Init Containers', initContainers, status?.initContainerStatuses ?? [], pod);
  }
  describeContainers(writer, 'Containers', spec?.containers ?? [], status?.containerStatuses ?? [], pod);
  const ephemeral = spec?.ephemeralContainers ?? [];
  if (ephemeral.length > 0) {
    describeContainers(writer, 'Ephemeral Containers', ephemeral, status?.ephemeralContainerStatuses ?? [], pod);
  }
  describeConditions(writer, pod);
  describeVolumes(writer, spec?.volumes ?? []);
  writer.line(0, `QoS Class:\t${status?.qosClass ?? (spec === undefined ? '' : qosClassOf(spec))}`);
  writer.labels('Node-Selectors', spec?.nodeSelector);
  describeTolerations(writer, 'Tolerations', spec);
  describeSpread(writer, 'Topology Spread Constraints', spec);
  if (events !== undefined) describeEvents(writer, events);
  return writer.text();
}

function describeIdentity(writer: DescribeWriter, { metadata, spec, status }: Pod): void {
  writer.line(0, `Name:\t${metadata?.name ?? ''}`);
  writer.line(0, `Namespace:\t${metadata?.namespace ?? ''}`);
  if (spec?.priority !== undefined) writer.line(0, `Priority:\t${spec.priority}`);
  if (spec?.priorityClassName) writer.line(0, `Priority Class Name:\t${spec.priorityClassName}`);
  if (spec?.runtimeClassName) writer.line(0, `Runtime Class Name:\t${spec.runtimeClassName}`);
  if (spec?.serviceAccountName) writer.line(0, `Service Account:\t${spec.serviceAccountName}`);
  writer.line(0, `Node:\t${spec?.nodeName ? `${spec.nodeName}/${status?.hostIP ?? ''}` : '<none>'}`);
  if (status?.startTime !== undefined) writer.line(0, `Start Time:\t${writer.time(status.startTime)}`);
  writer.labels('Labels', metadata?.labels);
  writer.annotations('Annotations', metadata?.annotations);
}

function describeStatus(writer: DescribeWriter, { metadata, spec, status }: Pod): void {
  const isTerminal = status?.phase === 'Failed' || status?.phase === 'Succeeded';
  if (metadata?.deletionTimestamp !== undefined && !isTerminal) {
    writer.line(0, `Status:\tTerminating (lasts ${writer.since(metadata.deletionTimestamp)})`);
    writer.line(0, `Termination Grace Period:\t${metadata.deletionGracePeriodSeconds ?? 0}s`);
  } else {
    writer.line(0, `Status:\t${status?.phase ?? ''}`);
  }
  if (status?.reason) writer.line(0, `Reason:\t${status.reason}`);
  if (status?.message) writer.line(0, `Message:\t${status.message}`);
  const seccomp = spec?.securityContext?.seccompProfile;
  if (seccomp !== undefined) {
    writer.line(0, `SeccompProfile:\t${seccomp.type}`);
    if (seccomp.type === 'Localhost') writer.line(0, `LocalhostProfile:\t${seccomp.localhostProfile ?? ''}`);
  }
  writer.line(0, `IP:\t${status?.podIP ?? ''}`);
  const podIps = status?.podIPs ?? [];
  writer.line(0, podIps.length === 0 ? 'IPs:\t<none>' : 'IPs:');
  for (const { ip } of podIps) writer.line(1, `IP:\t${ip}`);
  const controller = (metadata?.ownerReferences ?? []).find((owner) => owner.controller === true);
  if (controller !== undefined) writer.line(0, `Controlled By:\t${controller.kind}/${controller.name}`);
  if (status?.nominatedNodeName) writer.line(0, `NominatedNodeName:\t${status.nominatedNodeName}`);
}

function describeConditions(writer: DescribeWriter, { spec, status }: Pod): void {
  const conditions = status?.conditions ?? [];
  const gates = spec?.readinessGates ?? [];
  if (gates.length > 0) {
    writer.line(0, 'Readiness Gates:');
    writer.line(1, 'Type\tStatus');
    for (const { conditionType } of gates) {
      const condition = conditions.find((candidate) => candidate.type === conditionType);
      writer.line(1, `${conditionType} \t${condition?.status ?? '<none>'} `);
    }
  }
  if (conditions.length > 0) {
    writer.line(0, 'Conditions:');
    writer.line(1, 'Type\tStatus');
    for (const { type, status: value } of conditions) writer.line(1, `${type} \t${value} `);
  }
}

export function describeTolerations(writer: DescribeWriter, title: string, spec: PodSpec | undefined): void {
  const sorted = (spec?.tolerations ?? []).toSorted((a, b) => byKey([a.key ?? '', 0], [b.key ?? '', 0]));
  writer.multiline(title, sorted.map(tolerationText));
}

/** `node.kubernetes.io/not-ready:NoExecute op=Exists for 300s`. */
function tolerationText({ key = '', value = '', effect = '', operator, tolerationSeconds }: Toleration): string {
  let text = key;
  if (value !== '') text += `=${value}`;
  if (effect !== '') text += `:${effect}`;
  if (operator === 'Exists' && value === '') text += key !== '' || effect !== '' ? ' op=Exists' : 'op=Exists';
  return tolerationSeconds === undefined ? text : `${text} for ${tolerationSeconds}s`;
}

export function describeSpread(writer: DescribeWriter, title: string, spec: PodSpec | undefined): void {
  const constraints = spec?.topologySpreadConstraints ?? [];
  if (constraints.length === 0) return;
  const texts = constraints
    .toSorted((a, b) => byKey([a.topologyKey, 0], [b.topologyKey, 0]))
    .map(({ topologyKey, whenUnsatisfiable, maxSkew, labelSelector }) => {
      const selector = labelSelector === undefined ? '' : ` for selector ${formatSelector(labelSelector)}`;
      return `${topologyKey}:${whenUnsatisfiable} when max skew ${maxSkew} is exceeded${selector}`;
    });
  writer.multiline(title, texts);
}
