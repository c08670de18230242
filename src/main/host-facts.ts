import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import type { HostInfo } from '../kubelet/node-status.ts';

/** The first line of a file; `''` if it cannot be read. */
function lineOf(path: string): string {
  try {
    return fs.readFileSync(path, 'utf8').split('\n')[0]?.trim() ?? '';
  } catch {
    return ''; // not on this system
  }
}

const architectures: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' };
const systems: Readonly<Record<string, string>> = { win32: 'windows' };

/** What this computer says about itself in `node.status.nodeInfo`. */
export function hostInfo(): HostInfo {
  const systemName = (): string => {
    try {
      return /^PRETTY_NAME="?([^"\n]*)/m.exec(fs.readFileSync('/etc/os-release', 'utf8'))?.[1] ?? os.version();
    } catch {
      return os.version(); // no such file outside Linux
    }
  };
  // Where the system has no id of its own, one that stays the same on this computer.
  const machineId = lineOf('/etc/machine-id') || createHash('md5').update(os.hostname()).digest('hex');
  return {
    architecture: architectures[process.arch] ?? process.arch,
    bootID: lineOf('/proc/sys/kernel/random/boot_id'),
    kernelVersion: os.release(),
    machineID: machineId,
    operatingSystem: systems[process.platform] ?? process.platform,
    osImage: systemName(),
    systemUUID: lineOf('/sys/class/dmi/id/product_uuid').toLowerCase() || machineId,
  };
}

const podsMax = 110; // upstream: --max-pods

/** What this computer has, as quantities. `directory`: whose disk counts as ephemeral storage. */
export function hostCapacity(directory: string): Readonly<Record<string, string>> {
  const disk = fs.statfsSync(directory);
  return {
    cpu: String(os.availableParallelism()),
    'ephemeral-storage': `${Math.floor((disk.blocks * disk.bsize) / 1_024)}Ki`,
    memory: `${Math.floor(os.totalmem() / 1_024)}Ki`,
    pods: String(podsMax),
  };
}

/** The address that others reach this computer at, as far as it can be told; `127.0.0.1` if there is no other. */
export function hostIp(): string {
  const addresses = Object.values(os.networkInterfaces()).flatMap((list) => list ?? []);
  const candidates = addresses.filter(({ family, internal }) => family === 'IPv4' && !internal);
  // Links to containers come and go; they are point to point.
  const lasting = candidates.find(({ cidr }) => cidr !== null && !/\/(?:3[0-2])$/.test(cidr));
  return (lasting ?? candidates[0])?.address ?? '127.0.0.1';
}

/** This computer's name as a node's: an RFC 1123 subdomain. */
export function hostNodeName(): string {
  const name = os
    .hostname()
    .toLowerCase()
    .replaceAll(/[^a-z0-9.-]/g, '-')
    .replaceAll(/^[^a-z0-9]+|[^a-z0-9]+$/g, '')
    .slice(0, 253);
  return name === '' ? 'localhost' : name;
}
