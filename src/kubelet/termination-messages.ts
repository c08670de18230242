import type { Pod } from '../api/gen/types.ts';
import type { RuntimeContainerStatus } from '../cri/runtime.ts';
import { terminationMessageOf } from './container-labels.ts';
import { lastLogText } from './log-tail.ts';
import type { NodeContext } from './node-context.ts';
import { podLogDirectory, terminationLogPath } from './node-layout.ts';
import { containersOf, podUidOf } from './pod-names.ts';
import type { RuntimePod } from './runtime-pod.ts';

const messageBytesMax = 4_096;
const logBytesMax = 2_048;
const logLinesMax = 80;
const podMessagesBytesMax = 12 * 1_024; // of all containers together

/** What ended containers left as their last words (section 4.8). Read once per instance. */
export class TerminationMessages {
  readonly #context: Pick<NodeContext, 'files' | 'layout'>;
  // Pod uid -> container id -> message; of instances that exist.
  readonly #byPod = new Map<string, ReadonlyMap<string, string>>();

  constructor(context: Pick<NodeContext, 'files' | 'layout'>) {
    this.#context = context;
  }

  /** The same pod, with the messages of its ended instances filled in. */
  async fillIn(pod: Pod, runtimePod: RuntimePod): Promise<RuntimePod> {
    const podUid = podUidOf(pod);
    const known = this.#byPod.get(podUid);
    const current = new Map<string, string>();
    const bytesMax = Math.floor(podMessagesBytesMax / Math.max(1, containersOf(pod).length));
    const containers: RuntimeContainerStatus[] = [];
    for (const instance of runtimePod.containers) {
      if (instance.state !== 'exited') {
        containers.push(instance);
        continue;
      }
      const message = known?.get(instance.id) ?? cut(await this.#messageOf(pod, instance), bytesMax);
      current.set(instance.id, message);
      containers.push({ ...instance, message });
    }
    if (current.size === 0) this.#byPod.delete(podUid);
    else this.#byPod.set(podUid, current);
    return { ...runtimePod, containers };
  }

  forgetPod(podUid: string): void {
    this.#byPod.delete(podUid);
  }

  async #messageOf(pod: Pod, instance: RuntimeContainerStatus): Promise<string> {
    const { files, layout } = this.#context;
    const { name, attempt } = instance.metadata;
    const path = terminationLogPath(layout, podUidOf(pod), name, attempt);
    let own = decodeTail(await files.readTail(path, messageBytesMax));
    if (own === '' && terminationMessageOf(instance).fallsBackToLogs && instance.exitCode !== 0) {
      const logPath = instance.logPath.startsWith('/')
        ? instance.logPath
        : `${podLogDirectory(layout, pod)}/${name}/${attempt}.log`;
      own = lastLogText(await files.readTail(logPath, logReadBytes), logLinesMax, logBytesMax);
    }
    if (instance.message === '' || own === '') return instance.message + own;
    return `${instance.message}: ${own}`;
  }
}

const logReadBytes = 64 * 1_024; // enough for 2,048 bytes of text in at most 80 lines with their stamps

function decodeTail(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function cut(text: string, bytesMax: number): string {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= bytesMax) return text;
  return new TextDecoder().decode(bytes.subarray(0, bytesMax)).replace(/\uFFFD$/, '');
}
