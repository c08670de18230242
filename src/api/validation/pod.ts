import { duplicate, forbidden, invalid, notSupported, required } from '../field-error.ts';
import type { ObjectMeta, Pod, PodDNSConfig, PodResourceClaim, PodSchedulingGate, PodSpec } from '../gen/types.ts';
import { dns1123LabelProblems, dns1123SubdomainProblems, qualifiedNameProblems, rangeText } from '../names.ts';
import { checkAffinity, checkTopologySpread } from './affinity.ts';
import {
  checkContainers,
  checkEphemeralContainers,
  checkImageSpace,
  checkInitContainers,
  checkRequiredOneOf,
  type PodContext,
} from './containers.ts';
import { ipProblems } from './ip.ts';
import { addInvalid, checkLabels, checkMetadata, type Errors } from './metadata.ts';
import { checkPodResources, checkResources } from './resources.ts';
import { checkHostUsers, checkPodSecurityContext } from './security.ts';
import { checkTolerations } from './taints.ts';
import { checkVolumes } from './volumes.ts';

const secondsMax = 2 ** 31 - 1;
const noSpec: PodSpec = { containers: [] };
const noClaims: ReadonlySet<string> = new Set();
const restartPolicies = ['Always', 'OnFailure', 'Never'] as const;
const dnsPolicies = ['ClusterFirstWithHostNet', 'ClusterFirst', 'Default', 'None'] as const;

/** Upstream: `ValidatePodCreate`. */
export function checkNewPod(errors: Errors, pod: Pod): void {
  checkPod(errors, pod);
  const spec = pod.spec ?? noSpec;
  if ((spec.ephemeralContainers ?? []).length > 0) {
    errors.push(forbidden('spec.ephemeralContainers', 'cannot be set on create'));
  }
  if ((spec.nodeName ?? '') !== '' && (spec.schedulingGates ?? []).length > 0) {
    errors.push(forbidden('spec.nodeName', 'cannot be set until all schedulingGates have been cleared'));
  }
}

/** Upstream: `validatePodMetadataAndSpec`. */
export function checkPod(errors: Errors, pod: Pod): void {
  const meta = pod.metadata ?? {};
  const spec = pod.spec ?? noSpec;
  checkMetadata(errors, meta, true, 'subdomain');
  checkPodAnnotations(errors, meta, spec);
  checkPodSpec(errors, 'spec', spec, meta.name ?? '');
  if ((spec.serviceAccountName ?? '') === '') checkNoTokenVolumes(errors, spec);
  spec.containers.forEach(({ image = '' }, index) => checkImageSpace(errors, `spec.containers[${index}]`, image));
  spec.initContainers?.forEach(({ image = '' }, index) => {
    checkImageSpace(errors, `spec.initContainers[${index}]`, image);
  });
}

const mirrorKey = 'kubernetes.io/config.mirror';
const deletionCostKey = 'controller.kubernetes.io/pod-deletion-cost';

export function checkPodAnnotations(
  errors: Errors,
  meta: ObjectMeta,
  spec: PodSpec,
  path = 'metadata.annotations',
): void {
  const annotations = meta.annotations;
  if (annotations === undefined) return;
  const mirror = annotations[mirrorKey];
  if (mirror !== undefined && (spec.nodeName ?? '') === '') {
    const text = 'must set spec.nodeName if mirror pod annotation is set';
    errors.push(invalid(`${path}[${mirrorKey}]`, mirror, text));
  }
  const cost = annotations[deletionCostKey];
  const isInt32 = cost === undefined || (/^(?:0|-?[1-9]\d*)$/.test(cost) && Math.abs(Number(cost)) <= secondsMax);
  if (!isInt32) errors.push(invalid(`${path}[${deletionCostKey}]`, cost, 'must be a 32bit integer'));
}

function checkNoTokenVolumes(errors: Errors, spec: PodSpec): void {
  spec.volumes?.forEach((volume, index) => {
    volume.projected?.sources?.forEach((source, sourceIndex) => {
      if (source.serviceAccountToken === undefined) return;
      const at = `spec.volumes[${index}].projected.sources[${sourceIndex}].serviceAccountToken`;
      errors.push(forbidden(at, 'must not be specified when serviceAccountName is not set'));
    });
  });
}

