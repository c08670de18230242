import type { Draft } from './draft.ts';
import type {
  Container,
  EphemeralContainer,
  HTTPGetAction,
  Pod,
  PodSpec,
  Probe,
  ResourceRequirements,
} from './gen/types.ts';
import { defaultPullPolicy } from './image-name.ts';
import { podRequestsOf } from './pod-resources.ts';
import { formatQuantity, quantityOf } from './quantity.ts';
import { defaultVolumes, defaultFieldRef } from './defaulting-volumes.ts';

/** The defaults of a pod that stands by itself. Upstream: `SetObjectDefaults_Pod`. */
export function defaultPod(pod: Draft<Pod>): void {
  const spec = (pod.spec ??= { containers: [] });
  spec.containers ??= [];
  defaultPodSpec(spec);
  for (const container of spec.containers) requestWhatIsLimited(container);
  for (const container of spec.initContainers ?? []) requestWhatIsLimited(container);
  defaultPodRequests(spec);
  spec.enableServiceLinks ??= true;
  if (spec.hostNetwork !== true) return;
  for (const container of [...spec.containers, ...(spec.initContainers ?? [])]) {
    for (const port of container.ports ?? []) if ((port.hostPort ?? 0) === 0) port.hostPort = port.containerPort;
  }
}

/** The defaults that pods and pod templates share. Upstream: `SetDefaults_PodSpec` and what it holds. */
export function defaultPodSpec(spec: Draft<PodSpec>): void {
  spec.dnsPolicy ??= 'ClusterFirst';
  spec.restartPolicy ??= 'Always';
  spec.securityContext ??= {};
  spec.terminationGracePeriodSeconds ??= 30;
  spec.schedulerName ??= 'default-scheduler';
  // serviceAccount is the old name of serviceAccountName, which wins; both are written.
  const account = spec.serviceAccountName ?? spec.serviceAccount;
  if (account !== undefined) {
    spec.serviceAccountName = account;
    spec.serviceAccount = account;
  }
  for (const container of spec.containers) defaultContainer(container);
  for (const container of spec.initContainers ?? []) defaultContainer(container);
  for (const container of spec.ephemeralContainers ?? []) defaultContainer(container);
  if (spec.volumes !== undefined) defaultVolumes(spec.volumes);
  if (spec.overhead !== undefined) roundToMilli(spec.overhead);
  if (spec.resources !== undefined) roundResources(spec.resources);
}

function defaultContainer(container: Draft<Container> | Draft<EphemeralContainer>): void {
  container.imagePullPolicy ??= defaultPullPolicy(container.image ?? '');
  container.terminationMessagePath ??= '/dev/termination-log';
  container.terminationMessagePolicy ??= 'File';
  for (const port of container.ports ?? []) port.protocol ??= 'TCP';
  for (const variable of container.env ?? []) {
    const source = variable.valueFrom;
    if (source?.fieldRef !== undefined) defaultFieldRef(source.fieldRef);
    if (source?.fileKeyRef !== undefined) source.fileKeyRef.optional ??= false;
  }
  if (container.resources !== undefined) roundResources(container.resources);
  if (container.livenessProbe !== undefined) defaultProbe(container.livenessProbe);
  if (container.readinessProbe !== undefined) defaultProbe(container.readinessProbe);
  if (container.startupProbe !== undefined) defaultProbe(container.startupProbe);
  defaultHttpGet(container.lifecycle?.postStart?.httpGet);
  defaultHttpGet(container.lifecycle?.preStop?.httpGet);
}

function defaultProbe(probe: Draft<Probe>): void {
  probe.timeoutSeconds ??= 1;
  probe.periodSeconds ??= 10;
  probe.successThreshold ??= 1;
  probe.failureThreshold ??= 3;
  defaultHttpGet(probe.httpGet);
  if (probe.grpc !== undefined) probe.grpc.service ??= '';
}

function defaultHttpGet(action: Draft<HTTPGetAction> | undefined): void {
  if (action === undefined) return;
  action.path ??= '/';
  action.scheme ??= 'HTTP';
}

function roundResources(resources: Draft<ResourceRequirements>): void {
  if (resources.limits !== undefined) roundToMilli(resources.limits);
  if (resources.requests !== undefined) roundToMilli(resources.requests);
}

/** Amounts finer than a thousandth are rounded up. */
function roundToMilli(amounts: Draft<Readonly<Record<string, string>>>): void {
  for (const [name, text] of Object.entries(amounts)) {
    if (!/[nu.eE]/.test(text)) continue; // whole or milli: nothing to round
    const quantity = quantityOf(text);
    const rest = quantity.nanos % 1_000_000n;
    if (rest === 0n) continue;
    const nanos = quantity.nanos - rest + (rest > 0n ? 1_000_000n : 0n);
    amounts[name] = formatQuantity({ nanos, format: quantity.format });
  }
}

function requestWhatIsLimited(container: Draft<Container>): void {
  const limits = container.resources?.limits;
  if (container.resources === undefined || limits === undefined) return;
  container.resources.requests = { ...limits, ...container.resources.requests };
}

/** With limits for the whole pod, its requests default to those of its containers, else to the limits. */
function defaultPodRequests(spec: Draft<PodSpec>): void {
  const { resources } = spec;
  if (resources?.limits === undefined) return;
  const requests: Record<string, string> = { ...resources.requests };
  for (const [name, quantity] of podRequestsOf(spec)) {
    const canBeShared = name === 'cpu' || name === 'memory';
    if (canBeShared && requests[name] === undefined) requests[name] = formatQuantity(quantity);
  }
  for (const [name, text] of Object.entries(resources.limits)) requests[name] ??= text;
  if (Object.keys(requests).length > 0) resources.requests = requests;
}
