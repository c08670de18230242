import fs from 'node:fs';
import { createRequire } from 'node:module';
import type net from 'node:net';
import { Readable, Writable } from 'node:stream';
import tty from 'node:tty';
import type * as NodePty from '@lydell/node-pty';
import type { Clock } from '../../base/clock.ts';
import { StatusError, messageOf } from '../../base/status-error.ts';
import type { TerminalSize } from '../runtime.ts';
import type { LaunchedProcess, ProcessUser, TerminalControl } from './launcher.ts';

const initialSize: TerminalSize = { width: 80, height: 24 }; // until the client tells its own
const sizeMax = 65_535; // the kernel's numbers have 16 bits
const inputRetryMs = 10; // the kernel's buffer of input is full: nobody reads
const readBytesMax = 4_096; // the kernel gives no more at once
const packageName = '@lydell/node-pty';

/** What every command on a terminal gets, as containerd does. */
export const terminalVariables: Readonly<Record<string, string>> = { TERM: 'xterm' };

/** A pseudo-terminal of this machine. */
export interface OpenTerminal extends TerminalControl {
  /** Of the side that programs open: `/dev/pts/N`. */
  readonly path: string;
  /** What is typed. Takes no more than the program reads, give or take what the kernel keeps. */
  readonly input: Writable;
  /** Ends, perhaps with EIO, when no program has the terminal open any more. */
  readonly output: Readable;
  /** To be called once the program has opened it, or never will: from then on it ends when the program closes it. */
  onOpened(): void;
}

/** What we use of the package's native part (1.1.0). */
interface NativePty {
  open(columns: number, rows: number): { readonly master: number; readonly slave: number; readonly pty: string };
  resize(fd: number, columns: number, rows: number): void;
}

let loaded: NativePty | undefined; // at first need: few start a terminal

/** `user`: who may open it besides this process' own user. Fails with `StatusError` where there are no terminals. */
export async function openTerminal(clock: Clock, user: ProcessUser | undefined): Promise<OpenTerminal> {
  const native = (loaded ??= loadNative());
  const { master, slave, pty } = native.open(initialSize.width, initialSize.height);
  let isOpen = true;
  const output = readTerminal(master, () => {
    isOpen = false; // the number of the file may be another file's from now on
    input.destroy();
  });
  const input = new TerminalInput(clock, (bytes) => (isOpen ? fs.writeSync(master, bytes) : bytes.length));
  let held: number | undefined = slave;
  const onOpened = (): void => {
    if (held !== undefined) fs.closeSync(held);
    held = undefined;
  };
  if (user !== undefined) fs.fchownSync(slave, user.uid, user.gid);
  return {
    path: pty,
    input,
    output,
    onOpened,
    resize({ width, height }) {
      if (isOpen && isSize(width) && isSize(height)) native.resize(master, width, height);
    },
    hangUp() {
      onOpened();
      output.destroy();
    },
  };
}

/**
 * libuv takes a read that does not fill its buffer for the last one when the other side has hung up. That is wrong
 * for a terminal, so it must find nobody reading: no more is asked for within its own callback.
 */
function readTerminal(master: number, onClosed: () => void): Readable {
  const output = new Readable({
    read: () => void setImmediate(() => source.resume()),
    destroy(error, done) {
      source.destroy();
      done(error);
    },
  });
  const onRead = (byteCount: number, buffer: Uint8Array): boolean => {
    output.push(Buffer.from(buffer.subarray(0, byteCount)));
    return false;
  };
  const onread = { buffer: Buffer.allocUnsafe(readBytesMax), callback: onRead };
  // Options of a socket: its types leave out this one.
  const source = new tty.ReadStream(master, { onread } as net.SocketConstructorOpts);
  source.on('error', () => {}); // EIO: the end
  source.once('close', () => {
    onClosed();
    output.push(null);
  });
  return output;
}

/** `name`: of the package; another one in tests. */
export function loadNative(name = packageName): NativePty {
  const load = createRequire(import.meta.url);
  try {
    const fromPackage = createRequire(load.resolve(name));
    // The pinned version's own native module: its functions are those above.
    return fromPackage(`${name}-${process.platform}-${process.arch}/pty.node`) as NativePty;
  } catch (error) {
    throw new StatusError('ServiceUnavailable', terminalMissingText(), { cause: error });
  }
}

