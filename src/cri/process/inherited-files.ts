import fs from 'node:fs';
import type { StdioOptions } from 'node:child_process';

const closeOnExec = 0o2000000; // O_CLOEXEC, as /proc shows it
let nullFile: number | undefined; // opened at first need, and kept

/**
 * The streams of a child that inherits no file of this process but them: what some library has opened without
 * close-on-exec (LMDB its data, a terminal) is /dev/null for it. `next`: what comes after the standard streams.
 */
export function stdioOfChild(
  standard: readonly (number | 'ignore' | 'pipe')[],
  next?: 'ipc',
): Exclude<StdioOptions, string> {
  const stdio: (number | 'ignore' | 'pipe' | 'ipc')[] = [...standard];
  for (const fd of inheritedFiles()) {
    nullFile ??= fs.openSync('/dev/null', 'r+');
    while (stdio.length < fd) stdio.push('ignore'); // not there in the child
    stdio[fd] = nullFile;
  }
  if (next !== undefined) stdio.push(next);
  return stdio;
}

/** Elsewhere than on Linux, Node.js closes all others by itself. */
function inheritedFiles(): readonly number[] {
  if (process.platform !== 'linux') return [];
  return fs
    .readdirSync('/proc/self/fdinfo')
    .map(Number)
    .filter((fd) => fd > 2 && !isClosedOnExec(fd));
}

function isClosedOnExec(fd: number): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)$/m.exec(fs.readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1];
    return flags === undefined || (Number.parseInt(flags, 8) & closeOnExec) !== 0;
  } catch {
    return true; // closed meanwhile: the listing's own, for one
  }
}
