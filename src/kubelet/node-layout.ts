import type { Pod } from '../api/gen/types.ts';
import { podUidOf } from './pod-names.ts';

/** Where the kubelet keeps what. Upstream: `/var/lib/kubelet` and `/var/log/pods`. */
export interface NodeLayout {
  /** `ROOT/pods/UID/...` */
  readonly rootDir: string;
  /** `LOGS/NAMESPACE_NAME_UID/CONTAINER/ATTEMPT.log` */
  readonly podLogsDir: string;
}

export function podDirectory(layout: NodeLayout, podUid: string): string {
  return `${layout.rootDir}/pods/${podUid}`;
}

export function podLogDirectory(layout: NodeLayout, pod: Pod): string {
  return `${layout.podLogsDir}/${pod.metadata?.namespace}_${pod.metadata?.name}_${podUidOf(pod)}`;
}

/** Relative to the pod's log directory. */
export function containerLogPath(name: string, attempt: number): string {
  return `${name}/${attempt}.log`;
}

/** The file that is mounted at the container's terminationMessagePath: one per instance. */
export function terminationLogPath(layout: NodeLayout, podUid: string, name: string, attempt: number): string {
  return `${podDirectory(layout, podUid)}/containers/${name}/${attempt}`;
}

/** `TYPE`: upstream's plugin name, e.g. `empty-dir`. */
export function volumeDirectory(layout: NodeLayout, podUid: string, type: string, name: string): string {
  return `${podDirectory(layout, podUid)}/volumes/kubernetes.io~${type}/${name}`;
}

export function hostsFilePath(layout: NodeLayout, podUid: string): string {
  return `${podDirectory(layout, podUid)}/etc-hosts`;
}
