import path from 'node:path';
import type { ContainerLaunch } from './launcher.ts';
import { findCommandFunction } from './launcher-script.ts';
import { fstabField, shellWord, shellWords } from './shell-quote.ts';

/** Where the tools are that the scripts call; found once at start. */
export interface ShellTools {
  readonly shell: string;
  readonly setpriv: string;
  readonly nsenter: string;
  readonly env: string;
  /** Empty: there is none. */
  readonly hostname: string;
}

/** How the launcher runs: what it may do decides what the scripts contain. */
export interface ScriptMode {
  readonly tools: ShellTools;
  readonly files: 'overlay' | 'binds';
  /** Whether we are root of the whole machine, not only of a user namespace. */
  readonly isRoot: boolean;
}

export interface StartFiles {
  readonly startScript: string;
  readonly envScript: string;
  /** Mounted before the change of root, sources and targets as the launcher sees them. */
  readonly rootTable: string;
  /** Mounted after it; sources lie under `oldRoot`. */
  readonly volumeTable: string;
}

export const oldRoot = '/.livelet/old'; // where the machine's files are between the change of root and the end of set-up

const devices = ['null', 'zero', 'full', 'random', 'urandom', 'tty'];

/**
 * What the new root directory must hold before it is mounted on. In overlay mode these go to the upper layer, in binds
 * mode to the root directory itself.
 */
export const rootSkeleton = {
  directories: ['.livelet/old', 'dev/pts', 'dev/shm', 'proc', 'sys', 'tmp', 'run'],
  files: devices.map((name) => `dev/${name}`),
  links: [
    ['dev/fd', '/proc/self/fd'],
    ['dev/stdin', '/proc/self/fd/0'],
    ['dev/stdout', '/proc/self/fd/1'],
    ['dev/stderr', '/proc/self/fd/2'],
    ['dev/ptmx', 'pts/ptmx'],
  ],
} as const;

/** Made anew in each container, whatever the machine has there. */
export const privateTopDirectories: readonly string[] = ['dev', 'proc', 'sys', 'tmp', 'run', '.livelet'];

// A shell gives these a meaning, makes them read-only or sets them itself: they go through env(1).
const shellVariables =
  /^(?:IFS|OPTIND|OPTARG|PPID|UID|EUID|PWD|OLDPWD|_|SHLVL|LINENO|PS[0-9]|ENV|MAIL\w*|BASH\w*|SHELLOPTS|RANDOM|SECONDS|GROUPS|FUNCNAME|DIRSTACK|HIST\w*|failure|directory|saved_ifs)$/;
const identifier = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** `hostDirectories`: what of the machine is shown as it is: mount points (overlay), or every top directory (binds). */
export function startFiles(
  launch: ContainerLaunch,
  containerDir: string,
  hostDirectories: readonly string[],
  mode: ScriptMode,
): StartFiles {
  const bound = [...launch.imageMounts, ...launch.mounts];
  return {
    startScript: startScriptOf(launch, containerDir, bound.length > 0, mode),
    envScript: `unset PWD OLDPWD SHLVL\n${launch.env.filter(isPlainVariable).map(exportLine).join('')}`,
    rootTable: rootTableOf(launch, containerDir, hostDirectories, mode),
    volumeTable: bound
      .map((mount) =>
        tableLine(oldRoot + mount.hostPath, mount.containerPath, 'none', mount.readonly ? 'rbind,ro' : 'rbind'),
      )
      .join(''),
  };
}

function rootTableOf(
  launch: ContainerLaunch,
  containerDir: string,
  hostDirectories: readonly string[],
  mode: ScriptMode,
): string {
  const root = path.join(containerDir, 'root');
  const bind = launch.readonlyRoot ? 'bind,ro' : 'bind';
  const inRoot = (name: string): string => path.join(root, name);
  const lines = [
    mode.files === 'overlay'
      ? tableLine('overlay', root, 'overlay', 'lowerdir=/,upperdir=upper,workdir=work')
      : tableLine(root, root, 'none', 'rbind'),
    ...hostDirectories.map((directory) => tableLine(directory, inRoot(directory), 'none', 'rbind')),
    tableLine('proc', inRoot('proc'), 'proc', 'nosuid,nodev,noexec'),
    tableLine('/sys', inRoot('sys'), 'none', 'rbind'),
    ...devices.map((name) => tableLine(`/dev/${name}`, inRoot(`dev/${name}`), 'none', 'bind')),
    tableLine('devpts', inRoot('dev/pts'), 'devpts', 'newinstance,ptmxmode=0666'),
    tableLine('tmpfs', inRoot('dev/shm'), 'tmpfs', 'nosuid,nodev,size=64m,mode=1777'),
    tableLine(path.join(containerDir, 'tmp'), inRoot('tmp'), 'none', bind),
    tableLine(path.join(containerDir, 'run'), inRoot('run'), 'none', bind),
  ];
  return lines.join('');
}

