import type { ByteStream } from '../base/byte-stream.ts';
import { ChildSignals } from '../base/child-signals.ts';
import type { Clock } from '../base/clock.ts';
import { StatusError } from '../base/status-error.ts';
import type {
  GrpcHealthReply,
  HttpProbeReply,
  HttpProbeRequest,
  ProbeTransport,
  TransportFailure,
} from '../kubelet/probes/probe-transport.ts';
import { transportFailures } from '../kubelet/probes/transport-failures.ts';

/** What a simulated server does with one HTTP request. `afterMs` (default 0): on top of the network's latency. */
export type SimHttpAnswer =
  | {
      readonly kind: 'response';
      readonly status: number;
      readonly location?: string;
      readonly body?: string;
      readonly afterMs?: number;
    }
  /** Accepts and says nothing. */
  | { readonly kind: 'silence' }
  /** Closes the connection unanswered. */
  | { readonly kind: 'close'; readonly afterMs?: number }
  | { readonly kind: 'reset'; readonly afterMs?: number }
  /** Sends the headers, and then the body too slowly, or not whole. */
  | { readonly kind: 'slowBody' | 'shortBody'; readonly status: number };

export type SimGrpcAnswer =
  | { readonly kind: 'status'; readonly status: string; readonly afterMs?: number }
  | { readonly kind: 'error'; readonly code: string; readonly message: string; readonly afterMs?: number }
  | { readonly kind: 'silence' };

type SimGrpcTarget = Parameters<ProbeTransport['grpcHealth']>[0];

/** A server. `requestIndex`: 0 for the first one to this server, and so on: a restarted server is a new one. */
export interface SimServer {
  /** Absent: it is no HTTP server, and closes. */
  http?(request: HttpProbeRequest, requestIndex: number): SimHttpAnswer;
  /** Absent: it does not know the health service. */
  grpc?(service: string, requestIndex: number): SimGrpcAnswer;
  /** A connection through `portForward`, until it is done with it. Absent: it is closed at once. */
  tcp?(stream: ByteStream, signal: AbortSignal): Promise<void>;
}

/** An address where nothing answers, not even with a refusal. */
export type SimHost = 'drops' | 'noRoute';

export interface SimNetworkOptions {
  /** There and back, once for each connection. Default 1. */
  readonly roundTripMs?: number;
  /** Addresses of names; any other name cannot be looked up. */
  readonly names?: Readonly<Record<string, string>>;
}

/**
 * The network of a simulation: servers by (address, port), on the virtual clock. Where no server listens, connections
 * are refused.
 */
export class SimNetwork implements ProbeTransport {
  readonly #clock: Clock;
  readonly #roundTripMs: number;
  readonly #names: Readonly<Record<string, string>>;
  readonly #listeners = new Map<string, { readonly server: SimServer; requestCount: number }>(); // by `ADDRESS PORT`
  readonly #signals = new WeakMap<AbortSignal, ChildSignals>();
  readonly #hosts = new Map<string, SimHost>(); // absent: refuses where nothing listens

  constructor(clock: Clock, options: SimNetworkOptions = {}) {
    this.#clock = clock;
    this.#roundTripMs = options.roundTripMs ?? 1;
    this.#names = options.names ?? {};
  }

