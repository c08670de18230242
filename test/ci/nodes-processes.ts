/** What really runs on this machine, as the kernel tells it: containers of the process runtime, and what is left. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

/** The first process of a container. */
export interface ContainerProcess {
  readonly nodeName: string;
  readonly podUid: string;
  readonly container: string;
  readonly pid: number;
  /** When it started, since the machine did. */
  readonly startedMs: number;
}

const ticksPerSecond = 100; // USER_HZ, of every Linux that Node.js runs on

/**
 * The containers of all nodes whose data directories are in `directory`. A container is PID 1 of a namespace two levels
 * below this one; which pod it belongs to is told by the termination log that is mounted into it.
 */
export function containerProcesses(directory: string): ContainerProcess[] {
  const found: ContainerProcess[] = [];
  for (const name of fs.readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const one = containerProcess(directory, Number(name));
    if (one !== undefined) found.push(one);
  }
  return found;
}

/** Those that were all alive at one and the same moment: after the last was found, before the first is looked at again. */
export function liveContainers(directory: string): ContainerProcess[] {
  return containerProcesses(directory).filter(isStillThere);
}

function isStillThere({ pid, startedMs }: ContainerProcess): boolean {
  return startOf(pid) === startedMs;
}

function containerProcess(directory: string, pid: number): ContainerProcess | undefined {
  const [, ids = ''] = /^NSpid:\t(.*)$/m.exec(textOf(`/proc/${pid}/status`)) ?? [];
  const levels = ids.split('\t');
  if (levels.length < 3 || levels.at(-1) !== '1') return undefined;
  const mounts = textOf(`/proc/${pid}/mountinfo`);
  const place = new RegExp(`/${path.basename(directory)}/([^/ ]+)/kubelet/pods/([^/ ]+)/containers/([^/ ]+)/\\d+ `);
  const [, nodeName, podUid, container] = place.exec(mounts) ?? [];
  const startedMs = startOf(pid);
  if (nodeName === undefined || podUid === undefined || container === undefined || startedMs === undefined) {
    return undefined; // not one of ours, or it has just ended
  }
  return { nodeName, podUid, container, pid, startedMs };
}

/** `undefined`: it has ended (also when nobody has waited for it yet). */
function startOf(pid: number): number | undefined {
  const stat = textOf(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[19]);
  return fields[0] === 'Z' || fields[0] === 'X' || !Number.isFinite(ticks)
    ? undefined
    : (ticks * 1_000) / ticksPerSecond;
}

/** On the scale of `startedMs`. */
export function uptimeMs(): number {
  return Number(textOf('/proc/uptime').split(' ')[0]) * 1_000;
}

/** All that reminds of the nodes after they were stopped; a line each, empty if there is nothing. */
export function remains(directory: string): string[] {
  const mark = `/${path.basename(directory)}/`;
  const left: string[] = [];
  for (const name of fs.readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    const words = textOf(`/proc/${name}/cmdline`).replaceAll('\0', ' ');
    const isOurs = words.includes(mark) || textOf(`/proc/${name}/mountinfo`).includes(mark);
    if (isOurs && startOf(Number(name)) !== undefined) left.push(`process ${name}: ${words.slice(0, 200)}`);
  }
  for (const line of textOf('/proc/self/mountinfo').split('\n')) if (line.includes(mark)) left.push(`mount ${line}`);
  return left;
}

/** The interfaces of a computer (a network namespace of `NodeNetworks`) besides its own two. */
export function strangeInterfaces(enter: readonly string[]): string[] {
  return ipLines(enter, 'link').filter((line) => !/^\d+: (lo|eth0)[:@]/.test(line));
}

/** Its routes besides those that it began with. */
export function strangeRoutes(enter: readonly string[]): string[] {
  return ipLines(enter, 'route').filter((line) => !/^default |proto kernel/.test(line));
}

function ipLines([command = '', ...words]: readonly string[], what: string): string[] {
  return execFileSync(command, [...words, 'ip', '-o', what], { encoding: 'utf8' })
    .trim()
    .split('\n');
}

/** Control groups that the process runtime makes, for containers with limits. */
export function containerGroups(): string[] {
  const parents = ['/sys/fs/cgroup/livelet', '/sys/fs/cgroup/memory', '/sys/fs/cgroup/cpu'];
  return parents.flatMap((parent) => {
    if (!fs.existsSync(parent)) return [];
    const names = fs.readdirSync(parent).filter((name) => /^livelet-[0-9a-f]{64}$/.test(name));
    return names.map((name) => path.join(parent, name));
  });
}

function textOf(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return ''; // the process has ended
  }
}
