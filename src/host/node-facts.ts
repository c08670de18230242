import fs from 'node:fs';
import path from 'node:path';

/** What this computer has of what nodes need. */
export interface HostFacts {
  /** `linux` */
  readonly platform: string;
  readonly uid: number | undefined;
  /** Effective ones of this process, as bits; `undefined`: the system does not tell. */
  readonly capabilities: bigint | undefined;
  /** Those that nothing started from here can exceed, the runtime of a restricted machine neither. */
  readonly boundingCapabilities: bigint | undefined;
  /** `mnt`, `pid` ...: what the kernel has. */
  readonly namespaces: readonly string[];
  readonly cgroups: CgroupFacts;
  /** Of those that the runtime calls, what is on the PATH. */
  readonly tools: readonly string[];
  readonly disk: DiskFacts;
}

export interface CgroupFacts {
  readonly kind: 'v1' | 'v2' | 'none';
  readonly controllers: readonly string[];
  readonly isWritable: boolean;
}

export interface DiskFacts {
  readonly directory: string;
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/** Looks at this computer, changes nothing. `directory`: whose disk is looked at; it need not be there yet. */
export function hostFacts(directory: string): HostFacts {
  const status = textOf('/proc/self/status');
  return {
    platform: process.platform,
    uid: process.getuid?.(),
    capabilities: bitsOf(status, 'CapEff'),
    boundingCapabilities: bitsOf(status, 'CapBnd'),
    namespaces: namesIn('/proc/self/ns'),
    cgroups: cgroupFacts(),
    tools: toolsOnPath(['iptables', 'ip']),
    disk: diskFacts(directory),
  };
}

function textOf(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return ''; // not on this system
  }
}

function namesIn(directory: string): string[] {
  try {
    return fs.readdirSync(directory);
  } catch {
    return []; // not on this system
  }
}

function bitsOf(status: string, name: string): bigint | undefined {
  const digits = new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1];
  return digits === undefined ? undefined : BigInt(`0x${digits}`);
}

const cgroupRoot = '/sys/fs/cgroup';

function cgroupFacts(): CgroupFacts {
  const unified = path.join(cgroupRoot, 'cgroup.controllers');
  if (fs.existsSync(unified)) {
    return { kind: 'v2', controllers: textOf(unified).trim().split(' '), isWritable: isWritable(cgroupRoot) };
  }
  const memory = path.join(cgroupRoot, 'memory');
  if (!fs.existsSync(memory)) return { kind: 'none', controllers: [], isWritable: false };
  return { kind: 'v1', controllers: namesIn(cgroupRoot), isWritable: isWritable(memory) };
}

/** Also when root may write everything: a file system that is mounted read-only says no. */
function isWritable(directory: string): boolean {
  try {
    fs.accessSync(directory, fs.constants.W_OK);
    return true;
  } catch {
    return false; // what was asked
  }
}

function toolsOnPath(names: readonly string[]): string[] {
  const directories = [...(process.env['PATH'] ?? '').split(path.delimiter), '/usr/sbin', '/sbin'];
  return names.filter((name) => directories.some((directory) => fs.existsSync(path.join(directory, name))));
}

function diskFacts(wanted: string): DiskFacts {
  let directory = path.resolve(wanted);
  while (!fs.existsSync(directory) && path.dirname(directory) !== directory) directory = path.dirname(directory);
  const { bsize, bavail, blocks } = fs.statfsSync(directory);
  return { directory, freeBytes: bavail * bsize, totalBytes: blocks * bsize };
}
