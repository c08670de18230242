import type { KubernetesObject, ObjectList } from '../api/resources.ts';
import { fromStatus } from '../api/status.ts';
import type { HttpResponse } from '../base/http.ts';
import { StatusError, hasReason } from '../base/status-error.ts';
import { answerObject, bodyLines, expectOk, parseJson } from './answer.ts';
import type { Client, WatchEvent } from './client.ts';
import { createRequest, deleteRequest, getRequest, listRequest, patchRequest, updateRequest } from './request.ts';
import { watchRequest } from './request.ts';
import type { WireRequest } from './request.ts';

export interface RawOptions {
  readonly query?: URLSearchParams;
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** A client that also gives access to what is no object: Tables, logs, discovery, OpenAPI, version, healthz. */
export interface ApiClient extends Client {
  /**
   * Sends one request as it is. The answer may have any status: `expectOk` (in `answer.ts`) throws the `StatusError`
   * of a bad one, `bodyText`, `bodyLines` and `bodyChunks` read its body. Throws `ServiceUnavailable` if the server
   * cannot be reached. A body that is a stream must be read to its end or `signal` be aborted, or its connection stays
   * taken.
   */
  request(method: string, path: string, options: RawOptions, signal: AbortSignal): Promise<HttpResponse>;
}

/** Carries one request to the API server and its answer back. `streaming`: the answer has no end of its own. */
export type Transport = (request: WireRequest, streaming: boolean, signal: AbortSignal) => Promise<HttpResponse>;

/** The client over any transport. The functions do not depend on `this`. */
export function clientOver(send: Transport): ApiClient {
  // The casts to T of what the server answered hold as far as the server keeps to its own schema.
  async function object<T>(build: () => WireRequest, signal: AbortSignal): Promise<T> {
    // See above.
    return (await answerObject(await send(build(), false, signal))) as T;
  }
  return {
    get: (type, ref, signal) => object(() => getRequest(type, ref), signal),
    list: async <T extends KubernetesObject>(
      type: Parameters<Client['list']>[0],
      options: Parameters<Client['list']>[1],
      signal: AbortSignal,
    ) => completeList<T>(await object<ObjectList<T>>(() => listRequest(type, options), signal)),
    watch: (type, options, signal) => watchOver(send, watchRequest(type, options), signal),
    create: (type, ref, body, signal, options) => object(() => createRequest(type, ref, body, options), signal),
    update: (type, ref, body, signal, options) => object(() => updateRequest(type, ref, body, options), signal),
    patch: (type, ref, patch, signal, options) => object(() => patchRequest(type, ref, patch, options), signal),
    delete: (type, ref, options, signal) => object(() => deleteRequest(type, ref, options), signal),
    request: (method, path, options, signal) => {
      const { query = new URLSearchParams(), headers = {}, body = '' } = options;
      const streaming = query.get('watch') === 'true' || query.get('watch') === '1' || query.get('follow') === 'true';
      return send({ method, path, query, headers, body }, streaming, signal);
    },
  };
}

/** An empty list has `items: null` when it comes from Go. */
function completeList<T>(list: ObjectList<T>): ObjectList<T> {
  // Checked here since the type promises a list that a foreign server need not send.
  const items = list.items as readonly T[] | null | undefined;
  return Array.isArray(items) ? list : { ...list, items: [] };
}

/** Ends without an error when `signal` aborts; an ERROR event and a refusal are thrown. */
async function* watchOver<T extends KubernetesObject>(
  send: Transport,
  request: WireRequest,
  signal: AbortSignal,
): AsyncIterable<WatchEvent<T>> {
  const controller = new AbortController(); // so that the stream ends also when the caller leaves its loop
  const onAbort = (): void => controller.abort(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    signal.throwIfAborted();
    const response = await send(request, true, controller.signal);
    await expectOk(response);
    for await (const line of bodyLines(response.body)) {
      yield watchEventOf<T>(line);
      if (signal.aborted) return;
    }
  } catch (error) {
    if (signal.aborted) return;
    throw expiredIfGone(error);
  } finally {
    signal.removeEventListener('abort', onAbort);
    controller.abort(new Error('watch ended'));
  }
}

function watchEventOf<T extends KubernetesObject>(line: string): WatchEvent<T> {
  // The shape of each event is checked by its type below; the object is the server's word.
  const event = parseJson(line) as { readonly type?: string; readonly object?: unknown };
  switch (event.type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      // The server's word.
      return { type: event.type, object: event.object as T };
    case 'BOOKMARK':
      // The server's word.
      return { type: 'BOOKMARK', object: event.object as KubernetesObject };
    case 'ERROR':
      throw fromStatus(event.object);
    default:
      throw new StatusError('InternalError', `unknown watch event ${line.slice(0, 200)}`);
  }
}

/** Both mean that the version is too old; callers only look for `Expired`. */
function expiredIfGone(error: unknown): unknown {
  return hasReason(error, 'Gone') ? new StatusError('Expired', error.message, { cause: error }) : error;
}
