import type { Container, Pod } from '../api/gen/types.ts';
import { formatDuration } from '../api/duration.ts';
import { parseImageName } from '../api/image-name.ts';
import { StatusError, messageOf } from '../base/status-error.ts';
import type { ImageAuth, PulledImage, RuntimeImage } from '../cri/runtime.ts';
import { DoublingBackoff } from './doubling-backoff.ts';
import { pullCredentials } from './image-credentials.ts';
import type { NodeContext } from './node-context.ts';
import { containerReference, podReference, podUidOf } from './pod-names.ts';
import type { PulledImages } from './pulled-images.ts';
import { SerialGate } from './serial-gate.ts';
import type { StartFailure } from './start-failures.ts';

export type ImageResult =
  /** `image`: as the runtime knows it; `undefined` when it was pulled just now. */
  | { readonly kind: 'present'; readonly imageRef: string; readonly image: RuntimeImage | undefined }
  | { readonly kind: 'failed'; readonly failure: StartFailure };

// What some runtimes put before the text of their error, and the waiting reason that it stands for.
const reasonsByPrefix = {
  RegistryUnavailable: 'because the registry is unavailable',
  SignatureValidationFailed: 'because the signature validation failed',
} as const;

type PullContext = Pick<NodeContext, 'clock' | 'objects' | 'recorder' | 'runtime'>;

/**
 * Gets the images of containers by their pull policy, one pull at a time, with a back-off per pod and image (section
 * 4.4). Writes the events of pulling. Upstream: `images.ImageManager`.
 */
export class ImagePulls {
  readonly #context: PullContext;
  readonly #backoff = new DoublingBackoff();
  readonly #lastErrors = new Map<string, Map<string, string>>(); // pod uid -> image -> text; bounded by the pods
  readonly #gate = new SerialGate();

  readonly #pulled: PulledImages;

  constructor(context: PullContext, pulled: PulledImages) {
    this.#context = context;
    this.#pulled = pulled;
  }

  async ensure(pod: Pod, container: Container, signal: AbortSignal): Promise<ImageResult> {
    const image = container.image ?? '';
    const fault = imageNameFault(image);
    if (fault !== undefined) {
      const message = `Failed to apply default image tag "${image}": ${fault}`;
      this.#event(pod, container, 'Warning', 'InspectFailed', message);
      return failed('InvalidImageName', message);
    }
    let present;
    try {
      present = await this.#context.runtime.imageStatus(image, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      const message = `Failed to inspect image "${image}": ${messageOf(error)}`;
      this.#event(pod, container, 'Warning', 'InspectFailed', message);
      return failed('ImageInspectError', message);
    }
    const policy = container.imagePullPolicy ?? 'IfNotPresent';
    if (present !== undefined && policy !== 'Always') {
      this.#event(pod, container, 'Normal', 'Pulled', `Container image "${image}" already present on machine`);
      return { kind: 'present', imageRef: present.id, image: present };
    }
    if (policy === 'Never') {
      const message = `Container image "${image}" is not present with pull policy of Never`;
      this.#event(pod, container, 'Warning', 'ErrImageNeverPull', message);
      return failed('ErrImageNeverPull', message);
    }
    return this.#pull(pod, container, image, signal);
  }

  forgetPod(podUid: string): void {
    this.#backoff.forgetPod(podUid);
    this.#lastErrors.delete(podUid);
  }

