import { duplicate, forbidden, invalid, required } from '../field-error.ts';
import type { Container, ContainerStatus, Pod, PodSpec, PodStatus, Toleration } from '../gen/types.ts';
import { dns1123SubdomainProblems, qualifiedNameProblems, rangeText } from '../names.ts';
import { ipFamilyOf, ipProblems } from './ip.ts';
import { addInvalid, checkImmutable, checkMetadataUpdate, type Errors } from './metadata.ts';
import { checkPod, checkPodAnnotations } from './pod.ts';
import { sameValue } from './same-value.ts';
import { checkTolerations } from './taints.ts';
import { diffText } from './value-diff.ts';

const secondsMax = 2 ** 31 - 1;
const noSpec: PodSpec = { containers: [] };
const mirrorKey = 'kubernetes.io/config.mirror';

const updatableFields = [
  '`spec.containers[*].image`',
  '`spec.initContainers[*].image`',
  '`spec.activeDeadlineSeconds`',
  '`spec.tolerations` (only additions to existing tolerations)',
  '`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
] as const;

/** Upstream: `ValidatePodUpdate`. */
export function checkPodUpdate(errors: Errors, next: Pod, current: Pod): void {
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
  checkPod(errors, next);
  checkAnnotationUpdates(errors, next, current);
  const nextSpec = next.spec ?? noSpec;
  const currentSpec = current.spec ?? noSpec;
  for (const list of ['containers', 'initContainers'] as const) {
    if (!checkContainerUpdates(errors, `spec.${list}`, nextSpec[list] ?? [], currentSpec[list] ?? [])) return;
  }
  if (!checkDeadlineUpdate(errors, nextSpec.activeDeadlineSeconds, currentSpec.activeDeadlineSeconds)) return;
  checkOnlyAddedTolerations(errors, nextSpec.tolerations ?? [], currentSpec.tolerations ?? []);
  checkOnlyRemovedGates(errors, nextSpec, currentSpec);
  if (sameValue(nextSpec, currentSpec)) return;
  const rest = withoutUpdatable(errors, nextSpec, currentSpec);
  if (sameValue(rest, currentSpec)) return;
  const text = `pod updates may not change fields other than ${updatableFields.join(',')}`;
  errors.push(forbidden('spec', `${text}\n${diffText(currentSpec, rest)}`));
}

function checkAnnotationUpdates(errors: Errors, next: Pod, current: Pod): void {
  const mirror = next.metadata?.annotations?.[mirrorKey];
  const currentMirror = current.metadata?.annotations?.[mirrorKey];
  const at = `metadata.annotations[${mirrorKey}]`;
  if (currentMirror !== undefined && mirror !== currentMirror) {
    errors.push(forbidden(at, 'may not remove or update mirror pod annotation'));
  } else if (currentMirror === undefined && mirror !== undefined) {
    errors.push(forbidden(at, 'may not add mirror pod annotation'));
  }
  checkPodAnnotations(errors, next.metadata ?? {}, next.spec ?? noSpec);
}

/** False: the rest cannot be compared. */
function checkContainerUpdates(
  errors: Errors,
  path: string,
  next: readonly Container[],
  current: readonly Container[],
): boolean {
  if (next.length !== current.length) {
    errors.push(forbidden(path, 'pod updates may not add or remove containers'));
    return false;
  }
  next.forEach(({ image = '' }, index) => {
    const at = `${path}[${index}].image`;
    if (image === '') errors.push(required(at));
    if (image.trim() !== image) errors.push(invalid(at, image, 'must not have leading or trailing whitespace'));
  });
  return true;
}

function checkDeadlineUpdate(errors: Errors, next: number | undefined, current: number | undefined): boolean {
  const at = 'spec.activeDeadlineSeconds';
  if (next === undefined) {
    if (current !== undefined) {
      errors.push(invalid(at, undefined, 'must not update from a positive integer to nil value'));
    }
    return true;
  }
  if (next < 0 || next > secondsMax) {
    errors.push(invalid(at, next, rangeText(0, secondsMax)));
    return false;
  }
  if (current === undefined || current >= next) return true;
  errors.push(invalid(at, next, 'must be less than or equal to previous value'));
  return false;
}

