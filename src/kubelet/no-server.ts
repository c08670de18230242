import { StatusError } from '../base/status-error.ts';
import type { Client } from '../client/client.ts';

/** What a node without an API server has for one. Nothing that it does asks it twice: there is nobody to wait for. */
export const noServer: Client = {
  get: refused,
  list: refused,
  watch: () => ({ [Symbol.asyncIterator]: () => ({ next: refused }) }),
  create: refused,
  update: refused,
  patch: refused,
  delete: refused,
};

function refused(): Promise<never> {
  return Promise.reject(new StatusError('ServiceUnavailable', 'this node runs without an API server'));
}
