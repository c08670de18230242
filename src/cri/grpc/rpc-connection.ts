import { createClient, type CallOptions, type Client } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import type { Clock } from '../../base/clock.ts';
import { StatusError } from '../../base/status-error.ts';
import { execOutputBytesMax } from '../runtime.ts';
import { untilAborted } from '../until-aborted.ts';
import { Containers } from './gen/containerd-containers_pb.ts';
import { Events } from './gen/containerd-events_pb.ts';
import { ImageService, RuntimeService } from './gen/cri_pb.ts';
import { deadlineExceeded, rpcErrorOf } from './rpc-errors.ts';
import { RpcSession } from './rpc-session.ts';

const answerBytesMax = 2 * execOutputBytesMax + 1_048_576; // both outputs of a command, and what is around them

/**
 * One HTTP/2 connection to a runtime's socket for all calls. It is made at the first call and again after it was lost:
 * until the runtime is back, each call fails at once with ServiceUnavailable.
 */
export class RpcConnection {
  readonly runtime: Client<typeof RuntimeService>;
  readonly images: Client<typeof ImageService>;
  /** These two: containerd's own. */
  readonly events: Client<typeof Events>;
  readonly containers: Client<typeof Containers>;
  readonly #clock: Clock;
  readonly #socketPath: string;
  readonly #session: RpcSession;
  readonly #calls = new Set<AbortController>(); // under way
  #isClosed = false;

  constructor(clock: Clock, socketPath: string) {
    this.#clock = clock;
    this.#socketPath = socketPath;
    this.#session = new RpcSession(socketPath);
    const transport = createGrpcTransport({
      baseUrl: this.#session.authority,
      sessionManager: this.#session,
      acceptCompression: [],
      readMaxBytes: answerBytesMax,
    });
    this.runtime = createClient(RuntimeService, transport);
    this.images = createClient(ImageService, transport);
    this.events = createClient(Events, transport);
    this.containers = createClient(Containers, transport);
  }

  /**
   * Makes one call; `name` labels its deadline. Rejects with `signal.reason`, or an `RpcError`: DeadlineExceeded when
   * `deadlineMs` (`undefined`: none) have passed. An abandoned call is cancelled on the other side too.
   */
  async call<T>(
    name: string,
    deadlineMs: number | undefined,
    signal: AbortSignal,
    body: (options: CallOptions) => Promise<T>,
  ): Promise<T> {
    return await this.#during(signal, async (call) => {
      const answer = untilAborted(body({ signal: call.signal }), call.signal);
      if (deadlineMs === undefined) return await answer;
      const timer = new AbortController();
      const late = this.#clock.sleep(deadlineMs, `cri.${name}.deadline`, timer.signal).then(() => {
        const error = deadlineExceeded();
        call.abort(error);
        throw error;
      });
      try {
        return await Promise.race([answer, late]);
      } finally {
        timer.abort(callIsOver);
      }
    });
  }

  /** Reads a stream of the runtime to its end; fails as `call`. */
  async read<T>(
    signal: AbortSignal,
    open: (options: CallOptions) => AsyncIterable<T>,
    take: (message: T) => void,
  ): Promise<void> {
    await this.#during(signal, async (call) => {
      for await (const message of open({ signal: call.signal })) take(message);
    });
  }

  /** Ends every call, and the connection. */
  close(): void {
    this.#isClosed = true;
    const reason = new StatusError('ServiceUnavailable', 'the connection to the container runtime was closed');
    for (const call of this.#calls) call.abort(reason);
    this.#session.close();
  }

  async #during<T>(signal: AbortSignal, body: (call: AbortController) => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const call = new AbortController();
    const onAbort = (): void => call.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    this.#calls.add(call);
    if (this.#isClosed) this.close();
    try {
      return await body(call);
    } catch (error) {
      if (call.signal.aborted) throw call.signal.reason;
      throw error instanceof StatusError ? error : rpcErrorOf(error, this.#socketPath, this.#session.isUp);
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#calls.delete(call);
    }
  }
}

const callIsOver = new Error('the call is over');
