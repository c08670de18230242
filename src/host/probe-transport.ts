import { Buffer } from 'node:buffer';
import { connect as connectTcp, type Socket } from 'node:net';
import type {
  GrpcHealthReply,
  HttpProbeReply,
  HttpProbeRequest,
  ProbeTransport,
  TransportFailure,
} from '../kubelet/probes/probe-transport.ts';
import { transportFailures } from '../kubelet/probes/transport-failures.ts';
import { Deadline } from './probe-transport-deadline.ts';
import { dialFailure } from './probe-transport-errors.ts';
import { type Attempt, dialAddress, HttpExchange } from './probe-transport-exchange.ts';
import { LingeringSockets } from './probe-transport-lingering.ts';
import { GrpcHealthCheck, type GrpcHealthTarget } from './probe-transport-grpc.ts';

/** Attempts that one signal may end, each with its promise's `reject`. */
type UnderWay = Map<Attempt, (reason: unknown) => void>;

/**
 * Probes over this computer's sockets: a new connection for every attempt, no proxy, no cookies, certificates not
 * verified. HTTP/1.1 is written and read by hand, since `node:http` costs half as much CPU time again. Holds nothing
 * between attempts but, for a moment, their sockets; those under way end with their signal.
 */
export class HostProbeTransport implements ProbeTransport {
  readonly #lingering = new LingeringSockets();
  readonly #wires = new WeakMap<HttpProbeRequest, Buffer>(); // a probe sends the same request again and again
  readonly #underWay = new WeakMap<AbortSignal, UnderWay>(); // one listener a signal, however many attempts

  httpGet(request: HttpProbeRequest, signal: AbortSignal): Promise<HttpProbeReply> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error); // the contract: the reason, unwrapped
      const underWay = this.#underWayOf(signal);
      const exchange = new HttpExchange(request, this.#wireOf(request), this.#lingering, (self, reply) => {
        underWay.delete(self);
        resolve(reply);
      });
      underWay.set(exchange, reject);
    });
  }

  tcpConnect(
    host: string,
    port: number,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<TransportFailure | undefined> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error); // the contract: the reason, unwrapped
      const underWay = this.#underWayOf(signal);
      const dial = new TcpDial(host, port, timeoutMs, (self, failure) => {
        underWay.delete(self);
        resolve(failure);
      });
      underWay.set(dial, reject);
    });
  }

  grpcHealth(target: GrpcHealthTarget, timeoutMs: number, signal: AbortSignal): Promise<GrpcHealthReply> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error); // the contract: the reason, unwrapped
      const underWay = this.#underWayOf(signal);
      const check = new GrpcHealthCheck(target, timeoutMs, (self, reply) => {
        underWay.delete(self);
        resolve(reply);
      });
      underWay.set(check, reject);
    });
  }

  #underWayOf(signal: AbortSignal): UnderWay {
    const known = this.#underWay.get(signal);
    if (known !== undefined) return known;
    const underWay: UnderWay = new Map();
    this.#underWay.set(signal, underWay);
    const onAbort = (): void => {
      for (const [attempt, reject] of underWay) {
        attempt.abort();
        reject(signal.reason);
      }
      underWay.clear();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    return underWay;
  }

  #wireOf(request: HttpProbeRequest): Buffer {
    const known = this.#wires.get(request);
    if (known !== undefined) return known;
    const lines = request.headers.map(([name, value]) => `${name}: ${value}\r\n`);
    const wire = Buffer.from(`GET ${request.target} HTTP/1.1\r\n${lines.join('')}\r\n`, 'utf8');
    this.#wires.set(request, wire);
    return wire;
  }
}

/** Connects, and closes at once. */
class TcpDial implements Attempt {
  readonly #socket: Socket;
  readonly #deadline: Deadline;
  #isOver = false;

  constructor(
    host: string,
    port: number,
    timeoutMs: number,
    onDone: (dial: TcpDial, failure: TransportFailure | undefined) => void,
  ) {
    const done = (failure: TransportFailure | undefined): void => {
      if (this.#isOver) return;
      this.abort();
      onDone(this, failure);
    };
    this.#deadline = new Deadline(timeoutMs, () => done(transportFailures.dialTimeout(host, port)));
    this.#socket = connectTcp({ host: dialAddress(host), port });
    this.#socket.on('connect', () => done(undefined));
    this.#socket.on('error', (error) => done(dialFailure(error, host, port)));
  }

  abort(): void {
    this.#isOver = true;
    this.#deadline.clear();
    this.#socket.destroy();
  }
}
