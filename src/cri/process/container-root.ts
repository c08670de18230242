import fs from 'node:fs';
import path from 'node:path';
import type { ContainerLaunch } from './launcher.ts';
import { tableLine } from './shell-quote.ts';
import { startFiles, type ScriptMode } from './start-script.ts';

const devices = ['null', 'zero', 'full', 'random', 'urandom', 'tty'];

/** What every root directory holds besides this machine's files: mount points, and links. */
const skeletonDirectories = ['.livelet/old', '.livelet/bin', 'dev/pts', 'dev/shm', 'proc', 'sys', 'tmp', 'run'];
const skeletonFiles = devices.map((name) => `dev/${name}`);
const skeletonLinks = [
  ['dev/fd', '/proc/self/fd'],
  ['dev/stdin', '/proc/self/fd/0'],
  ['dev/stdout', '/proc/self/fd/1'],
  ['dev/stderr', '/proc/self/fd/2'],
  ['dev/ptmx', 'pts/ptmx'],
] as const;

/** Made anew in each container, whatever the machine has there. */
const privateTopDirectories: readonly string[] = ['dev', 'proc', 'sys', 'tmp', 'run', '.livelet'];

/**
 * Made before the launcher starts: in binds mode it is copied for each container, in overlay mode it is a layer of
 * all.
 */
export function makeSkeleton(skeleton: string): void {
  for (const name of skeletonDirectories) fs.mkdirSync(path.join(skeleton, name), { recursive: true });
  for (const name of skeletonFiles) fs.writeFileSync(path.join(skeleton, name), '');
  for (const [name, target] of skeletonLinks) fs.symlinkSync(target, path.join(skeleton, name));
  fs.symlinkSync(process.execPath, path.join(skeleton, '.livelet/bin/node'));
}

/**
 * Makes the directories from which the launcher starts containers. Beside them lie `skeleton/`, `root/` (where each
 * container mounts its root, in a mount namespace of its own) and `root-N.tab` (what is mounted there; relative paths
 * start at the container's directory).
 */
export class ContainerRoots {
  readonly #directory: string;
  readonly #mode: ScriptMode;
  #shown: readonly string[] = []; // what of this machine the table of #tableName shows
  #tableName = '';
  #tableCount = 0;

  constructor(directory: string, mode: ScriptMode) {
    this.#directory = directory;
    this.#mode = mode;
    if (mode.files === 'binds') copyTopEntries(path.join(directory, 'skeleton'));
    fs.mkdirSync(path.join(directory, 'root'));
  }

  /** The directory with all that `c_start` needs. */
  make(launch: ContainerLaunch): void {
    const containerDir = this.directoryOf(launch.id);
    const layers = this.#mode.files === 'overlay' ? ['upper', 'work'] : [];
    fs.mkdirSync(containerDir, { mode: 0o711 });
    for (const name of ['tmp', ...layers]) fs.mkdirSync(path.join(containerDir, name), { mode: 0o755 });
    fs.chmodSync(path.join(containerDir, 'tmp'), 0o1777);
    const files = startFiles(launch, containerDir, this.#currentTable(), this.#mode);
    const write = (name: string, text: string): void =>
      fs.writeFileSync(path.join(containerDir, name), text, { mode: 0o600 });
    write('start.sh', files.startScript);
    write('env.sh', files.envScript);
    if (files.volumeTable !== '') write('volumes.tab', files.volumeTable);
  }

  directoryOf(id: string): string {
    return path.join(this.#directory, 'containers', id);
  }

  /** Mounts of this machine come and go; a container sees those of its start. */
  #currentTable(): string {
    const shown = this.#mode.files === 'overlay' ? mountPointsToShow(this.#directory) : topDirectories();
    if (this.#tableName === '' || shown.join('\0') !== this.#shown.join('\0')) {
      this.#tableName = `root-${this.#tableCount++}.tab`;
      this.#shown = shown;
      fs.writeFileSync(path.join(this.#directory, this.#tableName), rootTable(this.#directory, shown, this.#mode));
    }
    return this.#tableName;
  }
}

function rootTable(directory: string, shown: readonly string[], mode: ScriptMode): string {
  const inRoot = (name: string): string => path.join(directory, 'root', name);
  const layers = 'lowerdir=../../layer:/,upperdir=upper,workdir=work';
  return [
    mode.files === 'overlay' ? tableLine('overlay', inRoot(''), 'overlay', layers) : '',
    ...shown.map((name) => tableLine(name, inRoot(name), 'none', 'rbind')),
    tableLine('proc', inRoot('proc'), 'proc', 'nosuid,nodev,noexec'),
    tableLine('/sys', inRoot('sys'), 'none', 'rbind'),
    ...devices.map((name) => tableLine(`/dev/${name}`, inRoot(`dev/${name}`), 'none', 'bind')),
    tableLine('devpts', inRoot('dev/pts'), 'devpts', 'newinstance,ptmxmode=0666'),
    tableLine('tmpfs', inRoot('dev/shm'), 'tmpfs', 'nosuid,nodev,size=64m,mode=1777'),
    tableLine('tmp', inRoot('tmp'), 'none', 'bind'),
    tableLine('tmpfs', inRoot('run'), 'tmpfs', 'nosuid,nodev,size=64m,mode=755'),
  ].join('');
}

/** An overlay shows one file system: whatever is mounted below it must be bound by itself, the topmost of each tree. */
function mountPointsToShow(directory: string): string[] {
  const points = fs
    .readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => unescapeMountPoint(line.split(' ')[4] ?? ''))
    .filter((point) => point.length > 1 && !privateTopDirectories.includes(point.split('/')[1] ?? ''))
    .filter((point) => !isWithin(directory, point)); // else containers would see their own layers
  const unique = [...new Set(points)].sort();
  return unique.filter((point) => !unique.some((other) => other !== point && isWithin(point, other)));
}

function unescapeMountPoint(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

function isWithin(inner: string, outer: string): boolean {
  return inner === outer || inner.startsWith(`${outer}/`);
}

function topDirectories(): string[] {
  return fs
    .readdirSync('/', { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !privateTopDirectories.includes(entry.name))
    .map((entry) => `/${entry.name}`);
}

/** A mount point for each top directory of this machine, and its top links. */
function copyTopEntries(skeleton: string): void {
  for (const directory of topDirectories()) fs.mkdirSync(path.join(skeleton, directory));
  for (const entry of fs.readdirSync('/', { withFileTypes: true })) {
    if (entry.isSymbolicLink()) fs.symlinkSync(fs.readlinkSync(`/${entry.name}`), path.join(skeleton, entry.name));
  }
}