function checkOnlyAddedTolerations(errors: Errors, next: readonly Toleration[], current: readonly Toleration[]): void {
  for (const old of current) {
    const { tolerationSeconds: _seconds, ...kept } = old;
    const isThere = next.some(({ tolerationSeconds: _its, ...one }) => sameValue(one, kept));
    if (isThere) continue;
    const text = 'existing toleration can not be modified except its tolerationSeconds';
    errors.push(forbidden('spec.tolerations', text));
    return;
  }
  checkTolerations(errors, 'spec.tolerations', next);
}

function checkOnlyRemovedGates(errors: Errors, next: PodSpec, current: PodSpec): void {
  const known = new Set((current.schedulingGates ?? []).map(({ name }) => name));
  next.schedulingGates?.forEach(({ name }, index) => {
    if (known.has(name)) return;
    const text = `only deletion is allowed, but found new scheduling gate '${name}'`;
    errors.push(forbidden(`spec.schedulingGates[${index}].name`, text));
  });
}

function withOldImages(next: readonly Container[], current: readonly Container[]): Container[] {
  return next.map((container, index) => {
    const { image: _image, ...rest } = container;
    const image = current[index]?.image;
    return image === undefined ? rest : { ...rest, image };
  });
}

type Editable = { -readonly [K in keyof PodSpec]: PodSpec[K] };

/** The new spec with everything that may change put back as it was. */
function withoutUpdatable(errors: Errors, next: PodSpec, current: PodSpec): PodSpec {
  const rest: Editable = { ...next, containers: withOldImages(next.containers, current.containers) };
  if (next.initContainers !== undefined) {
    rest.initContainers = withOldImages(next.initContainers, current.initContainers ?? []);
  }
  const put = <K extends keyof PodSpec>(name: K): void => {
    const value = current[name];
    if (value === undefined) delete rest[name];
    else rest[name] = value;
  };
  put('activeDeadlineSeconds');
  put('schedulingGates');
  put('tolerations');
  const grace = current.terminationGracePeriodSeconds;
  if (grace !== undefined && grace < 0 && next.terminationGracePeriodSeconds === 1) {
    rest.terminationGracePeriodSeconds = grace;
  }
  if ((current.schedulingGates ?? []).length === 0) return rest;
  // A gated pod may still be told where it can run, more narrowly than before.
  if (!sameValue(next.nodeSelector, current.nodeSelector)) {
    for (const [key, value] of Object.entries(current.nodeSelector ?? {})) {
      if (next.nodeSelector?.[key] === value) continue;
      const text = `only additions to spec.nodeSelector are allowed (no mutations or deletions)`;
      errors.push(invalid('spec.nodeSelector', next.nodeSelector ?? {}, text));
      break;
    }
    put('nodeSelector');
  }
  if (!sameValue(next.affinity?.nodeAffinity, current.affinity?.nodeAffinity)) putNodeAffinity(rest, current);
  return rest;
}

function putNodeAffinity(rest: Editable, current: PodSpec): void {
  const { nodeAffinity: _mine, ...others } = rest.affinity ?? {};
  const old = current.affinity?.nodeAffinity;
  const affinity = old === undefined ? others : { ...others, nodeAffinity: old };
  if (current.affinity === undefined && Object.keys(affinity).length === 0) delete rest.affinity;
  else rest.affinity = affinity;
}

/** Upstream: `ValidatePodEphemeralContainersUpdate`. They can only be added. */
export function checkEphemeralUpdate(errors: Errors, next: Pod, current: Pod): void {
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
  checkPod(errors, next);
  const path = 'spec.ephemeralContainers';
  if (current.metadata?.annotations?.[mirrorKey] !== undefined) {
    errors.push(forbidden(path, 'static pods do not support ephemeral containers'));
  }
  const wanted = next.spec?.ephemeralContainers ?? [];
  for (const old of current.spec?.ephemeralContainers ?? []) {
    const same = wanted.find(({ name }) => name === old.name);
    const text = `existing ephemeral containers "${old.name}" may not be`;
    if (same === undefined) errors.push(forbidden(path, `${text} removed\n`));
    else if (!sameValue(same, old)) errors.push(forbidden(path, `${text} changed\n${diffText(old, same)}`));
  }
}

