import type {
  Container,
  ContainerPort,
  ContainerState,
  ContainerStatus,
  EnvFromSource,
  EnvVar,
  EphemeralContainer,
  Pod,
  Probe,
  ResourceFieldSelector,
  ResourceRequirements,
} from '../../api/gen/types.ts';
import { goQuote } from '../../api/go-text.ts';
import { quantityMilliValue, quantityOf, quantityValue } from '../../api/quantity.ts';
import { byKey, type DescribeWriter } from './describe-writer.ts';

/** One group of containers: `Init Containers`, `Containers` or `Ephemeral Containers`. */
export function describeContainers(
  writer: DescribeWriter,
  title: string,
  containers: readonly (Container | EphemeralContainer)[],
  statuses: readonly ContainerStatus[],
  pod: Pod | undefined, // absent: they are of a template
): void {
  const isTemplate = pod === undefined;
  writer.line(isTemplate ? 1 : 0, `${title}:${containers.length === 0 ? ' <none>' : ''}`);
  for (const container of containers) {
    const status = statuses.find((candidate) => candidate.name === container.name);
    describeIdentity(writer, container, status, isTemplate);
    describeLines(writer, 'Command', container.command);
    describeLines(writer, 'Args', container.args);
    if (status !== undefined) describeStatus(writer, status);
    describeResources(writer, 2, container.resources);
    if (container.livenessProbe) writer.line(2, `Liveness:\t${probeText(container.livenessProbe)}`);
    if (container.readinessProbe) writer.line(2, `Readiness:\t${probeText(container.readinessProbe)}`);
    if (container.startupProbe) writer.line(2, `Startup:\t${probeText(container.startupProbe)}`);
    if ((container.envFrom ?? []).length > 0) describeEnvFrom(writer, container.envFrom ?? []);
    describeEnv(writer, container, pod);
    describeMounts(writer, container);
  }
}

function describeIdentity(
  writer: DescribeWriter,
  container: Container | EphemeralContainer,
  status: ContainerStatus | undefined,
  isTemplate: boolean,
): void {
  writer.line(1, `${isTemplate ? ' ' : ''}${container.name}:`);
  if (status !== undefined) writer.line(2, `Container ID:\t${status.containerID ?? ''}`);
  writer.line(2, `Image:\t${container.image ?? ''}`);
  if (status !== undefined) writer.line(2, `Image ID:\t${status.imageID}`);
  const ports = container.ports ?? [];
  const plural = ports.length > 1 ? 's' : '';
  writer.line(2, `Port${plural}:\t${portsText(ports, (port) => port.containerPort)}`);
  writer.line(2, `Host Port${plural}:\t${portsText(ports, (port) => port.hostPort ?? 0)}`);
  const seccomp = container.securityContext?.seccompProfile;
  if (seccomp !== undefined) {
    writer.line(2, `SeccompProfile:\t${seccomp.type}`);
    if (seccomp.type === 'Localhost') writer.line(3, `LocalhostProfile:\t${seccomp.localhostProfile ?? ''}`);
  }
}

function portsText(ports: readonly ContainerPort[], numberOf: (port: ContainerPort) => number): string {
  if (ports.length === 0) return '<none>';
  return ports
    .map((port) => `${numberOf(port)}/${port.protocol ?? ''}${port.name ? ` (${port.name})` : ''}`)
    .join(', ');
}

function describeLines(writer: DescribeWriter, title: string, items: readonly string[] | undefined): void {
  if (items === undefined || items.length === 0) return;
  writer.line(2, `${title}:`);
  for (const item of items) for (const line of item.split('\n')) writer.line(3, line);
}

function describeStatus(writer: DescribeWriter, status: ContainerStatus): void {
  describeState(writer, 'State', status.state ?? {});
  if (status.lastState?.terminated !== undefined) describeState(writer, 'Last State', status.lastState);
  writer.line(2, `Ready:\t${status.ready ? 'True' : 'False'}`);
  writer.line(2, `Restart Count:\t${status.restartCount}`);
}