/** Upstream: `ValidatePodSpec`. `podName` is `''` in templates. */
export function checkPodSpec(errors: Errors, path: string, spec: PodSpec, podName: string): void {
  if (spec.terminationGracePeriodSeconds === undefined) {
    errors.push(required(`${path}.terminationGracePeriodSeconds`));
  }
  const volumes = checkVolumes(errors, `${path}.volumes`, spec.volumes, podName);
  const claimNames = checkResourceClaims(errors, `${path}.resourceClaims`, spec.resourceClaims);
  const context: PodContext = {
    volumes,
    claimNames,
    graceSeconds: spec.terminationGracePeriodSeconds,
    restartPolicy: spec.restartPolicy ?? '',
    usesHostUsers: spec.hostUsers ?? true,
  };
  checkContainers(errors, `${path}.containers`, spec.containers, context);
  checkInitContainers(errors, `${path}.initContainers`, spec, context);
  checkEphemeralContainers(errors, `${path}.ephemeralContainers`, spec, context);
  checkPodResources(errors, `${path}.resources`, spec, claimNames);
  checkHostNetworkPorts(errors, `${path}.containers`, spec, podName === '');
  checkRequiredOneOf(errors, `${path}.restartPolicy`, spec.restartPolicy, restartPolicies);
  checkRequiredOneOf(errors, `${path}.dnsPolicy`, spec.dnsPolicy, dnsPolicies);
  if (spec.nodeSelector !== undefined) checkLabels(errors, `${path}.nodeSelector`, spec.nodeSelector);
  checkPodSecurityContext(errors, `${path}.securityContext`, spec);
  checkAffinity(errors, `${path}.affinity`, spec.affinity);
  checkDnsConfig(errors, `${path}.dnsConfig`, spec.dnsConfig, spec.dnsPolicy);
  spec.readinessGates?.forEach(({ conditionType }, index) => {
    const at = `${path}.readinessGates[${index}].conditionType`;
    addInvalid(errors, at, conditionType, qualifiedNameProblems(conditionType));
  });
  checkSchedulingGates(errors, `${path}.schedulingGates`, spec.schedulingGates);
  checkTopologySpread(errors, `${path}.topologySpreadConstraints`, spec.topologySpreadConstraints);
  checkHostUsers(errors, path, spec);
  checkPodScalars(errors, path, spec);
}

function checkPodScalars(errors: Errors, path: string, spec: PodSpec): void {
  const check = (name: keyof PodSpec, rule: (value: string) => readonly string[]): void => {
    const value = spec[name];
    if (typeof value === 'string' && value !== '') addInvalid(errors, `${path}.${name}`, value, rule(value));
  };
  check('serviceAccountName', dns1123SubdomainProblems);
  check('nodeName', dns1123SubdomainProblems);
  const { activeDeadlineSeconds: seconds } = spec;
  if (seconds !== undefined && (seconds < 1 || seconds > secondsMax)) {
    errors.push(invalid(`${path}.activeDeadlineSeconds`, seconds, rangeText(1, secondsMax)));
  }
  check('hostname', dns1123LabelProblems);
  check('subdomain', dns1123LabelProblems);
  checkTolerations(errors, `${path}.tolerations`, spec.tolerations);
  spec.hostAliases?.forEach(({ ip, hostnames }, index) => {
    const at = `${path}.hostAliases[${index}]`;
    addInvalid(errors, `${at}.ip`, ip, ipProblems(ip));
    hostnames?.forEach((name, nameIndex) => {
      addInvalid(errors, `${at}.hostnames[${nameIndex}]`, name, dns1123SubdomainProblems(name));
    });
  });
  check('priorityClassName', dns1123SubdomainProblems);
  check('runtimeClassName', dns1123SubdomainProblems);
  if (spec.preemptionPolicy !== undefined) {
    checkRequiredOneOf(errors, `${path}.preemptionPolicy`, spec.preemptionPolicy, ['PreemptLowerPriority', 'Never']);
  }
  if (spec.overhead !== undefined) {
    checkResources(errors, `${path}.overhead`, { limits: spec.overhead }, noClaims);
  }
  checkOs(errors, path, spec);
}

function checkOs(errors: Errors, path: string, spec: PodSpec): void {
  if (spec.os === undefined) return;
  const { name } = spec.os;
  if (name === '') return void errors.push(required(`${path}.os.name`));
  if (name !== 'linux' && name !== 'windows') {
    return void errors.push(notSupported(`${path}.os.name`, name, ['linux', 'windows']));
  }
  if (name === 'windows') return;
  const text = 'windows options cannot be set for a linux pod';
  if (spec.securityContext?.windowsOptions !== undefined) {
    errors.push(forbidden(`${path}.securityContext.windowsOptions`, text));
  }
  for (const list of ['initContainers', 'containers'] as const) {
    spec[list]?.forEach((container, index) => {
      if (container.securityContext?.windowsOptions === undefined) return;
      errors.push(forbidden(`${path}.${list}[${index}].securityContext.windowsOptions`, text));
    });
  }
}

