import { imageNameText, parseImageName } from '../cri/image-name.ts';
import type { RuntimeImage } from '../cri/runtime.ts';
import type { SimImage } from './container-script.ts';

export function normalName(image: string): string {
  const name = parseImageName(image);
  return name === undefined ? image : imageNameText(name);
}

export function runtimeImage(image: SimImage): RuntimeImage {
  const { name, sizeBytes, uid, username } = image;
  return {
    id: idOf(image),
    repoTags: [name],
    sizeBytes,
    ...(uid === undefined ? {} : { uid }),
    ...(username === undefined ? {} : { username }),
  };
}

/** Looks like a digest, and is the same for the same name. */
export function idOf(image: SimImage): string {
  let id = '';
  for (let word = 0; id.length < 64; word++) {
    let hash = 0x811c9dc5 ^ word;
    for (let i = 0; i < image.name.length; i++) hash = Math.imul(hash ^ image.name.charCodeAt(i), 0x01000193) >>> 0;
    id += hash.toString(16).padStart(8, '0');
  }
  return `sha256:${id}`;
}

export function unknownHostText(image: string): string {
  const name = normalName(image);
  const host = name.slice(0, name.indexOf('/'));
  const reason = `failed to resolve reference "${name}": lookup ${host}: no such host`;
  return `failed to pull and unpack image "${name}": ${reason}`;
}
