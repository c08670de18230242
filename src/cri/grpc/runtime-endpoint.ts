import fsp from 'node:fs/promises';
import { StatusError } from '../../base/status-error.ts';

/** In the order in which they are looked for: containerd, k3s' containerd, CRI-O, cri-dockerd. */
export const usualEndpoints = [
  'unix:///run/containerd/containerd.sock',
  'unix:///run/k3s/containerd/containerd.sock',
  'unix:///run/crio/crio.sock',
  'unix:///run/cri-dockerd.sock',
] as const;

/** The first of the usual sockets that is there; `undefined`: none. */
export async function findRuntimeEndpoint(endpoints: readonly string[] = usualEndpoints): Promise<string | undefined> {
  for (const endpoint of endpoints) {
    const stat = await fsp.stat(socketPathOf(endpoint)).catch(() => undefined); // not there, or not for us to see
    if (stat?.isSocket() === true) return endpoint;
  }
  return undefined;
}

/** The path in `unix:///PATH`; fails with BadRequest for anything else. */
export function socketPathOf(endpoint: string): string {
  const path = /^unix:\/\/(\/.+)$/.exec(endpoint)?.[1];
  if (path !== undefined) return path;
  throw new StatusError('BadRequest', `container runtime endpoint ${JSON.stringify(endpoint)} is not unix:///PATH`);
}
