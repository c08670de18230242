import fs from 'node:fs';
import path from 'node:path';
import type { ContainerLaunch } from './launcher.ts';
import { privateTopDirectories, rootSkeleton, startFiles, type ScriptMode } from './start-script.ts';

/** Makes the directory from which `c_start` starts a container: its layers, its scripts, its mount tables. */
export function makeContainerDirectory(launch: ContainerLaunch, containerDir: string, mode: ScriptMode): void {
  fs.mkdirSync(containerDir, { recursive: true, mode: 0o711 });
  for (const name of ['root', 'tmp', 'run', ...(mode.files === 'overlay' ? ['upper', 'work'] : [])]) {
    fs.mkdirSync(path.join(containerDir, name), { mode: 0o755 });
  }
  fs.chmodSync(path.join(containerDir, 'tmp'), 0o1777);
  const base = path.join(containerDir, mode.files === 'overlay' ? 'upper' : 'root');
  for (const name of rootSkeleton.directories) fs.mkdirSync(path.join(base, name), { recursive: true });
  for (const name of rootSkeleton.files) fs.writeFileSync(path.join(base, name), '');
  for (const [name, target] of rootSkeleton.links) fs.symlinkSync(target, path.join(base, name));
  const shown = mode.files === 'overlay' ? mountPointsToShow(containerDir) : showTopEntries(base);
  const files = startFiles(launch, containerDir, shown, mode);
  fs.writeFileSync(path.join(containerDir, 'start.sh'), files.startScript, { mode: 0o600 });
  fs.writeFileSync(path.join(containerDir, 'env.sh'), files.envScript, { mode: 0o600 });
  fs.writeFileSync(path.join(containerDir, 'root.tab'), files.rootTable, { mode: 0o600 });
  fs.writeFileSync(path.join(containerDir, 'volumes.tab'), files.volumeTable, { mode: 0o600 });
}

/** An overlay shows one file system: whatever is mounted below it must be bound by itself, the topmost of each tree. */
function mountPointsToShow(containerDir: string): string[] {
  const points = fs
    .readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => unescapeMountPoint(line.split(' ')[4] ?? ''))
    .filter((point) => point.length > 1 && !privateTopDirectories.includes(point.split('/')[1] ?? ''))
    .filter((point) => !isWithin(containerDir, point)); // else the container would see its own layers
  const unique = [...new Set(points)].sort();
  return unique.filter((point) => !unique.some((other) => other !== point && isWithin(point, other)));
}

function unescapeMountPoint(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

function isWithin(inner: string, outer: string): boolean {
  return inner === outer || inner.startsWith(`${outer}/`);
}

/** Each top directory gets a mount point in `base`, each top link is made again. */
function showTopEntries(base: string): string[] {
  const shown: string[] = [];
  for (const entry of fs.readdirSync('/', { withFileTypes: true })) {
    if (privateTopDirectories.includes(entry.name)) continue;
    const target = path.join(base, entry.name);
    if (entry.isSymbolicLink()) fs.symlinkSync(fs.readlinkSync(`/${entry.name}`), target);
    if (!entry.isDirectory()) continue;
    fs.mkdirSync(target);
    shown.push(`/${entry.name}`);
  }
  return shown;
}
