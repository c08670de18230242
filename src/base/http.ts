/**
 * HTTP as the pure layers see it: the API server's and the node server's handlers take a `HttpRequest` and answer with
 * a
 * `HttpResponse`; sockets, TLS and HTTP versions are the adapters' business. In process, the same handlers are called
 * directly.
 */

import type { ByteStream } from './byte-stream.ts';

/**
 * Who asks, as found by the adapter from the client certificate, by the API server from a bearer token, or set by an
 * in-process client. Upstream: `user.Info`.
 */
export interface UserInfo {
  /** E.g. `system:kube-scheduler`, `system:node:NAME`, `kubernetes-admin`. */
  readonly name: string;
  /** E.g. `system:masters`. */
  readonly groups: readonly string[];
  /** Of a service account. */
  readonly uid?: string;
  /** What else is known, e.g. the pod that a token is bound to. */
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

export interface HttpRequest {
  /** Upper case. */
  readonly method: string;
  /** Still percent-encoded, without the query: `/api/v1/namespaces/default/pods`. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Whole; the adapter bounds its size and answers 413 itself. Bytes where it came from a socket. */
  readonly body: string | Uint8Array;
  /** `undefined`: not authenticated (answered with 401). */
  readonly user: UserInfo | undefined;
}

export interface HttpResponse {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /**
   * Whole, or a stream of pieces (watch, `logs -f`) that ends when it is exhausted or when the request's signal
   * aborts.
   */
  readonly body: string | Uint8Array | AsyncIterable<string | Uint8Array>;
  /**
   * For a request with an `upgrade` header (WebSocket, SPDY): instead of status, headers and body, which then count for
   * nothing, this gets the connection as it is after the request's last byte, writes everything itself, the response's
   * status line too, and resolves when it is done. HTTP/1.1 only.
   */
  readonly takeOver?: (connection: ByteStream, signal: AbortSignal) => Promise<void>;
}

/** Answers one request. Never throws for what a client did: errors are answered with a `metav1.Status`. */
export type HttpHandler = (request: HttpRequest, signal: AbortSignal) => Promise<HttpResponse>;
