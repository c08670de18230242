import type { ConfigMap, RuntimeClass, Secret } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import type { KubernetesObject, ResourceType } from '../api/resources.ts';
import type { Clock } from '../base/clock.ts';
import { StatusError, hasReason } from '../base/status-error.ts';
import { withDeadline } from '../base/with-deadline.ts';
import type { Client } from '../client/client.ts';

/** The last so many that were read are remembered. */
const rememberedMax = 1_000;
/** How long the server may take when there is what was read before. */
const patienceMs = 1_000;
/** A server that did not answer is asked again after so long; what it holds up is every sync of every pod. */
const silenceMs = 10_000;

interface ReadObject {
  readonly object: KubernetesObject;
  readonly readMonoMs: number;
}

/**
 * Reads the config maps, secrets and runtime classes that pods refer to: fresh, unless the caller takes what was read a
 * moment ago, so that an object which every pod has is not read for every sync of every pod. While the server does not
 * answer, what was read last counts: a node that is cut off goes on. Upstream: the kubelet's `watch_based_manager`.
 */
export class ObjectReader {
  readonly #client: Client;
  readonly #clock: Clock;
  #silentSinceMonoMs = Number.NEGATIVE_INFINITY; // when the server last did not answer
  readonly #remembered = new Map<string, ReadObject>(); // by type, namespace and name; the oldest first

  constructor(client: Client, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  /** `undefined`: there is none, and it is optional. `NotFound` with upstream's text if it is not. */
  async configMap(
    namespace: string,
    name: string,
    optional: boolean,
    signal: AbortSignal,
    ageMsMax = 0,
  ): Promise<ConfigMap | undefined> {
    try {
      return await this.#read(resources.configmaps, { namespace, name }, ageMsMax, signal);
    } catch (error) {
      return absent(error, `configmap "${name}" not found`, optional);
    }
  }

  /** Likewise. */
  async secret(
    namespace: string,
    name: string,
    optional: boolean,
    signal: AbortSignal,
    ageMsMax = 0,
  ): Promise<Secret | undefined> {
    try {
      return await this.#read(resources.secrets, { namespace, name }, ageMsMax, signal);
    } catch (error) {
      return absent(error, `secret "${name}" not found`, optional);
    }
  }

  /** `NotFound` with upstream's text if there is none. */
  async runtimeClass(name: string, signal: AbortSignal): Promise<RuntimeClass> {
    try {
      return await this.#read(resources.runtimeclasses, { namespace: '', name }, 0, signal);
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error;
      throw new StatusError('NotFound', `runtimeclass.node.k8s.io "${name}" not found`, { cause: error });
    }
  }

  async #read<T extends KubernetesObject>(
    type: ResourceType<T>,
    ref: { readonly namespace: string; readonly name: string },
    ageMsMax: number,
    signal: AbortSignal,
  ): Promise<T> {
    const key = `${type.resource}/${ref.namespace}/${ref.name}`;
    const known = this.#remembered.get(key);
    const readMonoMs = this.#clock.monoMs(); // what is read is at least as new as this
    // It was remembered under the name of its type.
    const before = known?.object as T | undefined;
    const isFresh = known !== undefined && readMonoMs - known.readMonoMs < ageMsMax;
    if (before !== undefined && (isFresh || readMonoMs - this.#silentSinceMonoMs < silenceMs)) return before;
    const limit = { name: 'kubelet.objects.patience', limitMs: patienceMs, message: 'the server does not answer' };
    let object: T;
    try {
      object =
        before === undefined
          ? await this.#client.get(type, ref, signal)
          : await withDeadline(this.#clock, limit, signal, (own) => this.#client.get(type, ref, own));
    } catch (error) {
      if (hasReason(error, 'NotFound')) this.#remembered.delete(key);
      if (before === undefined || signal.aborted || !hasReason(error, 'Timeout', 'ServiceUnavailable')) throw error;
      this.#silentSinceMonoMs = this.#clock.monoMs();
      return before;
    }
    this.#remembered.delete(key); // another read may have come first; the newest goes last
    this.#remembered.set(key, { object, readMonoMs });
    const [oldest] = this.#remembered.keys();
    if (this.#remembered.size > rememberedMax && oldest !== undefined) this.#remembered.delete(oldest);
    return object;
  }
}

function absent(error: unknown, message: string, optional: boolean): undefined {
  if (!hasReason(error, 'NotFound')) throw error;
  if (optional) return undefined;
  throw new StatusError('NotFound', message, { cause: error });
}

/** The bytes of a base64 text, as in a secret's `data`. */
export function decodeBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}
