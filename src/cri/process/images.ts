import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { StatusError } from '../../base/status-error.ts';
import type { Mount, PulledImage, RuntimeImage } from '../runtime.ts';
import { baseImageRepositories, findBaseImage } from './base-images.ts';
import { imageNameText, parseImageName, type ImageName } from '../image-name.ts';
import { readDirectoryImage, type ImageConfig } from './image-config.ts';
import { ImageRegistry } from './image-registry.ts';
import { findTool } from './shell-tools.ts';

const imageFilesMax = 200_000; // of a directory: more is a mistake, such as a home directory
const hashedFileBytesMax = 65_536; // larger files count with size and time alone
const shippedImages: Readonly<Record<string, string>> = {
  'docker.io/luksa/kubia': 'kubia',
  'docker.io/luksa/kubia-unhealthy': 'kubia-unhealthy',
};
const baseImageNotice = 'its commands are those of this machine: the process runtime downloads no images';

export interface ResolvedImage {
  /** `docker.io/library/busybox:1.29` */
  readonly name: string;
  /** `sha256:...` */
  readonly id: string;
  readonly sizeBytes: number;
  readonly config: ImageConfig;
  readonly mount: Mount | undefined;
  readonly isBusybox: boolean;
  /** Empty: nothing to say. */
  readonly notice: string;
}

interface DirectoryDigest {
  readonly id: string;
  readonly sizeBytes: number;
}

export interface ProcessImagesOptions {
  /** The registry is in it. */
  readonly stateDir: string;
  /** The images that livelet ships: a directory each. */
  readonly imagesDir: string;
}

/** Names to programs of this machine. Nothing is downloaded: an image is a directory, or the machine itself. */
export class ProcessImages {
  readonly #options: ProcessImagesOptions;
  readonly #registry: ImageRegistry;
  readonly #digests = new Map<string, DirectoryDigest>(); // by directory; renewed by each pull

  constructor(options: ProcessImagesOptions) {
    this.#options = options;
    this.#registry = new ImageRegistry(options.stateDir);
  }

  /** From now on, and after a restart, `image` is the program in `directory`. Fails with `BadRequest` if it is none. */
  async register(image: string, directory: string): Promise<RuntimeImage> {
    const name = parseImageName(image);
    if (name === undefined) throw new StatusError('BadRequest', `couldn't parse image name "${image}"`);
    const absolute = path.resolve(directory);
    const resolved = this.#fromDirectory(imageNameText(name), absolute, true);
    await this.#registry.set(resolved.name, absolute);
    return { id: resolved.id, repoTags: [resolved.name], sizeBytes: resolved.sizeBytes };
  }

