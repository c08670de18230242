/** What CRI's messages are in the words of the contract. */
import { StatusError } from '../../base/status-error.ts';
import type { NamespaceMode, PodSandboxStatus, RuntimeContainerStatus, RuntimeImage } from '../runtime.ts';
import { containerStates, namespaceModes, sandboxReady } from './cri-values.ts';
import type * as cri from './gen/cri_pb.ts';

export function sandboxStatusOf(message: cri.PodSandboxStatus): PodSandboxStatus {
  const { id, metadata, network, labels, annotations } = message;
  if (metadata === undefined) throw new StatusError('InternalError', `the runtime says nothing of sandbox ${id}`);
  const networkMode = modeOf(message.linux?.namespaces?.options?.network);
  const ips = [network?.ip ?? '', ...(network?.additionalIps ?? []).map(({ ip }) => ip)].filter((ip) => ip !== '');
  return {
    id,
    metadata: {
      name: metadata.name,
      uid: metadata.uid,
      namespace: metadata.namespace,
      attempt: metadata.attempt,
    },
    state: message.state === sandboxReady ? 'ready' : 'notReady',
    createdWallMs: wallMs(message.createdAt),
    ips: networkMode === 'node' ? [] : ips,
    networkMode,
    labels: { ...labels },
    annotations: { ...annotations },
  };
}

function modeOf(value: number | undefined): NamespaceMode {
  return value === namespaceModes.node ? 'node' : 'pod';
}

export function containerStatusOf(message: cri.ContainerStatus, podSandboxId: string): RuntimeContainerStatus {
  const { id, metadata, imageRef, reason, labels, annotations, logPath } = message;
  if (metadata === undefined) throw new StatusError('InternalError', `the runtime says nothing of container ${id}`);
  const state = containerStates[message.state] ?? 'unknown';
  const hasEnded = state === 'exited';
  return {
    id,
    podSandboxId,
    metadata: { name: metadata.name, attempt: metadata.attempt },
    state,
    createdWallMs: wallMs(message.createdAt),
    startedWallMs: state === 'created' ? undefined : wallMs(message.startedAt),
    // containerd takes the time of the start only when it is told of it, the end may have been before.
    finishedWallMs: hasEnded ? Math.max(wallMs(message.finishedAt), wallMs(message.startedAt)) : undefined,
    exitCode: hasEnded ? message.exitCode : undefined,
    reason,
    message: message.message,
    image: message.image?.image ?? '',
    imageRef,
    labels: { ...labels },
    annotations: { ...annotations },
    logPath,
  };
}

/** From nanoseconds; what lies before 1970 (Go's zero time) is 0. */
function wallMs(nanoseconds: bigint): number {
  return nanoseconds <= 0n ? 0 : Number(nanoseconds / 1_000_000n);
}

export function imageOf(message: cri.Image): RuntimeImage {
  const { id, repoTags, size, uid, username, pinned } = message;
  return {
    id,
    repoTags: [...repoTags],
    sizeBytes: Number(size),
    ...(uid === undefined ? {} : { uid: Number(uid.value) }),
    ...(username === '' ? {} : { username }),
    ...(pinned ? { isPinned: true } : {}),
  };
}
