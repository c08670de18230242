import path from 'node:path';
import type { Mount } from '../runtime.ts';
import type { ContainerLaunch } from './launcher.ts';
import { findCommandFunction } from './launcher-script.ts';
import { shellWord, shellWords, tableLine } from './shell-quote.ts';

/** Where the tools are that the scripts call; found once at start. */
export interface ShellTools {
  readonly shell: string;
  readonly setpriv: string;
  readonly nsenter: string;
  readonly env: string;
  readonly setsid: string;
  /** Empty: there is none. */
  readonly hostname: string;
}

/** How the launcher runs: what it may do decides what the scripts contain. */
export interface ScriptMode {
  readonly tools: ShellTools;
  readonly files: 'overlay' | 'binds';
  /** Whether env(1) can give a command the default action of SIGINT and SIGQUIT: those of GNU since 8.31. */
  readonly canResetSignals: boolean;
  /** Whether we are root of the whole machine, not only of a user namespace. */
  readonly isRoot: boolean;
}

export interface StartFiles {
  readonly startScript: string;
  /** Sets the container's environment, for exec. */
  readonly envScript: string;
  /** `volumes.tab`: mounted after the change of root, with sources under `oldRoot`. Empty: there are no volumes. */
  readonly volumeTable: string;
}

const oldRoot = '/.livelet/old'; // where the machine's files are between the change of root and the end of set-up

// A shell gives these a meaning, makes them read-only or sets them itself: they go through env(1).
const shellVariables = new Set(
  `_ IFS OPTIND OPTARG PPID UID EUID PWD OLDPWD SHLVL LINENO PS1 PS2 PS3 PS4 ENV MAIL MAILCHECK MAILPATH SHELLOPTS
  RANDOM SECONDS GROUPS FUNCNAME DIRSTACK HISTSIZE HISTFILE HISTCMD failure directory saved_ifs`.split(/\s+/),
);
const identifier = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** `rootTable`: the name of what to mount as the root, in the directory two above the container's. */
export function startFiles(
  launch: ContainerLaunch,
  containerDir: string,
  rootTable: string,
  mode: ScriptMode,
): StartFiles {
  return {
    startScript: startScriptOf(launch, containerDir, rootTable, mode),
    volumeTable: [...launch.imageMounts, ...launch.mounts].map(volumeLine).join(''),
    envScript: `unset PWD OLDPWD SHLVL\n${launch.env.filter(isPlainVariable).map(exportLine).join('')}`,
  };
}

function startScriptOf(launch: ContainerLaunch, containerDir: string, rootTable: string, mode: ScriptMode): string {
  const parts = [
    findCommandFunction,
    `fail() { echo "fail ${launch.id} $1"; exit 128; }\n`,
    'exec 2>setup.err || exit 128\n',
    launch.tty ? 'exec 3<>"$2" 4>&3 5>&3 || fail setup\n' : openStreams(launch.stdinOpen),
    launch.hostname === '' ? '' : setHostname(launch.hostname, mode),
    mode.files === 'binds' ? newRoot : '',
    `mount -n -a -T ../../${rootTable} || fail setup\n`,
    launch.tty ? showTerminal : '',
    'pivot_root ../../root ../../root/.livelet/old || fail setup\ncd / || fail setup\n',
    mountVolumes([...launch.imageMounts, ...launch.mounts], `${oldRoot}${containerDir}/volumes.tab`),
    `umount -n -l ${oldRoot} || fail setup\n`,
    launch.readonlyRoot ? makeReadonly : '',
    ...launch.cgroupProcsFiles.map((file) => `echo 0 > ${shellWord(file)} || fail setup\n`),
    launch.oomScoreAdj === undefined ? '' : `echo ${launch.oomScoreAdj} > /proc/self/oom_score_adj\n`,
    `cd ${shellWord(launch.workingDir)} || fail workingDir\n`,
    ...launch.env.filter(isPlainVariable).map(exportLine),
    `find_command ${shellWord(launch.argv[0] ?? '')}\n[ -z "$failure" ] || fail "$failure"\n`,
    'unset failure directory saved_ifs PWD OLDPWD SHLVL\n',
    `echo "started ${launch.id}"\nexec 0<&3 1>&4 2>&5 3<&- 4>&- 5>&-\n`,
    `exec ${launch.tty ? `${mode.tools.setsid} --ctty ` : ''}${identityPrefix(launch, mode, 'reset')} ${shellWords(launch.argv)}\n`,
  ];
  return parts.join('');
}

function openStreams(stdinOpen: boolean): string {
  return `exec 4>"$2" 5>"$3" ${stdinOpen ? '3<"$4"' : '3</dev/null'} || fail setup\n`;
}

/** The terminal is one of this machine: where programs look for its name, they find it as a container's console. */
const showTerminal = ': > ../../root/dev/console && mount -n --bind "$2" ../../root/dev/console || fail setup\n';

const newRoot = 'mount -n -t tmpfs -o mode=755 root ../../root && cp -RP ../../skeleton/. ../../root/ || fail setup\n';

const makeReadonly = ['/tmp', '/run', '/']
  .map((name) => `mount -n -o remount,bind,ro ${name} || fail setup\n`)
  .join('');

/** After the change of root, so that links on the way to a mount point lead where they lead in the container. */
function mountVolumes(mounts: readonly Mount[], volumeTable: string): string {
  if (mounts.length === 0) return '';
  const targets = mounts.map((mount) => makeTarget(mount.hostPath, mount.containerPath));
  return `${targets.join('')}mount -n -a -T ${shellWord(volumeTable)} || fail setup\n`;
}

function volumeLine({ hostPath, containerPath, readonly }: Mount): string {
  return tableLine(oldRoot + hostPath, containerPath, 'none', readonly ? 'rbind,ro' : 'rbind');
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

/**
 * The command that stands before the container's own: it sets the odd variables, the user and the capabilities, and,
 * for what a user may interrupt, the signals.
 */
export function identityPrefix(launch: ContainerLaunch, mode: ScriptMode, signals: 'reset' | 'asTheyAre'): string {
  const odd = launch.env.filter((variable) => !isPlainVariable(variable)).map(([name, value]) => `${name}=${value}`);
  const reset = signals === 'reset' && mode.canResetSignals ? ['--default-signal=INT,QUIT'] : [];
  const setOdd = odd.length + reset.length === 0 ? [] : [mode.tools.env, ...reset, ...odd];
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
  const [name] = variable;
  return identifier.test(name) && !shellVariables.has(name) && !name.startsWith('BASH');
}

function exportLine([name, value]: readonly [string, string]): string {
  return `export ${name}=${shellWord(value)}\n`;
}
