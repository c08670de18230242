import fs from 'node:fs';
import path from 'node:path';
import { messageOf } from '../../base/status-error.ts';
import type { LinuxContainerResources } from '../runtime.ts';

const root = '/sys/fs/cgroup';
const prefix = 'livelet-';

/** A container's limits in the kernel. */
export interface CgroupLimits {
  /** A process writes its id (or 0) into each to be limited. */
  readonly procsFiles: readonly string[];
  /** Whether the kernel has ended a process for want of memory. */
  wasOomKilled(): boolean;
  /** Once no process is left in it; again does no harm. */
  remove(): void;
}

const cpuSharesMin = 2; // of who asks for nothing

export function wantsCgroup(resources: LinuxContainerResources): boolean {
  return hasLimits(resources) || (resources.cpuShares ?? 0) > cpuSharesMin;
}

function hasLimits(resources: LinuxContainerResources): boolean {
  return (resources.memoryLimitBytes ?? 0) > 0 || (resources.cpuQuota ?? 0) > 0;
}

/** What a user should know when there is no cgroup. */
export function unlimitedText(resources: LinuxContainerResources, reason: string): string {
  const field = hasLimits(resources) ? 'resources.limits are' : 'resources.requests.cpu is';
  return `${field} not enforced: ${reason}`;
}

/** Resolves to the reason when this machine's cgroups (v1 or v2) are not ours to write to. */
export function makeCgroup(id: string, resources: LinuxContainerResources): CgroupLimits | string {
  if (process.platform !== 'linux') return 'only Linux has cgroups';
  const made: string[] = [];
  try {
    const isV2 = fs.existsSync(path.join(root, 'cgroup.controllers'));
    const files = isV2 ? makeV2(id, resources, made) : makeV1(id, resources, made);
    return {
      procsFiles: made.map((directory) => path.join(directory, 'cgroup.procs')),
      wasOomKilled: () => files.some((file) => /^oom_kill [1-9]/m.test(readText(file))),
      remove: () => made.forEach(removeDirectory),
    };
  } catch (error) {
    made.forEach(removeDirectory);
    return messageOf(error);
  }
}

/** For what a livelet that was killed has left behind. */
export function removeCgroup(id: string): void {
  for (const parent of [path.join(root, 'livelet'), path.join(root, 'memory'), path.join(root, 'cpu')]) {
    removeDirectory(path.join(parent, prefix + id));
  }
}

function makeV1(id: string, resources: LinuxContainerResources, made: string[]): string[] {
  const oomFiles: string[] = [];
  if ((resources.memoryLimitBytes ?? 0) > 0) {
    const directory = makeDirectory(path.join(root, 'memory', prefix + id), made);
    fs.writeFileSync(path.join(directory, 'memory.limit_in_bytes'), String(resources.memoryLimitBytes));
    oomFiles.push(path.join(directory, 'memory.oom_control'));
  }
  const { cpuShares = cpuSharesMin, cpuQuota = 0, cpuPeriod = 100_000 } = resources;
  if (cpuQuota > 0 || cpuShares > cpuSharesMin) {
    const directory = makeDirectory(path.join(root, 'cpu', prefix + id), made);
    fs.writeFileSync(path.join(directory, 'cpu.shares'), String(cpuShares));
    if (cpuQuota > 0) {
      fs.writeFileSync(path.join(directory, 'cpu.cfs_period_us'), String(cpuPeriod));
      fs.writeFileSync(path.join(directory, 'cpu.cfs_quota_us'), String(cpuQuota));
    }
  }
  return oomFiles;
}

function makeV2(id: string, resources: LinuxContainerResources, made: string[]): string[] {
  const parent = path.join(root, 'livelet');
  fs.writeFileSync(path.join(root, 'cgroup.subtree_control'), '+memory +cpu');
  fs.mkdirSync(parent, { recursive: true });
  fs.writeFileSync(path.join(parent, 'cgroup.subtree_control'), '+memory +cpu');
  const directory = makeDirectory(path.join(parent, prefix + id), made);
  if ((resources.memoryLimitBytes ?? 0) > 0) {
    fs.writeFileSync(path.join(directory, 'memory.max'), String(resources.memoryLimitBytes));
    fs.writeFileSync(path.join(directory, 'memory.swap.max'), '0');
  }
  const { cpuShares = cpuSharesMin, cpuQuota = 0, cpuPeriod = 100_000 } = resources;
  if (cpuQuota > 0) fs.writeFileSync(path.join(directory, 'cpu.max'), `${cpuQuota} ${cpuPeriod}`);
  fs.writeFileSync(path.join(directory, 'cpu.weight'), String(cpuWeightOf(cpuShares)));
  return [path.join(directory, 'memory.events')];
}

/** From 2..262144 to 1..10000, as runc does. */
function cpuWeightOf(shares: number): number {
  return Math.trunc(1 + ((Math.min(Math.max(shares, 2), 262_144) - 2) * 9_999) / 262_142);
}

function makeDirectory(directory: string, made: string[]): string {
  fs.mkdirSync(directory);
  made.push(directory);
  return directory;
}

function removeDirectory(directory: string): void {
  try {
    fs.rmdirSync(directory);
  } catch {
    return; // not there, or a process is still ending in it: the next start removes it
  }
}

function readText(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return ''; // a kernel without it
  }
}
