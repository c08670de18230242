import type { Readable, Writable } from 'node:stream';
import type { Clock } from '../../base/clock.ts';
import type { FifoPool } from './fifo-pool.ts';
import type { ProcessUser, TerminalControl } from './launcher.ts';
import { openTerminal } from './terminal.ts';

/** The streams of a process to be started: our ends, and the paths of its own. */
export interface LaunchStreams {
  readonly stdin: Writable | undefined;
  readonly stdout: Readable;
  readonly stderr: Readable | undefined;
  readonly terminal: TerminalControl | undefined;
  /** What the process opens. With a terminal all three are the same. `in` empty: it has no input. */
  readonly paths: { readonly in: string; readonly out: string; readonly err: string };
  /** To be called once the process has opened them all, or never will. */
  onOpened(): void;
  destroy(): void;
}

/** `user`: who else may open the terminal. */
export async function openLaunchStreams(
  deps: { readonly clock: Clock; readonly fifos: FifoPool },
  asked: { readonly stdinOpen: boolean; readonly tty: boolean; readonly user: ProcessUser | undefined },
): Promise<LaunchStreams> {
  if (asked.tty) {
    const terminal = await openTerminal(deps.clock, asked.user);
    return {
      stdin: asked.stdinOpen ? terminal.input : undefined,
      stdout: terminal.output,
      stderr: undefined,
      terminal,
      paths: { in: terminal.path, out: terminal.path, err: terminal.path },
      onOpened: terminal.onOpened,
      destroy: () => terminal.hangUp(),
    };
  }
  const { fifos } = deps;
  const [out, err] = [await fifos.openOutput(), await fifos.openOutput()];
  const input = asked.stdinOpen ? await fifos.openInput() : undefined;
  return {
    stdin: input?.stream,
    stdout: out.stream,
    stderr: err.stream,
    terminal: undefined,
    paths: { in: input?.path ?? '', out: out.path, err: err.path },
    onOpened: () => input?.onReaderOpened(),
    destroy() {
      input?.onReaderOpened();
      for (const stream of [input?.stream, out.stream, err.stream]) stream?.destroy();
    },
  };
}
