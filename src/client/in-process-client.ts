import type { HttpHandler, UserInfo } from '../base/http.ts';
import type { Client } from './client.ts';
import { clientOver } from './api-client.ts';
import type { ApiClient } from './api-client.ts';

/**
 * The client of who lives in the API server's own process: calls its handler directly. Bodies cross as text, so the two
 * sides never share an object.
 *
 *     const user = { name: 'system:kube-scheduler', groups: [] };
 *     const client = new InProcessClient({ handle: apiServer.handle, user });
 */
export class InProcessClient implements ApiClient {
  readonly get: Client['get'];
  readonly list: Client['list'];
  readonly watch: Client['watch'];
  readonly create: Client['create'];
  readonly update: Client['update'];
  readonly patch: Client['patch'];
  readonly delete: Client['delete'];
  readonly request: ApiClient['request'];

  constructor(deps: { readonly handle: HttpHandler; readonly user: UserInfo }) {
    const { handle, user } = deps;
    const client = clientOver(async (request, _streaming, signal) => {
      signal.throwIfAborted();
      return handle({ ...request, user }, signal);
    });
    this.get = client.get;
    this.list = client.list;
    this.watch = client.watch;
    this.create = client.create;
    this.update = client.update;
    this.patch = client.patch;
    this.delete = client.delete;
    this.request = client.request;
  }
}