function tableLine(source: string, target: string, type: string, options: string): string {
  return `${fstabField(source)} ${fstabField(target)} ${type} ${options} 0 0\n`;
}

function startScriptOf(launch: ContainerLaunch, containerDir: string, hasVolumes: boolean, mode: ScriptMode): string {
  const volumeTable = `${oldRoot}${containerDir}/volumes.tab`;
  const targets = [...launch.imageMounts, ...launch.mounts];
  return `${findCommandFunction}
fail() { echo "fail ${launch.id} $1"; exit 128; }
exec 2>setup.err || exit 128
exec 4>"$2" 5>"$3" ${launch.stdinOpen ? '3<>"$4"' : '3</dev/null'} || fail setup
${launch.hostname === '' ? '' : setHostname(launch.hostname, mode)}mount -n -a -T root.tab || fail setup
pivot_root root root/.livelet/old || fail setup
cd / || fail setup
${targets.map((mount) => makeTarget(mount.hostPath, mount.containerPath)).join('')}${
    hasVolumes ? `mount -n -a -T ${shellWord(volumeTable)} || fail setup\n` : ''
  }umount -n -l ${oldRoot} || fail setup
${launch.readonlyRoot ? 'mount -n -o remount,bind,ro / || fail setup\n' : ''}${launch.cgroupProcsFiles.map((file) => `echo 0 > ${shellWord(file)} || fail setup\n`).join('')}${
    launch.oomScoreAdj === undefined ? '' : `echo ${launch.oomScoreAdj} > /proc/self/oom_score_adj\n`
  }cd ${shellWord(launch.workingDir)} || fail workingDir
${launch.env.filter(isPlainVariable).map(exportLine).join('')}find_command ${shellWord(launch.argv[0] ?? '')}
[ -z "$failure" ] || fail "$failure"
unset failure directory saved_ifs PWD OLDPWD SHLVL
echo "started ${launch.id}"
exec 0<&3 1>&4 2>&5 3<&- 4>&- 5>&-
exec ${[identityPrefix(launch, mode), shellWords(launch.argv)].filter((part) => part !== '').join(' ')}
`;
}

/** Only root of the machine may write the file; in a user namespace the system call is allowed, but not this file. */
function setHostname(hostname: string, mode: ScriptMode): string {
  if (mode.isRoot) return `echo ${shellWord(hostname)} > /proc/sys/kernel/hostname || fail setup\n`;
  return mode.tools.hostname === '' ? '' : `${mode.tools.hostname} ${shellWord(hostname)} || fail setup\n`;
}

/** A mount point that the root directory lacks is made, as a directory or as a file, whichever its source is. */
function makeTarget(hostPath: string, containerPath: string): string {
  const target = shellWord(containerPath);
  const parent = shellWord(path.posix.dirname(containerPath));
  return `[ -e ${target} ] || if [ -d ${shellWord(oldRoot + hostPath)} ]; then mkdir -p ${target}; else
  [ -d ${parent} ] || mkdir -p ${parent}; : > ${target}; fi || fail setup
`;
}

/** The command that stands before the container's own: it sets the odd variables, the user and the capabilities. */
export function identityPrefix(launch: ContainerLaunch, mode: ScriptMode): string {
  const odd = launch.env.filter((variable) => !isPlainVariable(variable));
  const setOdd = odd.length === 0 ? [] : [mode.tools.env, ...odd.map(([name, value]) => `${name}=${value}`)];
  const options = identityOptions(launch);
  // Should the shell outside be killed, nobody would see its end: better that it ends too.
  const setIdentity = options.length === 0 ? [] : [mode.tools.setpriv, '--pdeathsig', 'KILL', ...options, '--'];
  return shellWords([...setOdd, ...setIdentity]);
}

/** What setpriv(1) must do for a container's user and capabilities; empty: nothing. */
export function identityOptions(launch: Pick<ContainerLaunch, 'user' | 'noNewPrivs' | 'capabilities'>): string[] {
  const options: string[] = [];
  if (launch.user !== undefined) {
    options.push('--reuid', String(launch.user.uid), '--regid', String(launch.user.gid));
    options.push(launch.user.groups.length === 0 ? '--clear-groups' : `--groups=${launch.user.groups.join(',')}`);
  }
  if (launch.noNewPrivs) options.push('--no-new-privs');
  if (launch.capabilities !== undefined) {
    options.push('--inh-caps=-all', `--bounding-set=${['-all', ...launch.capabilities.map((c) => `+${c}`)].join(',')}`);
  }
  return options;
}

function isPlainVariable(variable: readonly [string, string]): boolean {
  return identifier.test(variable[0]) && !shellVariables.test(variable[0]);
}

function exportLine([name, value]: readonly [string, string]): string {
  return `export ${name}=${shellWord(value)}\n`;
}
