import { duplicate, forbidden, invalid, notFound, notSupported, required } from '../field-error.ts';
import type {
  Container,
  ContainerPort,
  ContainerResizePolicy,
  EnvFromSource,
  EnvVar,
  EphemeralContainer,
  PodSpec,
} from '../gen/types.ts';
import {
  configMapKeyProblems,
  dns1123LabelProblems,
  dns1123SubdomainProblems,
  envVarNameProblems,
  maskTrailingDash,
  portNameProblems,
  portNumberProblems,
} from '../names.ts';
import { isSidecar } from '../pod-resources.ts';
import { checkFieldRef, checkResourceFieldRef, envFieldPaths } from './field-refs.ts';
import { addInvalid, type Errors } from './metadata.ts';
import { checkProbesAndHooks } from './probes.ts';
import { checkResources } from './resources.ts';
import { checkSecurityContext } from './security.ts';
import { checkVolumeDevices, checkVolumeMounts, type Volumes } from './volumes.ts';

/** What the checks of a container need to know of its pod. */
export interface PodContext {
  readonly volumes: Volumes;
  readonly claimNames: ReadonlySet<string>;
  readonly graceSeconds: number | undefined;
  readonly restartPolicy: string;
  readonly usesHostUsers: boolean;
}

const initOnlyText = 'may not be set for init containers without restartPolicy=Always';

/** Upstream: `validateContainers`. */
export function checkContainers(
  errors: Errors,
  path: string,
  containers: readonly Container[],
  context: PodContext,
): void {
  if (containers.length === 0) return void errors.push(required(path));
  const names = new Set<string>();
  for (let index = 0; index < containers.length; index++) {
    const container = containers[index];
    if (container === undefined) continue;
    const at = `${path}[${index}]`;
    checkContainer(errors, at, container, context);
    if (names.has(container.name)) errors.push(duplicate(`${at}.name`, container.name));
    else names.add(container.name);
    checkProbesAndHooks(errors, at, container, context.graceSeconds);
    if (container.restartPolicy !== undefined) {
      errors.push(forbidden(`${at}.restartPolicy`, 'may not be set for non-init containers'));
    }
    if (container.restartPolicyRules !== undefined) {
      errors.push(forbidden(`${at}.restartPolicyRules`, 'may not be set for non-init containers'));
    }
  }
  checkHostPorts(errors, path, containers);
}

/** Upstream: `validateInitContainers`. */
export function checkInitContainers(errors: Errors, path: string, spec: PodSpec, context: PodContext): void {
  const names = new Set(spec.containers.map(({ name }) => name));
  spec.initContainers?.forEach((container, index) => {
    const at = `${path}[${index}]`;
    checkContainer(errors, at, container, context);
    const { restartPolicy } = container;
    if (restartPolicy !== undefined && restartPolicy !== 'Always') {
      errors.push(notSupported(`${at}.restartPolicy`, restartPolicy, ['Always']));
    }
    if (names.has(container.name)) errors.push(duplicate(`${at}.name`, container.name));
    else if (container.name !== '') names.add(container.name);
    checkHostPorts(errors, path, [container]);
    if (isSidecar(container)) checkProbesAndHooks(errors, at, container, context.graceSeconds);
    else {
      for (const name of ['lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe'] as const) {
        if (container[name] !== undefined) errors.push(forbidden(`${at}.${name}`, initOnlyText));
      }
    }
  });
}

const ephemeralForbidden = [
  'lifecycle',
  'livenessProbe',
  'ports',
  'readinessProbe',
  'resizePolicy',
  'restartPolicy',
  'startupProbe',
] as const satisfies readonly (keyof EphemeralContainer)[];

