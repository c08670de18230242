import type { ConfigMap, Secret } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import { StatusError, hasReason } from '../base/status-error.ts';
import type { Client } from '../client/client.ts';

/** Reads the config maps and secrets that pods refer to, always fresh. */
export class ObjectReader {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  /** `undefined`: there is none, and it is optional. `NotFound` with upstream's text if it is not. */
  async configMap(
    namespace: string,
    name: string,
    optional: boolean,
    signal: AbortSignal,
  ): Promise<ConfigMap | undefined> {
    try {
      return await this.#client.get(resources.configmaps, { namespace, name }, signal);
    } catch (error) {
      return absent(error, `configmap "${name}" not found`, optional);
    }
  }

  async secret(namespace: string, name: string, optional: boolean, signal: AbortSignal): Promise<Secret | undefined> {
    try {
      return await this.#client.get(resources.secrets, { namespace, name }, signal);
    } catch (error) {
      return absent(error, `secret "${name}" not found`, optional);
    }
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
