import type { Clock } from '../../base/clock.ts';
import { StatusError } from '../../base/status-error.ts';
import { TaskScope } from '../../base/task-scope.ts';
import type { RemoteStreams } from '../runtime.ts';
import { untilAborted } from '../until-aborted.ts';
import type { LaunchedProcess } from './launcher.ts';
import type { LogStream } from './log-lines.ts';
import { copyIn, followSize } from './process-streams.ts';
import { within } from './within.ts';

const pendingBytesMax = 1_048_576; // for each; above it the container is held up until the client has taken some
const stallMsMax = 10_000; // for which a client may hold up a container, and its log; then it is let go

/** Those who see a container's output as it comes, beside its log. */
export class Attachers {
  readonly #clock: Clock;
  readonly #all = new Set<Attacher>();
  #isHolding = true; // slow clients hold up the container

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(streams: RemoteStreams): Attacher {
    const attacher = new Attacher(this.#clock, streams);
    this.#all.add(attacher);
    return attacher;
  }

  remove(attacher: Attacher): void {
    this.#all.delete(attacher);
    attacher.detach();
  }

  /** `undefined`: all have room for it. Else resolves when they have again, or were let go. */
  push(stream: LogStream, bytes: Uint8Array): Promise<void> | undefined {
    if (this.#all.size === 0) return undefined;
    for (const attacher of this.#all) attacher.push(stream, bytes);
    const full = this.#isHolding ? [...this.#all].filter(({ isFull }) => isFull) : [];
    if (full.length === 0) return undefined;
    return Promise.all(full.map((attacher) => attacher.untilRoom())).then(() => {});
  }

  /** The process has ended: what it has still said is not much, and its log shall be whole at once. */
  stopHolding(): void {
    this.#isHolding = false;
    for (const attacher of this.#all) attacher.release();
  }

  /** All was said. They go on until they have it. */
  end(): void {
    for (const attacher of this.#all) attacher.end();
    this.#all.clear();
  }
}

interface Piece {
  readonly sink: NonNullable<RemoteStreams['stdout']>;
  readonly bytes: Uint8Array;
}

const enough = new Error('the client has enough');

class Attacher {
  readonly #clock: Clock;
  readonly #streams: RemoteStreams;
  readonly #pieces: Piece[] = []; // not yet given to the client
  readonly #over = new AbortController(); // with `enough`, or with why it was let go
  #pendingBytes = 0;
  #isEnding = false; // no more comes
  #wake: () => void = () => {};
  #room: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined; // while somebody waits for it

  constructor(clock: Clock, streams: RemoteStreams) {
    this.#clock = clock;
    this.#streams = streams;
  }

  get isFull(): boolean {
    return this.#pendingBytes > pendingBytesMax && !this.#over.signal.aborted;
  }

  push(stream: LogStream, bytes: Uint8Array): void {
    const sink = this.#streams[stream];
    if (sink === undefined || this.#over.signal.aborted) return;
    this.#pieces.push({ sink, bytes });
    this.#pendingBytes += bytes.length;
    this.#wake();
  }

  async untilRoom(): Promise<void> {
    if (this.#room === undefined) {
      let resolve: () => void = () => {};
      const promise = new Promise<void>((done) => (resolve = done));
      this.#room = { promise, resolve };
    }
    const outcome = await within(this.#clock, stallMsMax, 'cri.process.attachStall', this.#room.promise);
    if (outcome.kind === 'inTime') return;
    const text = `attach: the client has taken nothing of the container's output for ${stallMsMax / 1_000} s`;
    this.#over.abort(new StatusError('Timeout', text));
  }

  /** Whoever waits for room goes on. */
  release(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }

  /** No more comes; what is there is still given. */
  end(): void {
    this.#isEnding = true;
    this.#wake();
  }

  detach(): void {
    this.#over.abort(enough);
    this.release();
  }

  /** Gives the client what comes, until it is detached or all was given. Fails when it is too slow. */
  async run(): Promise<void> {
    const { signal } = this.#over;
    try {
      for (;;) {
        const piece = this.#pieces.shift();
        if (piece === undefined) {
          if (this.#isEnding) return;
          const woken = new Promise<void>((resolve) => (this.#wake = resolve));
          await untilAborted(woken, signal);
          continue;
        }
        await untilAborted(piece.sink(piece.bytes), signal);
        this.#pendingBytes -= piece.bytes.length;
        if (!this.isFull) this.release();
      }
    } catch (error) {
      if (error !== enough) throw error;
    }
  }
}

/** Joins a client to a container's own streams: what `ContainerRuntime.attach` promises. */
export async function attachStreams(
  process: LaunchedProcess,
  attachers: Attachers,
  stdinOnce: boolean,
  streams: RemoteStreams,
  signal: AbortSignal,
): Promise<void> {
  const { stdin, terminal } = process;
  const attacher = attachers.add(streams);
  const client = new TaskScope(); // what listens to the client
  // As containerd: a terminal's input never ends, and a client that has no more to say has seen enough, unless the
  // container's input has ended with it.
  const endsInput = stdinOnce && terminal === undefined;
  if (stdin !== undefined && streams.stdin !== undefined) {
    const source = streams.stdin;
    client.start(async (clientSignal) => {
      await copyIn(source, stdin, clientSignal);
      if (endsInput) stdin.end();
      else attacher.detach();
    });
  }
  client.start((clientSignal) => followSize(streams.resize, terminal, clientSignal));
  try {
    await untilAborted(attacher.run(), signal);
  } finally {
    attachers.remove(attacher);
    await client.close();
  }
}