function describeState(writer: DescribeWriter, title: string, state: ContainerState): void {
  if (state.running !== undefined) {
    writer.line(2, `${title}:\tRunning`);
    writer.line(3, `Started:\t${writer.time(state.running.startedAt)}`);
  } else if (state.waiting !== undefined || state.terminated === undefined) {
    writer.line(2, `${title}:\tWaiting`);
    if (state.waiting?.reason) writer.line(3, `Reason:\t${state.waiting.reason}`);
  } else {
    const { reason, message, exitCode, signal, startedAt, finishedAt } = state.terminated;
    writer.line(2, `${title}:\tTerminated`);
    if (reason) writer.line(3, `Reason:\t${reason}`);
    if (message) writer.line(3, `Message:\t${message}`);
    writer.line(3, `Exit Code:\t${exitCode}`);
    if (signal !== undefined && signal > 0) writer.line(3, `Signal:\t${signal}`);
    writer.line(3, `Started:\t${writer.time(startedAt)}`);
    writer.line(3, `Finished:\t${writer.time(finishedAt)}`);
  }
}

/** `Limits:` and `Requests:`, each sorted by resource; nothing when empty. */
export function describeResources(
  writer: DescribeWriter,
  level: number,
  resources: ResourceRequirements | undefined,
): void {
  for (const [title, amounts] of [
    ['Limits', resources?.limits],
    ['Requests', resources?.requests],
  ] as const) {
    const entries = Object.entries(amounts ?? {}).sort(byKey);
    if (entries.length > 0) writer.line(level, `${title}:`);
    for (const [name, amount] of entries) writer.line(level + 1, `${name}:\t${amount}`);
  }
}

/** `http-get http://:8080/ delay=0s timeout=1s period=10s #success=1 #failure=3`. Upstream: `DescribeProbe`. */
export function probeText(probe: Probe): string {
  const numbers =
    `delay=${probe.initialDelaySeconds ?? 0}s timeout=${probe.timeoutSeconds ?? 0}s period=${probe.periodSeconds ?? 0}s ` +
    `#success=${probe.successThreshold ?? 0} #failure=${probe.failureThreshold ?? 0}`;
  return `${handlerText(probe)} ${numbers}`;
}

function handlerText(probe: Probe): string {
  if (probe.exec) return `exec [${(probe.exec.command ?? []).join(' ')}]`;
  if (probe.httpGet) {
    const { scheme, host = '', port, path = '' } = probe.httpGet;
    const address = host.includes(':') ? `[${host}]` : host;
    const prefix = scheme ? `${scheme.toLowerCase()}:` : '';
    const slash = path === '' || path.startsWith('/') ? '' : '/';
    return `http-get ${prefix}//${address}:${port}${slash}${escapePath(path)}`;
  }
  if (probe.tcpSocket) return `tcp-socket ${probe.tcpSocket.host ?? ''}:${probe.tcpSocket.port}`;
  if (probe.grpc) return `grpc <pod>:${probe.grpc.port} ${probe.grpc.service ?? ''}`;
  return 'unknown';
}