  /** Starts a server; returns what stops it. Fails with AlreadyExists when the port is taken. */
  listen(address: string, port: number, server: SimServer): () => void {
    const key = `${address} ${port}`;
    if (this.#listeners.has(key)) throw new StatusError('AlreadyExists', `listen ${key}: address already in use`);
    const listener = { server, requestCount: 0 };
    this.#listeners.set(key, listener);
    return () => {
      if (this.#listeners.get(key) === listener) this.#listeners.delete(key);
    };
  }

  /** Who listens there; `undefined`: nobody. */
  find(address: string, port: number): SimServer | undefined {
    return this.#listeners.get(`${address} ${port}`)?.server;
  }

  /** Makes packets to `address` vanish, or have no route; `undefined`: all is well again. */
  setHost(address: string, host: SimHost | undefined): void {
    if (host === undefined) this.#hosts.delete(address);
    else this.#hosts.set(address, host);
  }

  httpGet(request: HttpProbeRequest, signal: AbortSignal): Promise<HttpProbeReply> {
    return this.#childrenOf(signal).run((own) => this.#httpGet(request, own));
  }

  tcpConnect(
    host: string,
    port: number,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<TransportFailure | undefined> {
    return this.#childrenOf(signal).run(async (own) => {
      const connected = await this.#connect(host, port, this.#clock.monoMs() + timeoutMs, own);
      return 'failure' in connected ? connected.failure : undefined;
    });
  }

  grpcHealth(target: SimGrpcTarget, timeoutMs: number, signal: AbortSignal): Promise<GrpcHealthReply> {
    return this.#childrenOf(signal).run((own) => this.#grpcHealth(target, timeoutMs, own));
  }

  async #httpGet(request: HttpProbeRequest, signal: AbortSignal): Promise<HttpProbeReply> {
    const deadlineMonoMs = this.#clock.monoMs() + request.timeoutMs;
    const timeout: HttpProbeReply = { kind: 'failed', failure: transportFailures.headersTimeout };
    const connected = await this.#connect(request.host, request.port, deadlineMonoMs, signal);
    if ('failure' in connected) return connected.failure.kind === 'dialTimeout' ? timeout : failed(connected.failure);
    const { listener, address } = connected;
    const answer = listener.server.http?.(request, listener.requestCount++) ?? { kind: 'close' as const };
    const afterMs = 'afterMs' in answer ? (answer.afterMs ?? 0) : 0;
    if (answer.kind === 'silence' || !(await this.#within(afterMs, deadlineMonoMs, signal))) {
      await this.#until(deadlineMonoMs, signal);
      return timeout;
    }
    switch (answer.kind) {
      case 'response': {
        const body = (answer.body ?? '').slice(0, request.bodyBytesMax);
        return { kind: 'response', status: answer.status, location: answer.location, body };
      }
      case 'close':
        return failed(transportFailures.eof);
      case 'reset':
        return failed(transportFailures.reset(`${address}:40000`, `${address}:${request.port}`));
      case 'slowBody':
        await this.#until(deadlineMonoMs, signal);
        return failed({ ...transportFailures.bodyTimeout, head: { status: answer.status, location: undefined } });
      default:
        return failed({ ...transportFailures.bodyTooShort, head: { status: answer.status, location: undefined } });
    }
  }

  async #grpcHealth(target: SimGrpcTarget, timeoutMs: number, signal: AbortSignal): Promise<GrpcHealthReply> {
    const deadlineMonoMs = this.#clock.monoMs() + timeoutMs;
    const connected = await this.#connect(target.host, target.port, deadlineMonoMs, signal);
    if ('failure' in connected) {
      await this.#until(deadlineMonoMs, signal); // a gRPC client keeps trying
      return { kind: 'dialTimeout' };
    }
    const { listener } = connected;
    const answer = listener.server.grpc?.(target.service, listener.requestCount++) ?? unimplemented;
    if (answer.kind === 'silence' || !(await this.#within(answer.afterMs ?? 0, deadlineMonoMs, signal))) {
      await this.#until(deadlineMonoMs, signal);
      return { kind: 'rpcTimeout' };
    }
    if (answer.kind === 'status') return { kind: 'response', status: answer.status };
    return { kind: 'rpcError', code: answer.code, message: answer.message };
  }

  #childrenOf(signal: AbortSignal): ChildSignals {
    const known = this.#signals.get(signal);
    if (known !== undefined) return known;
    const children = new ChildSignals(signal);
    this.#signals.set(signal, children);
    return children;
  }

  async #connect(
    host: string,
    port: number,
    deadlineMonoMs: number,
    signal: AbortSignal,
  ): Promise<
    | { readonly listener: { readonly server: SimServer; requestCount: number }; readonly address: string }
    | { readonly failure: TransportFailure }
  > {
    const address = /^[0-9.]+$|:/.test(host) ? host : this.#names[host];
    if (address === undefined) return { failure: transportFailures.lookup(host) };
    const state = this.#hosts.get(address);
    if (state === 'drops' || !(await this.#within(this.#roundTripMs, deadlineMonoMs, signal))) {
      await this.#until(deadlineMonoMs, signal);
      return { failure: transportFailures.dialTimeout(address, port) };
    }
    if (state === 'noRoute') return { failure: transportFailures.noRoute(address, port) };
    const listener = this.#listeners.get(`${address} ${port}`);
    return listener === undefined ? { failure: transportFailures.refused(address, port) } : { listener, address };
  }

  /** Waits `delayMs` if that is still before the deadline; else says false, at once. */
  async #within(delayMs: number, deadlineMonoMs: number, signal: AbortSignal): Promise<boolean> {
    if (this.#clock.monoMs() + delayMs >= deadlineMonoMs) return false;
    if (delayMs > 0) await this.#clock.sleep(delayMs, 'sim.network.latency', signal);
    return true;
  }

  async #until(deadlineMonoMs: number, signal: AbortSignal): Promise<void> {
    const remainingMs = deadlineMonoMs - this.#clock.monoMs();
    if (remainingMs > 0) await this.#clock.sleep(remainingMs, 'sim.network.timeout', signal);
  }
}

const unimplemented: SimGrpcAnswer = {
  kind: 'error',
  code: 'Unimplemented',
  message: 'unknown service grpc.health.v1.Health',
};

/** The tutorial's app that becomes unhealthy: five requests are well, all later ones are not. */
export function kubiaUnhealthyServer(): SimServer {
  return {
    http: (_request, requestIndex) =>
      requestIndex < 5
        ? { kind: 'response', status: 200, body: "You've hit kubia\n" }
        : { kind: 'response', status: 500, body: "I'm not well. Please restart me!" },
  };
}

function failed(failure: TransportFailure): HttpProbeReply {
  return { kind: 'failed', failure };
}
