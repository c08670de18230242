import { execFile } from 'node:child_process';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { findTool } from './shell-tools.ts';

/**
 * A directory with a link for each of busybox's applets; `undefined`: this machine has no busybox, or one without
 * links.
 */
export async function makeApplets(directory: string): Promise<string | undefined> {
  const busybox = findTool('busybox');
  if (busybox === '') return undefined;
  try {
    const { stdout } = await promisify(execFile)(busybox, ['--list']);
    const names = stdout.split('\n').filter((name) => /^[\w[.-]+$/.test(name) && name !== 'busybox');
    if (await isComplete(directory, names, busybox)) return directory;
    await fsp.rm(directory, { recursive: true, force: true });
    await fsp.mkdir(directory, { recursive: true });
    await Promise.all(names.map((name) => fsp.symlink(busybox, path.join(directory, name))));
    return directory;
  } catch {
    return undefined; // the machine's own commands do
  }
}

/** Whether an earlier start has made them all: hundreds of links cost 10 ms and more. */
async function isComplete(directory: string, names: readonly string[], busybox: string): Promise<boolean> {
  const there = await fsp.readdir(directory).catch(() => []); // or the first start
  if (there.length !== names.length || there.some((name) => !names.includes(name))) return false;
  const targets = await Promise.all(there.map((name) => fsp.readlink(path.join(directory, name))));
  return targets.every((target) => target === busybox);
}
