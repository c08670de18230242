/**
 * How probes reach a container over the network. `host/probe-transport.ts` uses sockets, `sim/sim-network.ts` scripted
 * servers. Each call is one attempt on a fresh connection, bounded by `timeoutMs` as a whole, and resolves to what
 * happened: it rejects only with `signal.reason`.
 */

export interface HttpProbeRequest {
  readonly scheme: 'http' | 'https';
  /** Where to connect: an IP address or a name. */
  readonly host: string;
  readonly port: number;
  /** Request target with its query: `/healthz?full=1`. */
  readonly target: string;
  /** In the order in which they go on the wire, Host first; names as they are to be written. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** At most so much of the body is read; the rest is dropped without an error. */
  readonly bodyBytesMax: number;
  readonly timeoutMs: number;
}

/** Why no answer came; `detail` is Go's own wording of it where one is known. */
export type TransportFailure =
  | {
      readonly kind: 'refused' | 'noRoute' | 'dialTimeout' | 'timeout' | 'eof' | 'reset' | 'other';
      readonly detail: string;
    }
  | { readonly kind: 'lookup'; readonly detail: string }
  | { readonly kind: 'malformed'; readonly detail: string }
  /** The headers arrived (`head`), the body did not. */
  | { readonly kind: 'body'; readonly detail: string; readonly head?: HttpProbeHead };

export interface HttpProbeHead {
  readonly status: number;
  /** The Location header, if there is one: no other means anything to a probe. */
  readonly location: string | undefined;
}

export type HttpProbeReply =
  | {
      readonly kind: 'response';
      readonly status: number;
      readonly location: string | undefined;
      readonly body: string;
    }
  | { readonly kind: 'failed'; readonly failure: TransportFailure };

export type GrpcHealthReply =
  /** E.g. `SERVING`, `NOT_SERVING`. */
  | { readonly kind: 'response'; readonly status: string }
  /** Could not be connected to in time (refused too: a gRPC dial keeps trying). */
  | { readonly kind: 'dialTimeout' }
  /** Cannot be connected to, ever: not worth trying until the time is up. */
  | { readonly kind: 'dialError'; readonly message: string }
  | { readonly kind: 'rpcTimeout' }
  /** `code` as Go prints it: `NotFound`, `Unimplemented`. */
  | { readonly kind: 'rpcError'; readonly code: string; readonly message: string };

export interface ProbeTransport {
  httpGet(request: HttpProbeRequest, signal: AbortSignal): Promise<HttpProbeReply>;
  /** `undefined`: connected (and closed again at once). */
  tcpConnect(host: string, port: number, timeoutMs: number, signal: AbortSignal): Promise<TransportFailure | undefined>;
  /** `grpc.health.v1.Health/Check` in plain text. */
  grpcHealth(
    target: { readonly host: string; readonly port: number; readonly service: string; readonly userAgent: string },
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<GrpcHealthReply>;
}
