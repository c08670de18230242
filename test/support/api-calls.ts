import assert from 'node:assert/strict';
import { ApiServer } from '../../src/apiserver/api-server.ts';
import type { ApiServerDeps, ApiServerOptions } from '../../src/apiserver/api-server.ts';
import type { HttpResponse, UserInfo } from '../../src/base/http.ts';
import { noLog } from '../../src/base/log.ts';
import { noMetrics } from '../../src/base/metrics.ts';
import { StatusError } from '../../src/base/status-error.ts';
import { TaskScope } from '../../src/base/task-scope.ts';
import { applyJsonPatch } from '../../src/host/json-patch.ts';
import { SeededEntropy } from '../../src/sim/seeded-entropy.ts';
import { SimTokenIssuer } from '../../src/sim/sim-token-issuer.ts';
import { VirtualClock, settle } from '../../src/sim/virtual-clock.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';

// Answers are looked at field by field, as a client without types would.
// oxlint-disable-next-line typescript/no-explicit-any
export type Json = any;

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  /** Of `text`; `undefined` if that is no JSON. */
  readonly json: Json;
}

export interface CallOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly user?: UserInfo | undefined;
}

export const admin: UserInfo = { name: 'kubernetes-admin', groups: ['system:masters'] };

/** A watch that is read line by line. */
export class WatchReader {
  readonly #lines: AsyncIterator<string | Uint8Array>;
  readonly #events: Json[] = [];
  #rest = '';

  constructor(body: HttpResponse['body']) {
    assert.ok(typeof body !== 'string' && !(body instanceof Uint8Array), 'the answer is no stream');
    this.#lines = body[Symbol.asyncIterator]();
  }

  /** The next event; `undefined` at the end. */
  async next(): Promise<Json> {
    while (this.#events.length === 0) {
      const { value, done } = await this.#lines.next();
      if (done === true) return undefined;
      this.#rest += typeof value === 'string' ? value : new TextDecoder().decode(value);
      const lines = this.#rest.split('\n');
      this.#rest = lines.pop() ?? '';
      this.#events.push(...lines.map((line) => JSON.parse(line)));
    }
    return this.#events.shift();
  }

  /** `TYPE name` of the next `count` events. */
  async summaries(count: number): Promise<string[]> {
    const found: string[] = [];
    for (let i = 0; i < count; i++) {
      const event = await this.next();
      found.push(
        event === undefined ? 'end' : `${event.type} ${event.object.metadata?.name ?? event.object.reason ?? ''}`,
      );
    }
    return found;
  }

  async close(): Promise<void> {
    await this.#lines.return?.();
  }
}

/** The API server over the memory store in virtual time, called as over HTTP. `close` fails if a timer is left. */
export async function startApi(deps: Partial<ApiServerDeps> = {}, options: ApiServerOptions = {}) {
  const clock = new VirtualClock({ epochMs: Date.UTC(2026, 0, 1) });
  const scope = new TaskScope();
  const server = new ApiServer(
    {
      store: new MemoryStore(),
      clock,
      entropy: new SeededEntropy('api'),
      log: noLog,
      metrics: noMetrics,
      nodes: () => Promise.reject(new StatusError('ServiceUnavailable', 'no node servers here')),
      jsonPatch: applyJsonPatch,
      tokens: new SimTokenIssuer('api'),
      ...deps,
    },
    options,
  );
  scope.start((signal) => server.run(signal));
  await clock.advance(0);
  await server.ready(scope.signal);

  const respond = (method: string, url: string, body?: unknown, call: CallOptions = {}): Promise<HttpResponse> => {
    const mark = url.indexOf('?');
    const isRaw = typeof body === 'string' || body instanceof Uint8Array;
    return server.handle(
      {
        method,
        path: mark < 0 ? url : url.slice(0, mark),
        query: new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1)),
        headers: call.headers ?? {},
        body: body === undefined ? '' : isRaw ? body : JSON.stringify(body),
        user: 'user' in call ? call.user : admin,
      },
      scope.signal,
    );
  };
  const call = async (method: string, url: string, body?: unknown, options_: CallOptions = {}): Promise<Answer> => {
    const answer = await respond(method, url, body, options_);
    assert.ok(typeof answer.body === 'string' || answer.body instanceof Uint8Array, `${url} answered with a stream`);
    const text = typeof answer.body === 'string' ? answer.body : new TextDecoder().decode(answer.body);
    const isJson = (answer.headers['content-type'] ?? '').startsWith('application/json') && text !== '';
    return { status: answer.status, headers: answer.headers, text, json: isJson ? JSON.parse(text) : undefined };
  };
  return {
    clock,
    server,
    scope,
    respond,
    call,
    /** The answer's object; fails if it is no success. */
    async ok(method: string, url: string, body?: unknown, options_: CallOptions = {}): Promise<Json> {
      const answer = await call(method, url, body, options_);
      assert.ok(answer.status < 300, `${method} ${url}: ${answer.status} ${answer.text}`);
      return answer.json;
    },
    /** `CODE REASON: MESSAGE` of a failure. */
    async fails(method: string, url: string, body?: unknown, options_: CallOptions = {}): Promise<string> {
      const { status, json } = await call(method, url, body, options_);
      assert.equal(json?.status, 'Failure', `${method} ${url} did not fail`);
      assert.equal(json.code, status);
      return `${status} ${json.reason}: ${json.message}`;
    },
    async watch(url: string, headers: Readonly<Record<string, string>> = {}): Promise<WatchReader> {
      const { body } = await respond('GET', url, undefined, { headers });
      return new WatchReader(body);
    },
    settle,
    async close(): Promise<void> {
      await scope.close();
      await clock.advance(0);
      assert.deepEqual(clock.pendingNames(), []);
    },
  };
}

export type Api = Awaited<ReturnType<typeof startApi>>;

/** The smallest pod. */
export function podOf(name: string, more: Json = {}): Json {
  const { metadata = {}, spec = {}, ...rest } = more;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, ...metadata },
    spec: { containers: [{ name: 'main', image: 'busybox:1.29' }], ...spec },
    ...rest,
  };
}

export const podsPath = '/api/v1/namespaces/default/pods';
