import { duplicate, forbidden, invalid, notSupported, required, tooLong } from '../field-error.ts';
import type {
  AppArmorProfile,
  PodSecurityContext,
  PodSpec,
  SeccompProfile,
  SecurityContext,
  Sysctl,
} from '../gen/types.ts';
import { byteLength, rangeText } from '../names.ts';
import type { Errors } from './metadata.ts';
import { checkDescendingPath } from './paths.ts';

const idMax = 2 ** 31 - 1;
const localhostProfileBytesMax = 4095; // PATH_MAX - 1
const profileTypes = ['Localhost', 'RuntimeDefault', 'Unconfined'] as const;
const sysctlName = '([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?';
const sysctlPattern = new RegExp(`^${sysctlName}$`);
const sysctlMax = 253;

function checkId(errors: Errors, path: string, id: number | undefined): void {
  if (id !== undefined && (id < 0 || id > idMax)) errors.push(invalid(path, id, rangeText(0, idMax)));
}

/** Upstream: `ValidateSecurityContext`. Privileged containers are allowed. */
export function checkSecurityContext(
  errors: Errors,
  path: string,
  context: SecurityContext | undefined,
  usesHostUsers: boolean,
): void {
  if (context === undefined) return;
  checkId(errors, `${path}.runAsUser`, context.runAsUser);
  checkId(errors, `${path}.runAsGroup`, context.runAsGroup);
  const { procMount } = context;
  if (procMount !== undefined && procMount !== 'Default' && procMount !== 'Unmasked') {
    errors.push(notSupported(`${path}.procMount`, procMount, ['Default', 'Unmasked']));
  }
  if (usesHostUsers && procMount === 'Unmasked') {
    errors.push(invalid(`${path}.procMount`, procMount, '`hostUsers` must be false to use `Unmasked`'));
  }
  checkSeccomp(errors, `${path}.seccompProfile`, context.seccompProfile);
  if (context.allowPrivilegeEscalation === false) {
    const text = 'cannot set `allowPrivilegeEscalation` to false and';
    if (context.privileged === true) errors.push(invalid(path, context, `${text} \`privileged\` to true`));
    if ((context.capabilities?.add ?? []).includes('CAP_SYS_ADMIN')) {
      errors.push(invalid(path, context, `${text} \`capabilities.Add\` CAP_SYS_ADMIN`));
    }
  }
  checkAppArmor(errors, `${path}.appArmorProfile`, context.appArmorProfile);
}

function checkSeccomp(errors: Errors, path: string, profile: SeccompProfile | undefined): void {
  if (profile === undefined) return;
  const { type, localhostProfile } = profile;
  if (type === '') errors.push(required(`${path}.type`, 'type is required when seccompProfile is set'));
  else if (!profileTypes.some((known) => known === type)) {
    errors.push(notSupported(`${path}.type`, type, profileTypes));
  }
  const at = `${path}.localhostProfile`;
  if (type !== 'Localhost') {
    if (localhostProfile === undefined) return;
    errors.push(invalid(at, profile, 'can only be set when seccomp type is Localhost'));
  } else if (localhostProfile === undefined) {
    errors.push(required(at, 'must be set when seccomp type is Localhost'));
  } else checkDescendingPath(errors, at, localhostProfile);
}

function checkAppArmor(errors: Errors, path: string, profile: AppArmorProfile | undefined): void {
  if (profile === undefined) return;
  const { type, localhostProfile } = profile;
  const at = `${path}.localhostProfile`;
  if (type === 'Localhost') {
    const missing = 'must be set when AppArmor type is Localhost';
    if (localhostProfile === undefined) return void errors.push(required(at, missing));
    if (localhostProfile.trim() !== localhostProfile) {
      errors.push(invalid(at, localhostProfile, 'must not be padded with whitespace'));
    } else if (localhostProfile === '') errors.push(required(at, missing));
    if (byteLength(localhostProfile) > localhostProfileBytesMax) errors.push(tooLong(at, localhostProfileBytesMax));
  } else if (type === 'RuntimeDefault' || type === 'Unconfined') {
    if (localhostProfile === undefined) return;
    errors.push(invalid(at, localhostProfile, 'can only be set when AppArmor type is Localhost'));
  } else if (type === '') errors.push(required(`${path}.type`, 'type is required when appArmorProfile is set'));
  else errors.push(notSupported(`${path}.type`, type, profileTypes));
}

