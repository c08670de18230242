import type { Readable, Writable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../../base/clock.ts';
import { StatusError } from '../../base/status-error.ts';
import { TaskScope } from '../../base/task-scope.ts';
import type { RemoteStreams, TerminalSize } from '../runtime.ts';
import { forEachInput } from '../remote-input.ts';
import { untilAborted } from '../until-aborted.ts';
import type { LaunchedProcess, TerminalControl } from './launcher.ts';

const drainMsMax = 100; // a command has ended and nothing more comes, but what it left behind keeps its output open

export interface StreamDeps {
  readonly clock: Clock;
  /** Owns what goes on after the client has gone. */
  readonly scope: TaskScope;
}

/** Joins a command to a client: what `ContainerRuntime.exec` promises. */
export async function runWithStreams(
  deps: StreamDeps,
  process: LaunchedProcess,
  streams: RemoteStreams,
  signal: AbortSignal,
): Promise<number> {
  const { stdin, stdout, stderr, terminal, exited } = process;
  const client = new TaskScope(); // what listens to the client
  const copies = [copyOut(deps, stdout, streams.stdout, exited, signal)];
  if (stderr !== undefined) copies.push(copyOut(deps, stderr, streams.stderr, exited, signal));
  if (stdin !== undefined && streams.stdin !== undefined) {
    const source = streams.stdin;
    client.start(async (clientSignal) => {
      await copyIn(source, stdin, clientSignal);
      if (terminal === undefined) stdin.end(); // a terminal has no end but ^D, which is the client's to type
    });
  }
  client.start((clientSignal) => followSize(streams.resize, terminal, clientSignal));
  try {
    const [exitCode] = await untilAborted(Promise.all([exited, ...copies]), signal);
    return exitCode;
  } finally {
    if (signal.aborted) terminal?.hangUp();
    stdin?.end(); // the input ends with the client
    await client.close();
  }
}

/** Writes all of `source`, as fast as `sink` takes it. Ends early when the client or the process has gone. */
export async function copyIn(source: AsyncIterable<Uint8Array>, sink: Writable, signal: AbortSignal): Promise<void> {
  await forEachInput(source, signal, async (bytes) => {
    if (!sink.writable) return 'enough';
    if (!sink.write(bytes)) await drained(sink, signal);
    return 'more';
  });
}

/** Gives the terminal the size of the client's own, now and whenever that changes. */
export async function followSize(
  sizes: AsyncIterable<TerminalSize> | undefined,
  terminal: TerminalControl | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (sizes === undefined || terminal === undefined) return;
  await forEachInput(sizes, signal, async (size) => {
    terminal.resize(size);
    return 'more';
  });
}

/** Until `sink` takes more, or is closed. */
export async function drained(sink: Writable, signal: AbortSignal): Promise<void> {
  if (!sink.writableNeedDrain) return;
  let onChange: () => void = () => {};
  const changed = new Promise<void>((resolve) => (onChange = resolve));
  sink.once('drain', onChange).once('close', onChange);
  try {
    await untilAborted(changed, signal);
  } finally {
    sink.off('drain', onChange).off('close', onChange);
  }
}

/**
 * Gives all of `source` to `sink`, one piece after the other. Resolves at its end, or when the process has ended and
 * nothing more comes. All that is read after that, or after the client has gone, is dropped.
 */
async function copyOut(
  { clock, scope }: StreamDeps,
  source: Readable,
  sink: RemoteStreams['stdout'],
  exited: Promise<unknown>,
  signal: AbortSignal,
): Promise<void> {
  const copy = new OutputCopy(source, sink);
  const ended = copy.run(signal);
  scope.start(() => ended);
  const idle = exited.then(() => copy.untilIdle(clock));
  scope.start(() => idle);
  await Promise.race([ended, idle]);
}

class OutputCopy {
  readonly #source: Readable;
  #sink: RemoteStreams['stdout'];
  readonly #ended = new AbortController();
  #pieceCount = 0;
  #isTaking = false; // the client is at the last one

  constructor(source: Readable, sink: RemoteStreams['stdout']) {
    this.#source = source;
    this.#sink = sink;
  }

  async run(signal: AbortSignal): Promise<void> {
    try {
      for await (const data of this.#source) {
        this.#pieceCount += 1;
        // A stream without an encoding gives Buffers.
        await this.#give(data as Buffer, signal);
      }
    } catch (error) {
      if (!this.#source.destroyed) throw error;
    } finally {
      this.#ended.abort(new Error('all was read'));
    }
  }

  /** Resolves when nothing has come for a while, and the client has taken what had come. */
  async untilIdle(clock: Clock): Promise<void> {
    const { signal } = this.#ended;
    for (let seenCount = -1; !signal.aborted && (this.#isTaking || seenCount !== this.#pieceCount);) {
      seenCount = this.#pieceCount;
      await clock.sleep(drainMsMax, 'cri.process.execDrain', signal).catch(() => {}); // all was read
      await nextTurn(); // a busy process reads what has come before it decides that nothing has
    }
    this.#sink = undefined;
  }

  async #give(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    if (this.#sink === undefined || signal.aborted) return;
    this.#isTaking = true;
    try {
      await untilAborted(this.#sink(bytes), signal);
    } catch (error) {
      if (!signal.aborted && !(error instanceof StatusError)) throw error;
      this.#sink = undefined; // the client has gone
    } finally {
      this.#isTaking = false;
    }
  }
}