/** Upstream: `validateEphemeralContainers`. */
export function checkEphemeralContainers(errors: Errors, path: string, spec: PodSpec, context: PodContext): void {
  if (spec.ephemeralContainers === undefined) return;
  const others = new Set([...spec.containers, ...(spec.initContainers ?? [])].map(({ name }) => name));
  const names = new Set(others);
  const text = 'cannot be set for an Ephemeral Container';
  spec.ephemeralContainers.forEach((container, index) => {
    const at = `${path}[${index}]`;
    checkContainer(errors, at, container, context);
    checkImageSpace(errors, at, container.image ?? '');
    if (names.has(container.name)) errors.push(duplicate(`${at}.name`, container.name));
    else names.add(container.name);
    const target = container.targetContainerName ?? '';
    if (target !== '' && !others.has(target)) errors.push(notFound(`${at}.targetContainerName`, target));
    for (const name of ephemeralForbidden) {
      if (container[name] !== undefined) errors.push(forbidden(`${at}.${name}`, text));
    }
    const { limits, requests, claims } = container.resources ?? {};
    if ((limits ?? requests ?? claims) !== undefined) errors.push(forbidden(`${at}.resources`, text));
    container.volumeMounts?.forEach(({ subPath = '', subPathExpr = '' }, mountIndex) => {
      const mountPath = `${at}.volumeMounts[${mountIndex}]`;
      if (subPath !== '') errors.push(forbidden(`${mountPath}.subPath`, text));
      if (subPathExpr !== '') errors.push(forbidden(`${mountPath}.subPathExpr`, text));
    });
  });
}

export function checkImageSpace(errors: Errors, path: string, image: string): void {
  if (image.trim() === image) return;
  errors.push(invalid(`${path}.image`, image, 'must not have leading or trailing whitespace'));
}

const messagePolicies = ['File', 'FallbackToLogsOnError'] as const;
const pullPolicies = ['Always', 'IfNotPresent', 'Never'] as const;

/** What all containers have in common. Upstream: `validateContainerCommon`. */
function checkContainer(
  errors: Errors,
  path: string,
  container: Container | EphemeralContainer,
  context: PodContext,
): void {
  if (container.name === '') errors.push(required(`${path}.name`));
  else addInvalid(errors, `${path}.name`, container.name, dns1123LabelProblems(container.name));
  if ((container.image ?? '') === '') errors.push(required(`${path}.image`));
  checkRequiredOneOf(errors, `${path}.terminationMessagePolicy`, container.terminationMessagePolicy, messagePolicies);
  if (container.ports !== undefined) checkPorts(errors, `${path}.ports`, container.ports);
  if (container.env !== undefined) checkEnv(errors, `${path}.env`, container.env, context.volumes);
  if (container.envFrom !== undefined) checkEnvFrom(errors, `${path}.envFrom`, container.envFrom);
  checkVolumeMounts(errors, `${path}.volumeMounts`, container, context.volumes);
  checkVolumeDevices(errors, `${path}.volumeDevices`, container, context.volumes);
  checkRequiredOneOf(errors, `${path}.imagePullPolicy`, container.imagePullPolicy, pullPolicies);
  if (container.resources !== undefined) {
    checkResources(errors, `${path}.resources`, container.resources, context.claimNames);
  }
  checkResizePolicy(errors, `${path}.resizePolicy`, container.resizePolicy, context.restartPolicy);
  checkSecurityContext(errors, `${path}.securityContext`, container.securityContext, context.usesHostUsers);
}

/** Of enumerations that defaulting fills in. */
export function checkRequiredOneOf(
  errors: Errors,
  path: string,
  value: string | undefined,
  supported: readonly string[],
): void {
  if (value === undefined || value === '') errors.push(required(path));
  else if (!supported.includes(value)) errors.push(notSupported(path, value, supported));
}

const protocols = ['SCTP', 'TCP', 'UDP'] as const;

function checkPorts(errors: Errors, path: string, ports: readonly ContainerPort[]): void {
  const names = new Set<string>();
  ports.forEach((port, index) => {
    const at = `${path}[${index}]`;
    const { name = '', hostPort = 0 } = port;
    if (name !== '') {
      const problems = portNameProblems(name);
      if (problems.length > 0) addInvalid(errors, `${at}.name`, name, problems);
      else if (names.has(name)) errors.push(duplicate(`${at}.name`, name));
      else names.add(name);
    }
    if (port.containerPort === 0) errors.push(required(`${at}.containerPort`));
    else addInvalid(errors, `${at}.containerPort`, port.containerPort, portNumberProblems(port.containerPort));
    if (hostPort !== 0) addInvalid(errors, `${at}.hostPort`, hostPort, portNumberProblems(hostPort));
    checkRequiredOneOf(errors, `${at}.protocol`, port.protocol, protocols);
  });
}

function checkHostPorts(errors: Errors, path: string, containers: readonly Container[]): void {
  let seen: Set<string> | undefined;
  containers.forEach((container, index) => {
    container.ports?.forEach(({ hostPort = 0, hostIP = '', protocol = '' }, portIndex) => {
      if (hostPort === 0) return;
      seen ??= new Set();
      const key = `${protocol}/${hostIP}/${hostPort}`;
      if (seen.has(key)) errors.push(duplicate(`${path}[${index}].ports[${portIndex}].hostPort`, key));
      else seen.add(key);
    });
  });
}