  /** Forgets what `register` was told. False: it was told nothing of this name. */
  async unregister(image: string): Promise<boolean> {
    const name = parseImageName(image);
    return name !== undefined && (await this.#registry.delete(imageNameText(name)));
  }

  /** Where the program of a registered image lies; `undefined`: it is not a registered one. */
  directoryOf(imageName: string): string | undefined {
    return this.#registry.entries.get(imageName);
  }

  /** By name as the user wrote it, or by id. `undefined`: there is no such image. */
  find(image: string): ResolvedImage | undefined {
    if (image.startsWith('sha256:')) return this.#all().find((known) => known.id === image);
    const name = parseImageName(image);
    return name === undefined ? undefined : this.#resolve(name, false);
  }

  list(): readonly RuntimeImage[] {
    const byId = new Map<string, ResolvedImage[]>();
    for (const image of this.#all()) byId.set(image.id, [...(byId.get(image.id) ?? []), image]);
    return [...byId].map(([id, images]) => ({
      id,
      repoTags: images.map((image) => image.name),
      sizeBytes: images[0]?.sizeBytes ?? 0,
    }));
  }

  pull(image: string): PulledImage {
    const name = parseImageName(image);
    const resolved = name === undefined ? undefined : this.#resolve(name, true);
    if (resolved === undefined) throw new StatusError('NotFound', this.#missingText(image, name));
    const { id, sizeBytes, notice } = resolved;
    return notice === '' ? { id, sizeBytes } : { id, sizeBytes, notice };
  }

  /** What can be listed: the base images have no end of tags, so they stand here with one. */
  #all(): ResolvedImage[] {
    const names = [
      ...this.#registry.entries.keys(),
      ...Object.keys(shippedImages).map((repository) => `${repository}:latest`),
      ...baseImageRepositories.map((repository) => `${repository}:latest`),
    ];
    return [...new Set(names)].flatMap((text) => {
      const name = parseImageName(text);
      const image = name === undefined ? undefined : this.#resolve(name, false);
      return image === undefined ? [] : [image];
    });
  }

  #resolve(name: ImageName, isFresh: boolean): ResolvedImage | undefined {
    const text = imageNameText(name);
    const registered = this.#registry.entries.get(text);
    if (registered !== undefined) {
      if (!fs.existsSync(registered)) return undefined; // moved away since
      return this.#fromDirectory(text, registered, isFresh);
    }
    const shipped = shippedImages[name.repository];
    if (shipped !== undefined) {
      const image = this.#fromDirectory(text, path.join(this.#options.imagesDir, shipped), isFresh);
      return { ...image, mount: image.mount === undefined ? undefined : { ...image.mount, readonly: true } };
    }
    const base = findBaseImage(name.repository);
    if (base === undefined || (base.program !== '' && findTool(base.program) === '')) return undefined;
    return {
      name: text,
      id: sha256(`livelet base image ${name.repository}`),
      sizeBytes: 0, // nothing is stored for it
      config: base.config,
      mount: undefined,
      isBusybox: base.isBusybox,
      notice: baseImageNotice,
    };
  }

  #missingText(image: string, name: ImageName | undefined): string {
    const reason = `failed to pull and unpack image "${name === undefined ? image : imageNameText(name)}"`;
    const base = name === undefined ? undefined : findBaseImage(name.repository);
    if (base !== undefined) return `${reason}: it needs ${base.program} on this machine`;
    const known = [
      ...[...this.#registry.entries.keys()].map((registered) => shortName(registered).replace(/:latest$/, '')),
      ...[...Object.keys(shippedImages), ...baseImageRepositories].map(shortName),
    ];
    return (
      `${reason}: the process runtime downloads no images; it has ${known.join(', ')}; ` +
      '"livelet image add NAME DIR" makes an image of a directory, "livelet up --runtime cri" runs those of registries'
    );
  }

  #fromDirectory(name: string, directory: string, isFresh: boolean): ResolvedImage {
    const image = readDirectoryImage(directory);
    let digest = isFresh ? undefined : this.#digests.get(directory);
    if (digest === undefined) {
      digest = digestOf(directory);
      this.#digests.set(directory, digest);
    }
    return {
      name,
      ...digest,
      config: image.config,
      mount: { hostPath: directory, containerPath: image.mountPath, readonly: false },
      isBusybox: false,
      notice: image.notice,
    };
  }
}

/** As users write them. */
function shortName(repository: string): string {
  return repository.replace(/^docker\.io\/(library\/)?/, '');
}

/** Its id changes when a file comes, goes or changes. */
function digestOf(directory: string): DirectoryDigest {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  let fileCount = 0;
  const walk = (relative: string): void => {
    const entries = fs.readdirSync(path.join(directory, relative), { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (entry.name === '.git') continue;
      const name = path.join(relative, entry.name);
      if (entry.isDirectory()) {
        walk(name);
        continue;
      }
      fileCount += 1;
      if (fileCount > imageFilesMax) {
        throw new StatusError('BadRequest', `${directory} holds more than ${imageFilesMax} files`);
      }
      const stat = fs.lstatSync(path.join(directory, name));
      sizeBytes += stat.size;
      const content =
        entry.isFile() && stat.size <= hashedFileBytesMax
          ? fs.readFileSync(path.join(directory, name))
          : `${stat.size} ${stat.mtimeMs}`;
      hash.update(`${name}\0${stat.size}\0`).update(content);
    }
  };
  walk('');
  return { id: `sha256:${hash.digest('hex')}`, sizeBytes };
}

function sha256(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}