/** As Go's `url.URL` writes a path that it was given unescaped. */
function escapePath(path: string): string {
  const wellFormed = path.replaceAll(/\p{Surrogate}/gu, '\uFFFD');
  return encodeURI(wellFormed).replaceAll(
    /[?#!*'()]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}

function describeEnvFrom(writer: DescribeWriter, sources: readonly EnvFromSource[]): void {
  writer.line(2, 'Environment Variables from:');
  for (const source of sources) {
    const kind = source.configMapRef ? 'ConfigMap' : source.secretRef ? 'Secret' : '';
    const ref = source.configMapRef ?? source.secretRef;
    const prefix = source.prefix ? ` with prefix '${source.prefix}'` : '';
    writer.line(3, `${ref?.name ?? ''}\t${kind}${prefix}\tOptional: ${ref?.optional ?? false}`);
  }
}

function describeEnv(writer: DescribeWriter, container: Container | EphemeralContainer, pod: Pod | undefined): void {
  const variables = container.env ?? [];
  writer.line(2, variables.length === 0 ? 'Environment:\t<none>' : 'Environment:');
  for (const variable of variables) {
    if (variable.valueFrom !== undefined) {
      const text = valueFromText(variable.valueFrom, container, pod);
      if (text !== undefined) writer.line(3, `${variable.name}:\t${text}`);
      continue;
    }
    (variable.value ?? '').split('\n').forEach((line, index) => {
      writer.line(3, `${index === 0 ? `${variable.name}:` : ''}\t${line}`);
    });
  }
}

function valueFromText(
  from: NonNullable<EnvVar['valueFrom']>,
  container: Container | EphemeralContainer,
  pod: Pod | undefined,
): string | undefined {
  if (from.fieldRef) {
    const { apiVersion = '', fieldPath } = from.fieldRef;
    return `${podFieldText(pod, fieldPath)} (${apiVersion}:${fieldPath})`;
  }
  if (from.resourceFieldRef) {
    return `${resourceFieldText(container, from.resourceFieldRef)} (${from.resourceFieldRef.resource})`;
  }
  if (from.secretKeyRef) {
    const { key, name, optional = false } = from.secretKeyRef;
    return `<set to the key '${key}' in secret '${name}'>\tOptional: ${optional}`;
  }
  if (from.configMapKeyRef) {
    const { key, name, optional = false } = from.configMapKeyRef;
    return `<set to the key '${key}' of config map '${name}'>\tOptional: ${optional}`;
  }
  return undefined;
}

/** Only these two are looked up, as upstream's client does. */
function podFieldText(pod: Pod | undefined, fieldPath: string): string {
  if (fieldPath === 'metadata.name') return pod?.metadata?.name ?? '';
  return fieldPath === 'metadata.namespace' ? (pod?.metadata?.namespace ?? '') : '';
}

/** In units of the divisor, rounded up; `0` of a limit means what the node has. */
function resourceFieldText(container: Container | EphemeralContainer, source: ResourceFieldSelector): string {
  const [kind, ...name] = source.resource.split('.');
  const amounts = kind === 'limits' ? container.resources?.limits : container.resources?.requests;
  const measure = name.join('.') === 'cpu' ? quantityMilliValue : quantityValue;
  const divisor = measure(quantityOf(source.divisor)) || measure(quantityOf('1'));
  const count = Math.ceil(measure(quantityOf(amounts?.[name.join('.')])) / divisor);
  const isNodes = count === 0 && (source.resource === 'limits.cpu' || source.resource === 'limits.memory');
  return isNodes ? 'node allocatable' : String(count);
}

function describeMounts(writer: DescribeWriter, container: Container | EphemeralContainer): void {
  const mounts = (container.volumeMounts ?? []).toSorted((a, b) => byKey([a.mountPath, 0], [b.mountPath, 0]));
  writer.line(2, mounts.length === 0 ? 'Mounts:\t<none>' : 'Mounts:');
  for (const { mountPath, name, readOnly, subPath } of mounts) {
    const flags = [readOnly ? 'ro' : 'rw', ...(subPath ? [`path=${goQuote(subPath)}`] : [])];
    writer.line(3, `${mountPath} from ${name} (${flags.join(',')})`);
  }
  const devices = (container.volumeDevices ?? []).toSorted((a, b) => byKey([a.devicePath, 0], [b.devicePath, 0]));
  if (devices.length > 0) writer.line(2, mounts.length === 0 ? 'Devices:\t<none>' : 'Devices:');
  for (const { devicePath, name } of devices) writer.line(3, `${devicePath} from ${name}`);
}
