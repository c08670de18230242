import type { PodStatus } from '../api/gen/types.ts';
import { containerStatusesOf } from './pod-names.ts';

/** Which instance of a container a log request means, or why there is none (section 7.4). */
export type LogInstance =
  | { readonly kind: 'found'; readonly containerId: string }
  | { readonly kind: 'none'; readonly message: string };

// What kubectl shows for these waiting reasons.
const wordsByReason: Readonly<Record<string, string>> = {
  ErrImagePull: "image can't be pulled",
  ImagePullBackOff: 'trying and failing to pull image',
};

/** `containerId` comes with its scheme. Upstream: `validateContainerLogStatus`. */
export function logInstanceOf(
  podName: string,
  status: PodStatus,
  containerName: string,
  previous: boolean,
): LogInstance {
  const found = containerStatusesOf(status).find(({ name }) => name === containerName);
  const where = `container "${containerName}" in pod "${podName}"`;
  if (found === undefined) return none(`${where} is not available`);
  const last = found.lastState?.terminated?.containerID ?? '';
  if (previous) {
    if (last !== '') return { kind: 'found', containerId: last };
    return none(`previous terminated ${where} not found`);
  }
  const { running, terminated, waiting } = found.state ?? {};
  if (running !== undefined) return { kind: 'found', containerId: found.containerID ?? '' };
  if (terminated !== undefined) {
    const id = terminated.containerID ?? '';
    if (id !== '') return { kind: 'found', containerId: id };
    return last === '' ? none(`${where} is terminated`) : { kind: 'found', containerId: last };
  }
  if (last !== '') return { kind: 'found', containerId: last };
  if (waiting === undefined) return none(`${where} is waiting to start - no logs yet`);
  const reason = waiting.reason ?? '';
  return none(`${where} is waiting to start: ${wordsByReason[reason] ?? reason}`);
}

function none(message: string): LogInstance {
  return { kind: 'none', message };
}
