import type { ObjectReference } from '../api/gen/types.ts';
import { StatusError, messageOf } from '../base/status-error.ts';
import type { ContainerRuntime, RuntimeContainerStatus, RuntimeImage } from '../cri/runtime.ts';
import type { NodeContext } from './node-context.ts';
import type { PulledImages } from './pulled-images.ts';

const periodMs = 300_000; // upstream: ImageGCPeriod
const ageMsMin = 120_000; // imageMinimumGCAge: an image that was pulled just now is going to be used
const highPercent = 85; // imageGCHighThresholdPercent
const lowPercent = 80; // imageGCLowThresholdPercent

interface Known {
  readonly firstSeenMonoMs: number;
  lastUsedMonoMs: number;
}

export interface ImageGcDeps {
  readonly context: Pick<NodeContext, 'clock' | 'files' | 'log' | 'recorder' | 'runtime'>;
  readonly node: ObjectReference;
  readonly pulled: PulledImages;
  /** All containers, ended ones too; `undefined`: not known yet. */
  readonly containers: () => readonly RuntimeContainerStatus[] | undefined;
}

/**
 * Removes images that no container needs when their file system is 85 % full, those unused for longest first, until it
 * is 80 % full; looks every 5 min. Other than upstream it removes only what this kubelet pulled: on a runtime that
 * others use as well, theirs cannot be told from unused ones. Upstream: `realImageGCManager`.
 */
export class ImageGc {
  readonly #deps: ImageGcDeps;
  readonly #known = new Map<string, Known>(); // by image id
  #hasFailed = false; // the last time; only repeated failures are told

  constructor(deps: ImageGcDeps) {
    this.#deps = deps;
  }

  /** Ends at once where the runtime cannot remove images. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, recorder, runtime } = this.#deps.context;
    const { removeImage, imageFsInfo } = runtime;
    if (removeImage === undefined || imageFsInfo === undefined) return;
    for (;;) {
      try {
        await this.#collect({ ...runtime, removeImage, imageFsInfo }, signal);
        this.#hasFailed = false;
      } catch (error) {
        if (signal.aborted || !(error instanceof StatusError)) throw error;
        log.warn('imageGcFailed', { error: error.message });
        if (this.#hasFailed) recorder.event(this.#deps.node, 'Warning', 'ImageGCFailed', error.message);
        this.#hasFailed = true;
      }
      await clock.sleep(periodMs, 'kubelet.imageGc', signal);
    }
  }

  async #collect(
    runtime: Required<Pick<ContainerRuntime, 'listImages' | 'removeImage' | 'imageFsInfo'>>,
    signal: AbortSignal,
  ): Promise<void> {
    const { context, node } = this.#deps;
    const unused = await this.#unusedImages(await runtime.listImages(signal));
    const { mountpoint } = await runtime.imageFsInfo(signal);
    const { capacityBytes, availableBytes } = await context.files.space(mountpoint);
    if (capacityBytes === 0) {
      const text = 'invalid capacity 0 on image filesystem';
      context.recorder.event(node, 'Warning', 'InvalidDiskCapacity', text);
      throw new StatusError('InternalError', text);
    }
    const usedPercent = 100 - Math.floor((availableBytes * 100) / capacityBytes);
    if (usedPercent < highPercent) return;
    const wantedBytes = Math.floor((capacityBytes * (100 - lowPercent)) / 100) - availableBytes;
    const freedBytes = await this.#free(runtime, unused, wantedBytes, signal);
    if (freedBytes >= wantedBytes) return;
    const text =
      'Failed to garbage collect required amount of images. ' +
      `Attempted to free ${wantedBytes} bytes, but only found ${freedBytes} bytes eligible to free.`;
    context.recorder.event(node, 'Warning', 'FreeDiskSpaceFailed', text);
    throw new StatusError('InternalError', text);
  }

  /** Notes what is used now; returns the rest in the order in which it is to go. */
  async #unusedImages(images: readonly RuntimeImage[]): Promise<readonly RuntimeImage[]> {
    const { context, pulled } = this.#deps;
    const nowMonoMs = context.clock.monoMs();
    const containers = this.#deps.containers();
    if (containers === undefined) return [];
    const inUse = new Set(containers.flatMap(({ image, imageRef }) => [image, imageRef]));
    const unused: { readonly image: RuntimeImage; readonly known: Known }[] = [];
    for (const image of images) {
      const known = this.#known.get(image.id) ?? {
        firstSeenMonoMs: nowMonoMs,
        lastUsedMonoMs: Number.NEGATIVE_INFINITY,
      };
      this.#known.set(image.id, known);
      if ([image.id, ...image.repoTags].some((name) => inUse.has(name))) known.lastUsedMonoMs = nowMonoMs;
      else if (image.isPinned !== true && (await pulled.has(image.id))) unused.push({ image, known });
    }
    const ids = new Set(images.map(({ id }) => id));
    for (const id of this.#known.keys()) if (!ids.has(id)) this.#known.delete(id);
    return unused
      .filter(({ known }) => nowMonoMs - known.firstSeenMonoMs >= ageMsMin)
      .sort(
        ({ known: a }, { known: b }) => a.lastUsedMonoMs - b.lastUsedMonoMs || a.firstSeenMonoMs - b.firstSeenMonoMs,
      )
      .map(({ image }) => image);
  }

  async #free(
    runtime: Required<Pick<ContainerRuntime, 'removeImage'>>,
    unused: readonly RuntimeImage[],
    wantedBytes: number,
    signal: AbortSignal,
  ): Promise<number> {
    const { context, pulled } = this.#deps;
    const errors: string[] = [];
    let freedBytes = 0;
    for (const { id, sizeBytes, repoTags } of unused) {
      if (freedBytes >= wantedBytes) break;
      try {
        context.log.info('imageRemoved', { id, names: repoTags.join(' '), sizeBytes });
        await runtime.removeImage(id, signal);
        await pulled.forget(id);
        freedBytes += sizeBytes;
      } catch (error) {
        if (signal.aborted || !(error instanceof StatusError)) throw error;
        errors.push(messageOf(error));
      }
    }
    if (errors.length === 0) return freedBytes;
    const all = errors.length === 1 ? (errors[0] ?? '') : `[${errors.join(', ')}]`;
    const freed = `wanted to free ${wantedBytes} bytes, but freed ${freedBytes} bytes space`;
    const text = `${freed} with errors in image deletion: ${all}`;
    throw new StatusError('InternalError', text);
  }
}
