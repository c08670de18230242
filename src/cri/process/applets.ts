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
    await fsp.rm(directory, { recursive: true, force: true });
    await fsp.mkdir(directory, { recursive: true });
    const { stdout } = await promisify(execFile)(busybox, ['--list']);
    const names = stdout.split('\n').filter((name) => /^[\w[.-]+$/.test(name) && name !== 'busybox');
    await Promise.all(names.map((name) => fsp.symlink(busybox, path.join(directory, name))));
    return directory;
  } catch {
    return undefined; // the machine's own commands do
  }
}