const systemConditions: ReadonlySet<string> = new Set(['PodScheduled', 'Ready', 'Initialized']);

/** Upstream: `ValidatePodStatusUpdate`. */
export function checkPodStatusUpdate(errors: Errors, next: Pod, current: Pod): void {
  checkMetadataUpdate(errors, next.metadata ?? {}, current.metadata ?? {});
  checkAnnotationUpdates(errors, next, current);
  const status = next.status ?? {};
  const before = current.status ?? {};
  status.conditions?.forEach(({ type }, index) => {
    if (systemConditions.has(type)) return;
    // The path is upstream's, which it takes from metadata.
    addInvalid(errors, `metadata.conditions[${index}].Type`, type, qualifiedNameProblems(type));
  });
  if ((next.spec?.nodeName ?? '') !== (current.spec?.nodeName ?? '')) {
    errors.push(forbidden('status.nodeName', 'may not be changed directly'));
  }
  const nominated = status.nominatedNodeName ?? '';
  if (nominated !== '' && nominated !== before.nominatedNodeName) {
    addInvalid(errors, 'status.nominatedNodeName', nominated, dns1123SubdomainProblems(nominated));
  }
  checkImmutable(errors, 'status.qosClass', status.qosClass ?? '', before.qosClass ?? '');
  const policy = current.spec?.restartPolicy ?? 'Always';
  const sidecars = new Set(
    (current.spec?.initContainers ?? []).filter((one) => one.restartPolicy === 'Always').map(({ name }) => name),
  );
  checkTransitions(errors, 'containerStatuses', status, before, policy, new Set());
  checkTransitions(errors, 'initContainerStatuses', status, before, policy, sidecars);
  checkTransitions(errors, 'ephemeralContainerStatuses', status, before, 'Never', new Set());
  checkIps(errors, status);
}

type StatusList = 'containerStatuses' | 'initContainerStatuses' | 'ephemeralContainerStatuses';

/** What has ended for good stays ended. */
function checkTransitions(
  errors: Errors,
  list: StatusList,
  next: PodStatus,
  current: PodStatus,
  policy: string,
  restartable: ReadonlySet<string>,
): void {
  if (policy === 'Always') return;
  current[list]?.forEach((old: ContainerStatus, index) => {
    const terminated = old.state?.terminated;
    if (terminated === undefined || restartable.has(old.name)) return;
    if (terminated.exitCode !== 0 && policy === 'OnFailure') return;
    for (const status of next[list] ?? []) {
      if (status.name !== old.name || status.state?.terminated !== undefined) continue;
      errors.push(forbidden(`status.${list}[${index}].state`, 'may not be transitioned to non-terminated state'));
    }
  });
}

function checkIps(errors: Errors, status: PodStatus): void {
  checkIpList(errors, 'status.podIPs', status.podIPs);
  const first = status.hostIPs?.[0]?.ip;
  if (first !== undefined && first !== (status.hostIP ?? '')) {
    errors.push(invalid('status.hostIPs[0].ip', first, 'must be equal to `hostIP`'));
  }
  checkIpList(errors, 'status.hostIPs', status.hostIPs);
}

function checkIpList(errors: Errors, path: string, list: readonly { readonly ip: string }[] | undefined): void {
  if (list === undefined) return;
  list.forEach(({ ip }, index) => addInvalid(errors, `${path}[${index}]`, ip, ipProblems(ip)));
  if (list.length < 2) return;
  const families = new Set(list.map(({ ip }) => ipFamilyOf(ip)));
  if (families.size < 2 || list.length > 2) {
    errors.push(invalid(path, list, 'may specify no more than one IP for each IP family'));
  }
  const seen = new Set<string>();
  list.forEach((entry, index) => {
    if (seen.has(entry.ip)) errors.push(duplicate(`${path}[${index}]`, entry));
    seen.add(entry.ip);
  });
}
