import fs from 'node:fs';
import path from 'node:path';
import { ProcessImages } from '../cri/process/images.ts';
import { imagesDir, processStateDir } from './runtimes.ts';

export interface LocalImage {
  /** `docker.io/library/NAME:TAG`. */
  readonly name: string;
  readonly id: string;
  /** 0 for commands of this machine: nothing is stored for them. */
  readonly sizeBytes: number;
  /** Absolute; `undefined`: it was not registered, but is livelet's own or this machine's. */
  readonly directory: string | undefined;
}

/** From now on `name` is the program in `directory`, for a cluster that runs on `dataDir` too. */
export async function addLocalImage(dataDir: string, name: string, directory: string): Promise<LocalImage> {
  fs.mkdirSync(processStateDir(dataDir), { recursive: true, mode: 0o700 });
  const { id, repoTags, sizeBytes } = await imagesOf(dataDir).register(name, directory);
  return { name: repoTags[0] ?? name, id, sizeBytes, directory: path.resolve(directory) };
}

/** Forgets it; the directory stays. False: nothing of this name was added. */
export async function removeLocalImage(dataDir: string, name: string): Promise<boolean> {
  return await imagesOf(dataDir).unregister(name);
}

export function listLocalImages(dataDir: string): readonly LocalImage[] {
  const images = imagesOf(dataDir);
  return images
    .list()
    .flatMap(({ id, sizeBytes, repoTags }) =>
      repoTags.map((name) => ({ name, id, sizeBytes, directory: images.directoryOf(name) })),
    );
}

function imagesOf(dataDir: string): ProcessImages {
  return new ProcessImages({ stateDir: processStateDir(dataDir), imagesDir });
}
