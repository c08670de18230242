import os from 'node:os';
import path from 'node:path';
import { StatusError } from '../../base/status-error.ts';
import type { ContainerConfig, Mount, PodSandboxConfig } from '../runtime.ts';
import type { ResolvedImage } from './images.ts';
import type { ContainerLaunch, Isolation } from './launcher.ts';
import { capabilitiesOf, userOf } from './process-user.ts';
import { systemPath } from './shell-tools.ts';
import { terminalVariables } from './terminal.ts';

const binMountPath = '/.livelet/bin'; // node of livelet's own version
const appletMountPath = '/.livelet/applets'; // busybox's commands

export interface LaunchContext {
  readonly isolation: Isolation;
  /** A directory with `node`. */
  readonly binDirectory: string;
  /** A directory with busybox's applets; `undefined`: this machine has no busybox. */
  readonly appletDirectory: string | undefined;
  /** The pod's resolv.conf, and where it belongs; `undefined`: it uses the machine's. */
  readonly resolvConf: Mount | undefined;
  readonly cgroupProcsFiles: readonly string[];
}

/** Merges image, container and pod into what a launcher needs. `enforcement.ts` has refused what cannot be done. */
export function containerLaunch(
  id: string,
  podSandboxId: string,
  config: ContainerConfig,
  sandbox: PodSandboxConfig,
  image: ResolvedImage,
  context: LaunchContext,
): ContainerLaunch {
  const { securityContext } = config;
  const argv = commandOf(config, image);
  if (argv.length === 0) throw new StatusError('BadRequest', `no command specified for image ${image.name}`);
  const isRoot = process.getuid?.() === 0;
  const isWholeRoot = isRoot && context.isolation.kind !== 'user';
  // Without root, an image's USER is whoever runs livelet.
  const canBeAnother = isWholeRoot || securityContext.runAsUser !== undefined;
  const { user, home } = userOf(securityContext, canBeAnother ? image.config.user : '');
  const hasOwnName = context.isolation.kind !== 'none' && sandbox.namespaces.network !== 'node';
  const imageMounts = imageMountsOf(image, context);
  return {
    id,
    podSandboxId,
    hostname: hasOwnName ? sandbox.hostname : '',
    argv,
    env: environmentOf(config, image, imageMounts, sandbox.hostname || os.hostname(), home),
    workingDir: config.workingDir || image.config.workingDir || '/',
    imageMounts,
    mounts: [...(context.resolvConf === undefined ? [] : [context.resolvConf]), ...config.mounts],
    user: isWholeRoot ? user : undefined,
    noNewPrivs: securityContext.noNewPrivs,
    capabilities: isWholeRoot ? capabilitiesOf(securityContext) : undefined,
    oomScoreAdj: config.resources.oomScoreAdj,
    readonlyRoot: securityContext.readonlyRootfs,
    cgroupProcsFiles: context.cgroupProcsFiles,
    stdinOpen: config.stdin,
    tty: config.tty,
  };
}

/** Kubernetes' rule: `command` replaces ENTRYPOINT and drops CMD, `args` replaces CMD. */
function commandOf(config: ContainerConfig, image: ResolvedImage): readonly string[] {
  const entrypoint = config.command.length > 0 ? config.command : image.config.entrypoint;
  if (config.args.length > 0) return [...entrypoint, ...config.args];
  return config.command.length > 0 ? entrypoint : [...entrypoint, ...image.config.cmd];
}

function imageMountsOf(image: ResolvedImage, context: LaunchContext): Mount[] {
  const bin = { hostPath: context.binDirectory, containerPath: binMountPath, readonly: true };
  const mounts: Mount[] = context.isolation.kind === 'none' ? [bin] : []; // every root directory of a namespace has it
  if (image.isBusybox && context.appletDirectory !== undefined) {
    mounts.push({ hostPath: context.appletDirectory, containerPath: appletMountPath, readonly: true });
  }
  if (image.mount !== undefined) mounts.push(image.mount);
  // Containers have a /tmp and a /run of their own, so a node that lives there must be shown by itself.
  if (/^\/(?:tmp|run)\//.test(process.execPath)) {
    mounts.push({ hostPath: process.execPath, containerPath: process.execPath, readonly: true });
  }
  return mounts;
}

function environmentOf(
  config: ContainerConfig,
  image: ResolvedImage,
  imageMounts: readonly Mount[],
  hostname: string,
  home: string,
): [string, string][] {
  const hasApplets = imageMounts.some(({ containerPath }) => containerPath === appletMountPath);
  const machine = [...systemPath.split(':'), ...(process.env['PATH'] ?? '').split(path.delimiter)];
  const searchPath = [
    ...(hasApplets ? [appletMountPath] : []),
    binMountPath,
    ...new Set(machine.filter((directory) => path.isAbsolute(directory))),
  ];
  const env = new Map<string, string>([
    ['PATH', searchPath.join(path.delimiter)],
    ['HOSTNAME', hostname],
    ['HOME', home],
  ]);
  if (config.tty) for (const [name, value] of Object.entries(terminalVariables)) env.set(name, value);
  for (const { key, value } of image.config.env) env.set(key, value);
  for (const { key, value } of config.envs) env.set(key, value);
  return [...env];
}
