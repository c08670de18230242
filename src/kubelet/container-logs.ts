import type { Clock } from '../base/clock.ts';
import { TaskScope } from '../base/task-scope.ts';
import { nanosOf, nineDecimals, parseLogLine } from './cri-log.ts';
import type { NodeFiles, OpenFile } from './node-files.ts';

const blockBytes = 64 * 1_024;
const lineBytesMax = 256 * 1_024; // runtimes write pieces of at most 16 KiB; what is longer is passed over
const pollMs = 1_000; // upstream's fallback when no change is announced

export interface LogOptions {
  readonly follow: boolean;
  readonly timestamps: boolean;
  /** Stored lines from the end; `undefined`: all. */
  readonly tailLines: number | undefined;
  /** Nanoseconds since 1970; earlier lines are left out. */
  readonly sinceNanos: bigint | undefined;
  /** Of output, stamps included; the last line is cut there. */
  readonly limitBytes: number | undefined;
}

export interface LogReaderDeps {
  readonly files: NodeFiles;
  readonly clock: Clock;
  /** Whether the container still writes; asked at the end of the file while following. */
  readonly isRunning: (signal: AbortSignal) => Promise<boolean>;
}

/**
 * The output of a container from its log file at `path`, in pieces. Ends at the end of the file; while following, when
 * the container no longer runs and all of it was read. Goes on in the new file after a rotation. A missing file is
 * empty.
 */
export async function* readContainerLog(
  deps: LogReaderDeps,
  path: string,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let file = await deps.files.open(path);
  if (file === undefined) return;
  const output = new LogOutput(options);
  try {
    let offset = options.tailLines === undefined ? 0 : await tailOffset(file, options.tailLines);
    if (options.tailLines === 0 && !options.follow) return;
    for (let isLast = !options.follow; ;) {
      for await (const [piece, next] of readPieces(file, offset, output)) {
        offset = next;
        if (piece.length > 0) yield piece;
        if (output.isFull || signal.aborted) return;
      }
      const rotated = await rotatedFile(deps.files, path, file);
      if (rotated !== undefined) {
        await file.close();
        file = rotated;
        offset = 0;
        continue;
      }
      if (isLast) return;
      // What it wrote last may have come after our read: read once more.
      isLast = !(await deps.isRunning(signal));
      if (!isLast) await waitForMore(deps, path, file, offset, signal);
    }
  } finally {
    await file.close();
  }
}

/** The file that took the place of `file`, and is not the same; `undefined`: none. */
async function rotatedFile(files: NodeFiles, path: string, file: OpenFile): Promise<OpenFile | undefined> {
  const now = await files.stat(path);
  if (now === undefined || now.identity === (await file.stat()).identity) return undefined;
  return files.open(path);
}

async function waitForMore(
  { files, clock }: LogReaderDeps,
  path: string,
  file: OpenFile,
  offset: number,
  signal: AbortSignal,
): Promise<void> {
  const scope = new TaskScope(signal);
  const changed = files.changed(path, scope.signal);
  const limit = clock.sleep(pollMs, 'kubelet.logs.follow', scope.signal);
  try {
    // It may have grown before the watch was set up.
    if ((await file.stat()).sizeBytes <= offset) await Promise.race([changed, limit]);
  } finally {
    await scope.close();
    await Promise.allSettled([changed, limit]);
  }
}

/**
 * Shown text with the offset behind it, until the end of the file; a last line without its newline is left for later.
 */
async function* readPieces(
  file: OpenFile,
  from: number,
  output: LogOutput,
): AsyncGenerator<readonly [piece: Uint8Array, nextOffset: number]> {
  let offset = from;
  let rest: Uint8Array = new Uint8Array(0); // the beginning of a line whose end was not read yet
  for (;;) {
    const block = await file.read(offset + rest.length, blockBytes);
    if (block.length === 0) return;
    const bytes = rest.length === 0 ? block : joined([rest, block]);
    const end = bytes.lastIndexOf(0x0a) + 1;
    const shown: Uint8Array[] = [];
    for (let start = 0; start < end;) {
      const lineEnd = bytes.indexOf(0x0a, start) + 1;
      const text = output.render(bytes.subarray(start, lineEnd));
      if (text !== undefined) shown.push(text);
      start = lineEnd;
    }
    offset += end;
    rest = bytes.slice(end);
    if (rest.length > lineBytesMax) {
      offset += rest.length;
      rest = new Uint8Array(0);
    }
    yield [joined(shown), offset];
  }
}

/** Turns stored lines into what is shown, within the bounds of the options. */
class LogOutput {
  readonly #options: LogOptions;
  #leftBytes: number; // of limitBytes
  #isContinued = false; // the line before was a piece of this one

  constructor(options: LogOptions) {
    this.#options = options;
    this.#leftBytes = options.limitBytes ?? Number.POSITIVE_INFINITY;
  }

  get isFull(): boolean {
    return this.#leftBytes <= 0;
  }

  render(stored: Uint8Array): Uint8Array | undefined {
    const line = parseLogLine(stored);
    if (line === undefined || this.isFull) return undefined;
    const isContinued = this.#isContinued;
    this.#isContinued = line.isPartial;
    const { sinceNanos, timestamps } = this.#options;
    if (sinceNanos !== undefined && (nanosOf(line.time) ?? sinceNanos) < sinceNanos) return undefined;
    const stamp = timestamps && !isContinued ? new TextEncoder().encode(`${nineDecimals(line.time)} `) : undefined;
    const whole = stamp === undefined ? line.content : joined([stamp, line.content]);
    const text = whole.length > this.#leftBytes ? whole.subarray(0, this.#leftBytes) : whole;
    this.#leftBytes -= text.length;
    return text;
  }
}

/** Where the last `linesMax` whole stored lines begin; one that is still being written, or for which there was no room, is more. */
async function tailOffset(file: OpenFile, linesMax: number): Promise<number> {
  const { sizeBytes } = await file.stat();
  if (linesMax === 0) return sizeBytes;
  let foundCount = 0; // newlines
  for (let end = sizeBytes; end > 0;) {
    const start = Math.max(0, end - blockBytes);
    const block = await file.read(start, end - start);
    for (let at = block.length - 1; at >= 0; at--) {
      if (block[at] !== 0x0a) continue;
      foundCount += 1;
      if (foundCount > linesMax) return start + at + 1;
    }
    end = start;
  }
  return 0;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only;
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
