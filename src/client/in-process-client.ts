import type { HttpHandler, UserInfo } from '../base/http.ts';
import { clientOver } from './api-client.ts';
import type { ApiClient } from './api-client.ts';

/**
 * The client of who lives in the API server's own process: calls its handler directly. Bodies cross as text, so the two
 * sides never share an object.
 *
 *     const user = { name: 'system:kube-scheduler', groups: [] };
 *     const client = inProcessClient({ handle: apiServer.handle, user });
 */
export function inProcessClient(deps: { readonly handle: HttpHandler; readonly user: UserInfo }): ApiClient {
  const { handle, user } = deps;
  return clientOver(async (request, _streaming, signal) => {
    signal.throwIfAborted();
    return handle({ ...request, user }, signal);
  });
}
