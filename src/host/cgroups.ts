import fs from 'node:fs/promises';
import path from 'node:path';
import { StatusError, messageOf } from '../base/status-error.ts';
import type { CgroupLimits, Cgroups } from '../kubelet/cgroups.ts';

/** Where one hierarchy of control groups is mounted. */
interface Hierarchy {
  readonly mountpoint: string;
  readonly version: 1 | 2;
  /** Of version 1: `cpu`, `cpuacct`, `memory`, `name=systemd`, ... */
  readonly controllers: readonly string[];
}

// In these the kubelet sets something; runtimes make their groups in the others themselves.
const ownControllers = ['cpu', 'memory'];
const unifiedControllers = ['cpuset', 'cpu', 'io', 'memory', 'hugetlb', 'pids'];

/**
 * The control groups of this computer, of version 1, 2, or both (hybrid; then the controllers are those of version 1).
 *
 *     const cgroups = await HostCgroups.open();       // undefined: there are none, or this process may not make any
 */
export class HostCgroups implements Cgroups {
  readonly #hierarchies: readonly Hierarchy[];

  constructor(hierarchies: readonly Hierarchy[]) {
    this.#hierarchies = hierarchies;
  }

  /** `probeName`: of a group that is made and removed to see whether that works. */
  static async open(probeName = `livelet-probe-${process.pid}`): Promise<HostCgroups | undefined> {
    const hierarchies = mountedHierarchies(await fs.readFile('/proc/self/mountinfo', 'utf8').catch(() => ''));
    const cgroups = new HostCgroups(hierarchies);
    if (cgroups.#own.length === 0) return undefined;
    try {
      await cgroups.apply(`/${probeName}`, {});
      await cgroups.remove(`/${probeName}`);
      return cgroups;
    } catch (error) {
      if (error instanceof StatusError) return undefined;
      throw error;
    }
  }

  /** Those in which this class makes groups: all of version 1 that it sets values in, else version 2. */
  get #own(): readonly Hierarchy[] {
    const first = this.#hierarchies.filter(({ controllers }) =>
      controllers.some((name) => ownControllers.includes(name)),
    );
    return first.length > 0 ? first : this.#hierarchies.filter(({ version }) => version === 2);
  }

  apply(group: string, limits: CgroupLimits): Promise<void> {
    return translated(`cgroup ${group}`, async () => {
      for (const hierarchy of this.#own) {
        const directory = path.join(hierarchy.mountpoint, group);
        await makeGroup(hierarchy, group);
        for (const [file, value] of valuesOf(hierarchy, limits)) await fs.writeFile(path.join(directory, file), value);
      }
    });
  }

  remove(group: string): Promise<void> {
    return translated(`cgroup ${group}`, async () => {
      for (const { mountpoint } of this.#hierarchies) await removeGroup(path.join(mountpoint, group));
    });
  }

  list(group: string): Promise<readonly string[]> {
    return translated(`cgroup ${group}`, async () => {
      const names = new Set<string>();
      for (const { mountpoint } of this.#hierarchies) {
        for (const name of await groupsIn(path.join(mountpoint, group))) names.add(name);
      }
      return [...names].sort();
    });
  }
}

/** From the text of `/proc/self/mountinfo`. A hierarchy that is mounted twice counts once. */
export function mountedHierarchies(mountinfo: string): readonly Hierarchy[] {
  const found = new Map<string, Hierarchy>(); // by controllers
  for (const line of mountinfo.split('\n')) {
    const [mount = '', details = ''] = line.split(' - ');
    const mountpoint = mount.split(' ')[4] ?? '';
    const [type, , options = ''] = details.split(' ');
    if (type === 'cgroup2') found.set('', { mountpoint, version: 2, controllers: [] });
    if (type !== 'cgroup') continue;
    const flags = new Set(['rw', 'ro', 'xattr', 'clone_children', 'noprefix']);
    const controllers = options.split(',').filter((name) => !flags.has(name) && !name.startsWith('release_agent'));
    const key = controllers.join(',');
    if (!found.has(key)) found.set(key, { mountpoint, version: 1, controllers });
  }
  return [...found.values()];
}

function valuesOf({ version, controllers }: Hierarchy, limits: CgroupLimits): readonly (readonly [string, string])[] {
  const { cpuShares, cpuQuotaMicros, cpuPeriodMicros, memoryLimitBytes } = limits;
  const values: (readonly [string, string])[] = [];
  const has = (name: string): boolean => version === 2 || controllers.includes(name);
  if (cpuShares !== undefined && has('cpu')) {
    values.push(version === 2 ? ['cpu.weight', String(weightOf(cpuShares))] : ['cpu.shares', String(cpuShares)]);
  }
  if (cpuQuotaMicros !== undefined && cpuPeriodMicros !== undefined && has('cpu')) {
    if (version === 2) values.push(['cpu.max', `${cpuQuotaMicros} ${cpuPeriodMicros}`]);
    // The period first: a quota is checked against it.
    else values.push(['cpu.cfs_period_us', String(cpuPeriodMicros)], ['cpu.cfs_quota_us', String(cpuQuotaMicros)]);
  }
  if (memoryLimitBytes !== undefined && has('memory')) {
    values.push([version === 2 ? 'memory.max' : 'memory.limit_in_bytes', String(memoryLimitBytes)]);
  }
  return values;
}

/** 2 to 262,144 shares as 1 to 10,000, as runtimes convert them. */
function weightOf(cpuShares: number): number {
  return Math.floor(1 + ((cpuShares - 2) * 9_999) / 262_142);
}

async function makeGroup({ mountpoint, version }: Hierarchy, group: string): Promise<void> {
  await fs.mkdir(path.join(mountpoint, group), { recursive: true });
  if (version === 1) return;
  // In version 2 a group has the controllers that the one above it hands on.
  const names = group.split('/').filter((name) => name !== '');
  for (let depth = 0; depth < names.length; depth++) {
    const above = path.join(mountpoint, ...names.slice(0, depth));
    const available = (await fs.readFile(path.join(above, 'cgroup.controllers'), 'utf8')).trim().split(' ');
    const handedOn = (await fs.readFile(path.join(above, 'cgroup.subtree_control'), 'utf8')).trim().split(' ');
    const missing = unifiedControllers.filter((name) => available.includes(name) && !handedOn.includes(name));
    for (const name of missing) await fs.writeFile(path.join(above, 'cgroup.subtree_control'), `+${name}`);
  }
}

/** The innermost first; one that is in use stays. */
async function removeGroup(directory: string): Promise<void> {
  for (const name of await groupsIn(directory)) await removeGroup(path.join(directory, name));
  try {
    await fs.rmdir(directory);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code !== 'ENOENT' && code !== 'EBUSY' && code !== 'ENOTEMPTY') throw error;
  }
}

async function groupsIn(directory: string): Promise<string[]> {
  try {
    const entries = await fs.readdir(directory, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

async function translated<T>(what: string, task: () => Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    throw new StatusError('InternalError', `${what}: ${messageOf(error)}`, { cause: error });
  }
}
