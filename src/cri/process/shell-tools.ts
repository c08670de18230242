import fs from 'node:fs';
import path from 'node:path';
import type { ShellTools } from './start-script.ts';

export const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The path of an executable of this machine; empty: there is none. */
export function findTool(name: string): string {
  for (const directory of systemPath.split(':')) {
    const file = path.posix.join(directory, name);
    try {
      fs.accessSync(file, fs.constants.X_OK);
      return file;
    } catch {
      continue; // not here
    }
  }
  return '';
}

/** The tools that namespaces need, or the name of the first that is missing. */
export function findShellTools(): ShellTools | string {
  for (const name of [
    'sh',
    'unshare',
    'setpriv',
    'nsenter',
    'mount',
    'umount',
    'pivot_root',
    'mkfifo',
    'env',
    'setsid',
  ]) {
    if (findTool(name) === '') return name;
  }
  return {
    shell: findTool('dash') || findTool('sh'),
    setpriv: findTool('setpriv'),
    nsenter: findTool('nsenter'),
    env: findTool('env'),
    setsid: findTool('setsid'),
    hostname: findTool('hostname'),
  };
}