function checkEnv(errors: Errors, path: string, env: readonly EnvVar[], volumes: Volumes): void {
  env.forEach((variable, index) => {
    const at = `${path}[${index}]`;
    if (variable.name === '') errors.push(required(`${at}.name`));
    else addInvalid(errors, `${at}.name`, variable.name, envVarNameProblems(variable.name));
    if (variable.valueFrom !== undefined) checkValueFrom(errors, `${at}.valueFrom`, variable, volumes);
  });
}

function checkValueFrom(errors: Errors, path: string, variable: EnvVar, volumes: Volumes): void {
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef, fileKeyRef } = variable.valueFrom ?? {};
  if (fieldRef !== undefined) checkFieldRef(errors, `${path}.fieldRef`, fieldRef, envFieldPaths);
  if (resourceFieldRef !== undefined) {
    checkResourceFieldRef(errors, `${path}.resourceFieldRef`, resourceFieldRef, false);
  }
  if (configMapKeyRef !== undefined) checkKeyRef(errors, `${path}.configMapKeyRef`, configMapKeyRef);
  if (secretKeyRef !== undefined) checkKeyRef(errors, `${path}.secretKeyRef`, secretKeyRef);
  if (fileKeyRef !== undefined && !volumes.has(fileKeyRef.volumeName)) {
    errors.push(notFound(`${path}.fileKeyRef.volumeName`, fileKeyRef.volumeName));
  }
  const all = [fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef, fileKeyRef];
  const found = all.filter((source) => source !== undefined).length;
  if (found === 0) {
    const names = '`fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`';
    errors.push(invalid(path, '', `must specify one of: ${names}`));
  } else if ((variable.value ?? '') !== '') {
    errors.push(invalid(path, '', 'may not be specified when `value` is not empty'));
  } else if (found > 1) errors.push(invalid(path, '', 'may not have more than one field specified at a time'));
}

function checkKeyRef(errors: Errors, path: string, ref: { readonly name?: string; readonly key: string }): void {
  const { name = '', key } = ref;
  addInvalid(errors, `${path}.name`, name, dns1123SubdomainProblems(name));
  if (key === '') errors.push(required(`${path}.key`));
  else addInvalid(errors, `${path}.key`, key, configMapKeyProblems(key));
}

function checkEnvFrom(errors: Errors, path: string, envFrom: readonly EnvFromSource[]): void {
  envFrom.forEach(({ prefix = '', configMapRef, secretRef }, index) => {
    const at = `${path}[${index}]`;
    if (prefix !== '') addInvalid(errors, `${at}.prefix`, prefix, envVarNameProblems(prefix));
    if (configMapRef !== undefined) checkEnvSource(errors, `${at}.configMapRef.name`, configMapRef.name ?? '');
    if (secretRef !== undefined) checkEnvSource(errors, `${at}.secretRef.name`, secretRef.name ?? '');
    // As upstream: without an index.
    if (configMapRef === undefined && secretRef === undefined) {
      errors.push(invalid(path, '', 'must specify one of: `configMapRef` or `secretRef`'));
    } else if (configMapRef !== undefined && secretRef !== undefined) {
      errors.push(invalid(path, '', 'may not have more than one field specified at a time'));
    }
  });
}

function checkEnvSource(errors: Errors, path: string, name: string): void {
  if (name === '') errors.push(required(path));
  else addInvalid(errors, path, name, dns1123SubdomainProblems(maskTrailingDash(name)));
}

function checkResizePolicy(
  errors: Errors,
  path: string,
  policies: readonly ContainerResizePolicy[] | undefined,
  podRestartPolicy: string,
): void {
  const names = new Set<string>();
  policies?.forEach(({ resourceName, restartPolicy }, index) => {
    if (names.has(resourceName)) errors.push(duplicate(`${path}[${index}]`, resourceName));
    names.add(resourceName);
    checkRequiredOneOf(errors, path, resourceName, ['cpu', 'memory']);
    checkRequiredOneOf(errors, path, restartPolicy, ['NotRequired', 'RestartContainer']);
    if (podRestartPolicy === 'Never' && restartPolicy !== 'NotRequired') {
      errors.push(invalid(path, restartPolicy, "must be 'NotRequired' when `restartPolicy` is 'Never'"));
    }
  });
}