/** Upstream: `validatePodSpecSecurityContext`. */
export function checkPodSecurityContext(errors: Errors, path: string, spec: PodSpec): void {
  const context: PodSecurityContext | undefined = spec.securityContext;
  if (context === undefined) return;
  checkId(errors, `${path}.fsGroup`, context.fsGroup);
  checkId(errors, `${path}.runAsUser`, context.runAsUser);
  checkId(errors, `${path}.runAsGroup`, context.runAsGroup);
  context.supplementalGroups?.forEach((id, index) => checkId(errors, `${path}.supplementalGroups[${index}]`, id));
  if (spec.shareProcessNamespace === true && spec.hostPID === true) {
    const text = 'ShareProcessNamespace and HostPID cannot both be enabled';
    errors.push(invalid(`${path}.shareProcessNamespace`, true, text));
  }
  checkSysctls(errors, `${path}.sysctls`, context.sysctls, spec);
  checkOneOf(errors, `${path}.fsGroupChangePolicy`, context.fsGroupChangePolicy, ['Always', 'OnRootMismatch']);
  checkSeccomp(errors, `${path}.seccompProfile`, context.seccompProfile);
  checkAppArmor(errors, `${path}.appArmorProfile`, context.appArmorProfile);
  checkOneOf(errors, `${path}.supplementalGroupsPolicy`, context.supplementalGroupsPolicy, ['Merge', 'Strict']);
  checkOneOf(errors, `${path}.seLinuxChangePolicy`, context.seLinuxChangePolicy, ['Recursive']);
}

/** Of optional enumerations. */
export function checkOneOf(
  errors: Errors,
  path: string,
  value: string | undefined,
  supported: readonly string[],
): void {
  if (value !== undefined && !supported.includes(value)) errors.push(notSupported(path, value, supported));
}

const ipcPrefixes = ['kernel.shm', 'kernel.msg', 'kernel.sem', 'fs.mqueue.'] as const;

function checkSysctls(errors: Errors, path: string, sysctls: readonly Sysctl[] | undefined, spec: PodSpec): void {
  const names = new Set<string>();
  sysctls?.forEach(({ name }, index) => {
    const at = `${path}[${index}].name`;
    if (name === '') errors.push(required(at));
    else if (name.length > sysctlMax || !sysctlPattern.test(name)) {
      errors.push(invalid(at, name, `must have at most ${sysctlMax} characters and match regex ^${sysctlName}$`));
    } else if (names.has(name)) errors.push(duplicate(at, name));
    names.add(name);
    const dotted = name.replace(/\//g, '.');
    if (spec.hostNetwork === true && dotted.startsWith('net.')) {
      errors.push(invalid(at, name, "may not be specified when 'hostNetwork' is true"));
    } else if (spec.hostIPC === true && ipcPrefixes.some((prefix) => dotted.startsWith(prefix))) {
      errors.push(invalid(at, name, "may not be specified when 'hostIPC' is true"));
    }
  });
}

/** Upstream: `validateHostUsers`, capitals included. */
export function checkHostUsers(errors: Errors, path: string, spec: PodSpec): void {
  if (spec.hostUsers !== false) return;
  const text = 'when `pod.Spec.HostUsers` is false';
  if (spec.hostNetwork === true) errors.push(forbidden(`${path}.hostNetwork`, text));
  if (spec.hostPID === true) errors.push(forbidden(`${path}.HostPID`, text));
  if (spec.hostIPC === true) errors.push(forbidden(`${path}.HostIPC`, text));
}
