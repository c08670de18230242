/**
 * Container images for tests, made without a container engine or a registry: an OCI layout on disk, of the machine's static
 * busybox and of the node that runs the tests.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const toolMsMax = 60_000;

const busyboxPath = '/bin/busybox';
const imagesDir = path.resolve(import.meta.dirname, '../../images');

export const pauseImage = 'livelet.test/pause:1';

/** A file of the layout's `blobs/sha256`. */
interface Blob {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/** The image config's fields that a Dockerfile sets. */
interface RunConfig {
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
  readonly WorkingDir?: string;
  readonly User?: string;
}

export interface TestImage {
  /** With registry and tag, as containerd names it: `docker.io/library/busybox:1.29`. */
  readonly name: string;
  /** Whether containerd has it from the start; otherwise it is only in the registry. */
  readonly isImported: boolean;
  readonly manifest: Blob;
}

/** An OCI layout: `blobs/sha256/...`, and `index.json` of the imported images. */
export interface TestImages {
  readonly directory: string;
  readonly images: readonly TestImage[];
}

/** Why no images can be made on this machine; empty: they can. */
export function imagesMissing(): string {
  return fs.existsSync(busyboxPath) ? '' : `${busyboxPath} is missing (Debian package busybox-static)`;
}

/** Builds all images in `directory`, which must be absent or empty. About a second, most of it for node's 100 MB. */
export async function buildTestImages(directory: string): Promise<TestImages> {
  const layout = new Layout(directory);
  await layout.open();
  const [busybox, node] = await Promise.all([busyboxLayer(layout), nodeLayer(layout)]);
  const pause = await layout.layerOf('pause', { '/pause': { text: pauseScript, mode: 0o755 } });
  const shell: RunConfig = { Cmd: ['sh'], Env: [pathEnv] };
  await layout.add(pauseImage, [busybox, pause], { Entrypoint: ['/pause'], Env: [pathEnv] });
  for (const name of ['busybox:latest', 'busybox:1.29', 'busybox:1.36', 'alpine:latest']) {
    await layout.add(`docker.io/library/${name}`, [busybox], shell);
  }
  await layout.add('docker.io/library/node:latest', [busybox, node], { Cmd: ['node'], Env: [pathEnv] });
  for (const name of ['kubia', 'kubia-unhealthy']) {
    const app = await appLayer(layout, name);
    await layout.add(`docker.io/luksa/${name}:latest`, [busybox, node, app.layer], app.config);
  }
  await layout.add('livelet.test/as-nobody:1', [busybox], { ...shell, User: 'nobody' });
  await layout.add('livelet.test/as-1000:1', [busybox], { ...shell, User: '1000' });
  const late = await layout.layerOf('late', { '/late': { text: 'pulled\n', mode: 0o644 } });
  await layout.add('livelet.test/late:1', [busybox, late], shell, { isImported: false });
  await layout.add('livelet.test/late:latest', [busybox, late], shell, { isImported: false });
  return await layout.close();
}

const pathEnv = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Waits for ever, reaps orphans (`wait`), ends at SIGTERM. */
const pauseScript = `#!/bin/sh
trap 'exit 0' TERM INT
while true; do
  sleep 86400 &
  wait
done
`;

async function busyboxLayer(layout: Layout): Promise<Blob> {
  const { stdout } = await run(busyboxPath, ['--list-full'], { timeout: toolMsMax });
  const root = await layout.scratch('busybox');
  const copyTo = path.join(root, 'bin/busybox');
  await fsp.mkdir(path.dirname(copyTo), { recursive: true });
  await fsp.copyFile(busyboxPath, copyTo);
  for (const applet of stdout.split('\n').filter(Boolean)) {
    const link = path.join(root, applet);
    await fsp.mkdir(path.dirname(link), { recursive: true });
    if (link !== copyTo) await fsp.symlink('/bin/busybox', link);
  }
  for (const directory of ['etc', 'root', 'home', 'tmp', 'var/tmp', 'dev', 'proc', 'sys', 'mnt']) {
    await fsp.mkdir(path.join(root, directory), { recursive: true });
  }
  for (const directory of ['tmp', 'var/tmp']) await fsp.chmod(path.join(root, directory), 0o1777);
  await fsp.writeFile(
    path.join(root, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n',
  );
  await fsp.writeFile(path.join(root, 'etc/group'), 'root:x:0:\nnogroup:x:65534:\n');
  return await layout.layer('busybox', ['-C', root, '.']);
}

/** The node that runs this, and the libraries that it needs. */
async function nodeLayer(layout: Layout): Promise<Blob> {
  const { stdout } = await run('ldd', [process.execPath], { timeout: toolMsMax });
  const libraries = [...stdout.matchAll(/(?:=> |^\s*)(\/\S+) \(0x/gm)].map(([, file = '']) => file);
  const files = [process.execPath, ...libraries].map((file) => file.slice(1));
  const rename = `--transform=s|^${process.execPath.slice(1)}$|usr/local/bin/node|`;
  return await layout.layer('node', ['--dereference', rename, '-C', '/', ...files]);
}

async function appLayer(layout: Layout, name: string): Promise<{ layer: Blob; config: RunConfig }> {
  const directory = path.join(imagesDir, name);
  // Written by us, with these fields.
  const image = JSON.parse(await fsp.readFile(path.join(directory, 'image.json'), 'utf8')) as {
    entrypoint: string[];
    workingDir: string;
  };
  const layer = await layout.layer(name, [
    `--transform=s|^\\.|${image.workingDir.slice(1)}|`,
    '-C',
    directory,
    './app.js',
    './package.json',
  ]);
  return { layer, config: { Entrypoint: image.entrypoint, WorkingDir: image.workingDir, Env: [pathEnv] } };
}

class Layout {
  readonly #directory: string;
  readonly #images: TestImage[] = [];

  constructor(directory: string) {
    this.#directory = directory;
  }

  async open(): Promise<void> {
    await fsp.mkdir(path.join(this.#directory, 'blobs/sha256'), { recursive: true });
  }

  /** A directory for the files of a layer, gone after `close`. */
  async scratch(name: string): Promise<string> {
    const directory = path.join(this.#directory, 'scratch', name);
    await fsp.mkdir(directory, { recursive: true });
    return directory;
  }

  /** A layer of what `tar` is told to pack. */
  async layer(name: string, tarArguments: readonly string[]): Promise<Blob> {
    const file = path.join(await this.scratch('tars'), `${name}.tar`);
    const fixed = ['--create', '--file', file, '--owner=0', '--group=0', '--numeric-owner', '--mtime=@0'];
    await run('tar', [...fixed, ...tarArguments], { timeout: toolMsMax });
    return await this.#blobOfFile(file, 'application/vnd.oci.image.layer.v1.tar');
  }

  async layerOf(name: string, files: Record<string, { text: string; mode: number }>): Promise<Blob> {
    const root = await this.scratch(name);
    for (const [file, { text, mode }] of Object.entries(files)) {
      await fsp.writeFile(path.join(root, file), text, { mode });
    }
    return await this.layer(name, ['-C', root, '.']);
  }

  async add(
    name: string,
    layers: readonly Blob[],
    config: RunConfig,
    { isImported = true }: { isImported?: boolean } = {},
  ): Promise<void> {
    const configBlob = await this.#blobOfJson('application/vnd.oci.image.config.v1+json', {
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      config,
      rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
      // The name, so that no two images have the same id: containers are shown with the first name of theirs.
      history: layers.map(() => ({ created_by: name })),
    });
    const mediaType = 'application/vnd.oci.image.manifest.v1+json';
    const manifest = await this.#blobOfJson(mediaType, { schemaVersion: 2, mediaType, config: configBlob, layers });
    this.#images.push({ name, isImported, manifest });
  }

  async close(): Promise<TestImages> {
    const manifests = this.#images
      .filter(({ isImported }) => isImported)
      .map(({ name, manifest }) => ({ ...manifest, annotations: { 'io.containerd.image.name': name } }));
    await this.#write('oci-layout', { imageLayoutVersion: '1.0.0' });
    await this.#write('index.json', { schemaVersion: 2, manifests });
    await fsp.rm(path.join(this.#directory, 'scratch'), { recursive: true });
    return { directory: this.#directory, images: this.#images };
  }

  async #write(name: string, value: unknown): Promise<void> {
    await fsp.writeFile(path.join(this.#directory, name), JSON.stringify(value));
  }

  async #blobOfJson(mediaType: string, value: unknown): Promise<Blob> {
    const bytes = Buffer.from(JSON.stringify(value));
    const digest = createHash('sha256').update(bytes).digest('hex');
    await fsp.writeFile(path.join(this.#directory, 'blobs/sha256', digest), bytes);
    return { mediaType, digest: `sha256:${digest}`, size: bytes.byteLength };
  }

  async #blobOfFile(file: string, mediaType: string): Promise<Blob> {
    const hash = createHash('sha256');
    for await (const chunk of fs.createReadStream(file, { highWaterMark: 1_048_576 })) hash.update(chunk);
    const digest = hash.digest('hex');
    const { size } = await fsp.stat(file);
    await fsp.rename(file, path.join(this.#directory, 'blobs/sha256', digest));
    return { mediaType, digest: `sha256:${digest}`, size };
  }
}