/** What is to be run, where. */
export interface Program {
  readonly words: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

export type SpawnedProcess = Omit<LaunchedProcess, 'machinePid' | 'signal' | 'kill'>;

/**
 * Leader of a session and a process group of its own, on every operating system. On Linux, `openTerminal` is better:
 * what a program says last may be lost here.
 */
export async function spawnOnTerminal(clock: Clock, program: Program): Promise<SpawnedProcess> {
  const { words, cwd, env } = program;
  const [file = '', ...args] = words;
  const { width: cols, height: rows } = initialSize;
  const { spawn } = await loadPackage();
  const options = { name: 'xterm', cols, rows, cwd, env: { ...env }, encoding: null };
  // Its classes are event emitters, and have the file on Unix, though its types do not say so.
  const pty = spawn(file, args, options) as NodePty.IPty & UntypedPty;
  let isOpen = true;
  const stdout = new Readable({ read: () => pty.resume() });
  pty.on('data', (bytes) => {
    if (!stdout.push(bytes)) pty.pause();
  });
  // Its own way to write blocks this process when the program does not read.
  const writeSome = (bytes: Buffer): number =>
    pty.fd === undefined ? (pty.write(bytes.toString()), bytes.length) : fs.writeSync(pty.fd, bytes);
  const stdin = new TerminalInput(clock, (bytes) => (isOpen ? writeSome(bytes) : bytes.length));
  const close = (): void => {
    if (isOpen) stdout.push(null);
    isOpen = false;
    stdin.destroy();
  };
  pty.on('close', close);
  const exited = new Promise<number>((resolve) => {
    pty.onExit(({ exitCode, signal }) => {
      close();
      resolve(signal === undefined || signal === 0 ? exitCode : 128 + signal);
    });
  });
  const terminal: TerminalControl = {
    resize({ width, height }) {
      if (isOpen && isSize(width) && isSize(height)) pty.resize(width, height);
    },
    hangUp() {
      if (isOpen) pty.kill();
    },
  };
  return { pid: pty.pid, stdin, stdout, stderr: undefined, terminal, exited };
}

interface UntypedPty {
  /** Absent on Windows. */
  readonly fd?: number;
  on(event: 'data', listener: (bytes: Buffer) => void): void;
  on(event: 'close', listener: () => void): void;
}

async function loadPackage(): Promise<typeof NodePty> {
  try {
    return await import('@lydell/node-pty');
  } catch (error) {
    throw new StatusError('ServiceUnavailable', terminalMissingText(), { cause: error });
  }
}

function isSize(value: number): boolean {
  return Number.isInteger(value) && value > 0 && value <= sizeMax;
}

function terminalMissingText(): string {
  return (
    `tty: true needs the npm package ${packageName}, which is not installed or has nothing for ` +
    `${process.platform}-${process.arch}: install livelet with its optional dependencies`
  );
}

/** Writes to a file that does not block, without blocking. */
class TerminalInput extends Writable {
  readonly #clock: Clock;
  readonly #writeSome: (bytes: Buffer) => number;
  readonly #ended = new AbortController();

  constructor(clock: Clock, writeSome: (bytes: Buffer) => number) {
    super({ highWaterMark: 4_096 });
    this.#clock = clock;
    this.#writeSome = writeSome;
    this.on('error', () => {}); // whoever writes is told
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    let rest = chunk;
    try {
      while (rest.length > 0) rest = rest.subarray(this.#writeSome(rest));
      done();
    } catch (error) {
      if (!isFull(error)) {
        done(new StatusError('InternalError', messageOf(error), { cause: error }));
        return;
      }
      this.#clock.sleep(inputRetryMs, 'cri.process.terminalInput', this.#ended.signal).then(
        () => this._write(rest, _encoding, done),
        () => {}, // closed meanwhile: nobody waits any more
      );
    }
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#ended.abort(new Error('the terminal was closed'));
    done(error);
  }
}

function isFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EAGAIN';
}
