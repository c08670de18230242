import { emptyImageConfig, type ImageConfig } from './image-config.ts';

/** A well-known image whose programs are those of this machine. */
export interface BaseImage {
  readonly config: ImageConfig;
  /** Its commands are busybox applets, where this machine has a busybox. */
  readonly isBusybox: boolean;
  /** Without this program of the machine, there is no such image; empty: nothing special. */
  readonly program: string;
}

function baseImage(cmd: readonly string[], program: string, isBusybox = false): BaseImage {
  return { config: { ...emptyImageConfig, cmd }, isBusybox, program };
}

const baseImages: Readonly<Record<string, BaseImage>> = {
  'docker.io/library/busybox': baseImage(['sh'], 'sh', true),
  'docker.io/library/alpine': baseImage(['/bin/sh'], 'sh', true),
  'docker.io/library/debian': baseImage(['bash'], 'bash'),
  'docker.io/library/ubuntu': baseImage(['/bin/bash'], 'bash'),
  'docker.io/library/bash': baseImage(['bash'], 'bash'),
  'docker.io/library/node': baseImage(['node'], ''),
};

/** `repository` as in `ImageName`. Any tag will do: there is but one version of each, the machine's. */
export function findBaseImage(repository: string): BaseImage | undefined {
  return Object.hasOwn(baseImages, repository) ? baseImages[repository] : undefined;
}

export const baseImageRepositories: readonly string[] = Object.keys(baseImages);