  async #pull(pod: Pod, container: Container, image: string, signal: AbortSignal): Promise<ImageResult> {
    const { clock } = this.#context;
    const podUid = podUidOf(pod);
    if (this.#backoff.isWaiting(podUid, image, clock.wallMs())) {
      const message = `Back-off pulling image "${image}"`;
      this.#event(pod, container, 'Normal', 'BackOff', message);
      const last = this.#lastErrors.get(podUid)?.get(image);
      return failed('ImagePullBackOff', last === undefined ? message : `${message}: ${last}`);
    }
    this.#event(pod, container, 'Normal', 'Pulling', `Pulling image "${image}"`);
    const askedMonoMs = clock.monoMs();
    let begunMonoMs = askedMonoMs;
    try {
      const auths = await this.#credentials(pod, image, signal);
      const pulled = await this.#gate.run(() => {
        begunMonoMs = clock.monoMs();
        return this.#pullWith(image, auths, signal);
      }, signal);
      const now = clock.monoMs();
      await this.#pulled.add(pulled.id);
      const times = `${textMs(now - begunMonoMs)} (${textMs(now - askedMonoMs)} including waiting)`;
      const text = `Successfully pulled image "${image}" in ${times}. Image size: ${pulled.sizeBytes} bytes.`;
      this.#event(pod, container, 'Normal', 'Pulled', pulled.notice === undefined ? text : `${text} ${pulled.notice}`);
      return { kind: 'present', imageRef: pulled.id, image: undefined };
    } catch (error) {
      if (signal.aborted) throw error;
      return this.#onFailure(pod, container, image, messageOf(error));
    }
  }

  /** Secrets that are not there are told, and the rest is tried without them. */
  async #credentials(pod: Pod, image: string, signal: AbortSignal): Promise<readonly ImageAuth[]> {
    if ((pod.spec?.imagePullSecrets ?? []).length === 0) return [];
    const repository = fullRepository(parseImageName(image).repository);
    const { auths, missing } = await pullCredentials(this.#context.objects, pod, repository, signal);
    if (missing.length > 0) {
      const message =
        `Unable to retrieve some image pull secrets (${missing.join(', ')}); ` +
        'attempting to pull the image may not succeed.';
      this.#context.recorder.event(podReference(pod), 'Warning', 'FailedToRetrieveImagePullSecret', message);
    }
    return auths;
  }

  /** With each of the credentials until one works; without any if there are none. */
  async #pullWith(image: string, auths: readonly ImageAuth[], signal: AbortSignal): Promise<PulledImage> {
    const { runtime } = this.#context;
    const errors: string[] = [];
    for (const auth of auths) {
      try {
        return await runtime.pullImage(image, signal, auth);
      } catch (error) {
        if (signal.aborted || !(error instanceof StatusError)) throw error;
        errors.push(error.message);
      }
    }
    const [first = ''] = errors;
    if (errors.length === 0) return runtime.pullImage(image, signal);
    throw new StatusError('Forbidden', errors.length === 1 ? first : `[${errors.join(', ')}]`);
  }

  #onFailure(pod: Pod, container: Container, image: string, text: string): ImageResult {
    const podUid = podUidOf(pod);
    this.#event(pod, container, 'Warning', 'Failed', `Failed to pull image "${image}": ${text}`);
    const nowWallMs = this.#context.clock.wallMs();
    this.#backoff.advance(podUid, image, nowWallMs, nowWallMs);
    const failure = pullFailure(image, text);
    const errors = this.#lastErrors.get(podUid) ?? new Map<string, string>();
    errors.set(image, `${failure.reason}: ${failure.message}`);
    this.#lastErrors.set(podUid, errors);
    return { kind: 'failed', failure };
  }

  #event(pod: Pod, container: Container, type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#context.recorder.event(containerReference(pod, container.name), type, reason, message);
  }
}

function failed(reason: string, message: string): ImageResult {
  return { kind: 'failed', failure: { reason, message } };
}

function pullFailure(image: string, text: string): StartFailure {
  for (const [reason, words] of Object.entries(reasonsByPrefix)) {
    if (!text.startsWith(reason)) continue;
    return { reason, message: `image pull failed for ${image} ${words}${text.slice(reason.length)}` };
  }
  return { reason: 'ErrImagePull', message: text };
}

function textMs(durationMs: number): string {
  return formatDuration(Math.trunc(durationMs));
}

// `busybox` -> `docker.io/library/busybox`, as credentials name it.
function fullRepository(repository: string): string {
  const [first = '', ...rest] = repository.split('/');
  if (rest.length === 0) return `docker.io/library/${first}`;
  return /[.:]/.test(first) || first === 'localhost' ? repository : `docker.io/${repository}`;
}

/** Why `image` is no image reference, in the words of upstream's parser; `undefined` if it is one. */
export function imageNameFault(image: string): string | undefined {
  if (isImageName(image)) return undefined;
  const hint = isImageName(image.toLowerCase()) ? ': repository name must be lowercase' : '';
  return `couldn't parse image name "${image}": invalid reference format${hint}`;
}

function isImageName(image: string): boolean {
  const { tag, digest } = parseImageName(image);
  return tag !== '' || digest !== '';
}
