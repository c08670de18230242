import type { ApiServerDeps } from '../apiserver/api-server.ts';
import type { HttpHandler, HttpResponse } from '../base/http.ts';
import { StatusError } from '../base/status-error.ts';
import { TaskScope } from '../base/task-scope.ts';
import { untilAborted } from '../cri/until-aborted.ts';
import type { SeededEntropy } from '../sim/seeded-entropy.ts';
import { Lifeline } from '../sim/lifeline.ts';
import type { Store } from '../store/store.ts';
import { startControlPlane } from './control-plane.ts';
import type { ControlPlane, ControlPlaneOptions } from './control-plane.ts';

export interface SimulatedControlPlaneDeps extends Omit<ApiServerDeps, 'store' | 'entropy'> {
  /** What the process finds when it starts: asked each time. */
  readonly store: () => Store;
  readonly entropy: SeededEntropy;
}

interface Running {
  readonly plane: ControlPlane;
  readonly store: Store;
  readonly scope: TaskScope;
  /** Aborted when the process dies: its connections end. */
  readonly connections: AbortController;
}

/**
 * The process of the API server, the scheduler and the controllers in virtual time, which may die and start anew. Who
 * is not told otherwise talks to it through `handle`, whichever run it is.
 */
export class SimulatedControlPlane {
  readonly #deps: SimulatedControlPlaneDeps;
  readonly #options: ControlPlaneOptions;
  readonly #scope: TaskScope;
  #running: Running | undefined; // undefined: it does not run, or does not answer yet
  #dying: (() => void) | undefined; // ends what runs, also while it starts
  #starts = 0;

  /** Everything of it ends when `signal` aborts. */
  constructor(deps: SimulatedControlPlaneDeps, options: ControlPlaneOptions, signal: AbortSignal) {
    this.#deps = deps;
    this.#options = options;
    this.#scope = new TaskScope(signal);
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** What broke down, if something did. */
  get failure(): unknown {
    return this.#running?.scope.failure;
  }

  /** Starts the process; resolves when it answers. */
  async start(): Promise<void> {
    const { nodes, entropy, clock, store: find, ...rest } = this.#deps;
    const store = find();
    const scope = new TaskScope(this.#scope.signal);
    const lifeline = new Lifeline();
    const connections = new AbortController();
    this.#dying = () => {
      lifeline.cut();
      scope.close(new Error('crashed')).catch(() => {}); // takes its timers away; never settles otherwise
      connections.abort(new StatusError('ServiceUnavailable', 'connection reset by peer'));
    };
    this.#starts += 1;
    // A process that starts again draws other names and uids.
    const own = this.#starts === 1 ? entropy : entropy.fork(`start ${this.#starts}`);
    const view = { clock: lifeline.view(clock), store: lifeline.view(store), nodes: lifeline.call(nodes) };
    const plane = await startControlPlane(scope, { ...rest, ...view, entropy: own }, this.#options);
    this.#running = { plane, store, scope, connections };
  }

  /** It dies between two instructions: of what it was doing, only what is in the store remains. */
  crash(): void {
    this.#dying?.();
    this.#running = undefined;
  }

  /** Ends it in good order, and closes its store; fails if a task of it had failed. */
  async close(): Promise<void> {
    await this.#running?.scope.close();
    await this.#running?.store.close();
  }

  /** The API server, over connections that break when it dies. */
  readonly handle: HttpHandler = async (request, signal) => {
    const running = this.#running;
    if (running === undefined) throw new StatusError('ServiceUnavailable', 'connection refused');
    const { plane, connections } = running;
    const response = await untilAborted(plane.server.handle(request, signal), connections.signal);
    return { ...response, body: untilReset(response.body, connections.signal) };
  };
}

function untilReset(body: HttpResponse['body'], connections: AbortSignal): HttpResponse['body'] {
  if (typeof body === 'string' || body instanceof Uint8Array) return body;
  async function* pieces(stream: AsyncIterable<string | Uint8Array>): AsyncIterable<string | Uint8Array> {
    const iterator = stream[Symbol.asyncIterator]();
    let isOver = false;
    try {
      while (!isOver) {
        const next = await untilAborted(iterator.next(), connections);
        isOver = next.done === true;
        if (next.done !== true) yield next.value;
      }
    } finally {
      // A dead process is told nothing.
      if (!isOver && !connections.aborted) await iterator.return?.();
    }
  }
  return pieces(body);
}