/** A template may leave them out: they are filled in when a pod is made of it. */
function checkHostNetworkPorts(errors: Errors, path: string, spec: PodSpec, isTemplate: boolean): void {
  if (spec.hostNetwork !== true) return;
  spec.containers.forEach((container, index) => {
    container.ports?.forEach(({ hostPort = 0, containerPort }, portIndex) => {
      if (hostPort === containerPort || (isTemplate && hostPort === 0)) return;
      const text = 'must match `containerPort` when `hostNetwork` is true';
      errors.push(invalid(`${path}[${index}].ports[${portIndex}].hostPort`, hostPort, text));
    });
  });
}

const nameserversMax = 3;
const searchesMax = 32;
const searchListCharsMax = 2_048;

function checkDnsConfig(
  errors: Errors,
  path: string,
  config: PodDNSConfig | undefined,
  policy: string | undefined,
): void {
  if (policy === 'None') {
    const text = 'when `dnsPolicy` is None';
    if (config === undefined) return void errors.push(required(path, `must provide \`dnsConfig\` ${text}`));
    if ((config.nameservers ?? []).length === 0) {
      return void errors.push(required(`${path}.nameservers`, `must provide at least one DNS nameserver ${text}`));
    }
  }
  if (config === undefined) return;
  const { nameservers = [], searches = [] } = config;
  if (nameservers.length > nameserversMax) {
    errors.push(invalid(`${path}.nameservers`, nameservers, `must not have more than ${nameserversMax} nameservers`));
  }
  nameservers.forEach((ip, index) => addInvalid(errors, `${path}.nameservers[${index}]`, ip, ipProblems(ip)));
  if (searches.length > searchesMax) {
    errors.push(invalid(`${path}.searches`, searches, `must not have more than ${searchesMax} search paths`));
  }
  if (searches.join(' ').length > searchListCharsMax) {
    const text = `must not have more than ${searchListCharsMax} characters (including spaces) in the search list`;
    errors.push(invalid(`${path}.searches`, searches, text));
  }
  searches.forEach((search, index) => {
    if (search === '.') return;
    const name = search.endsWith('.') ? search.slice(0, -1) : search;
    // Underscores are allowed here, unlike in names of objects.
    addInvalid(errors, `${path}.searches[${index}]`, name, dns1123SubdomainProblems(name.replace(/_/g, '-')));
  });
  config.options?.forEach(({ name = '' }, index) => {
    if (name === '') errors.push(required(`${path}.options[${index}]`, 'must not be empty'));
  });
}

function checkSchedulingGates(errors: Errors, path: string, gates: readonly PodSchedulingGate[] | undefined): void {
  const seen = new Set<string>();
  gates?.forEach(({ name }, index) => {
    addInvalid(errors, `${path}[${index}]`, name, qualifiedNameProblems(name));
    if (seen.has(name)) errors.push(duplicate(`${path}[${index}]`, name));
    seen.add(name);
  });
}

function checkResourceClaims(
  errors: Errors,
  path: string,
  claims: readonly PodResourceClaim[] | undefined,
): ReadonlySet<string> {
  if (claims === undefined) return noClaims;
  const names = new Set<string>();
  claims.forEach((claim, index) => {
    const at = `${path}[${index}]`;
    const { name, resourceClaimName, resourceClaimTemplateName } = claim;
    if (name === '') errors.push(required(`${at}.name`));
    else if (names.has(name)) errors.push(duplicate(`${at}.name`, name));
    else addInvalid(errors, `${at}.name`, name, dns1123LabelProblems(name));
    if (name !== '') names.add(name);
    if (resourceClaimName !== undefined && resourceClaimTemplateName !== undefined) {
      const text = 'at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified';
      errors.push(invalid(at, claim, text));
    }
    if (resourceClaimName === undefined && resourceClaimTemplateName === undefined) {
      const text = 'must specify one of: `resourceClaimName`, `resourceClaimTemplateName`';
      errors.push(invalid(at, claim, text));
    }
  });
  return names;
}
