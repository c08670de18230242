import type { Entropy } from '../../src/base/entropy.ts';
import { StatusError } from '../../src/base/status-error.ts';
import type { ApiClient } from '../../src/client/api-client.ts';

/** What the controllers ask for gets lost on the way there or back, and watches may break. */
export function lossyClient(
  client: ApiClient,
  entropy: Entropy,
  faults: { on: boolean; readonly breaksWatches: boolean },
): ApiClient {
  const broken = (): StatusError => new StatusError('ServiceUnavailable', 'the connection broke');
  const happens = (share: number): boolean => faults.on && entropy.unit() < share;
  const through =
    <A extends readonly unknown[], T>(send: (...args: A) => Promise<T>) =>
    async (...args: A): Promise<T> => {
      if (happens(0.08)) throw broken();
      const answer = await send(...args);
      if (happens(0.08)) throw broken();
      return answer;
    };
  return {
    ...client,
    get: through(client.get) as ApiClient['get'],
    list: through(client.list) as ApiClient['list'],
    create: through(client.create) as ApiClient['create'],
    update: through(client.update) as ApiClient['update'],
    patch: through(client.patch) as ApiClient['patch'],
    delete: through(client.delete) as ApiClient['delete'],
    async *watch(type, options, signal) {
      if (faults.breaksWatches && happens(0.1)) throw broken();
      for await (const event of client.watch(type, options, signal)) {
        if (faults.breaksWatches && happens(0.03)) throw broken();
        yield event as never;
      }
    },
  };
}
