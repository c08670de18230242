/**
 * The body of one watch: lines of JSON, one for each event that the watcher may see.
 *
 * It subscribes when it is first read. It ends when its time is up, when its signal aborts, when the server's history
 * has a gap, or when the client reads so slowly that more than `watchBufferLinesMax` lines wait. (It can come back
 * with the last resourceVersion that it saw.)
 */
import type { Clock } from '../base/clock.ts';
import { StatusError } from '../base/status-error.ts';
import { TaskScope } from '../base/task-scope.ts';
import type { CacheEvent, CacheWatcher, WatchCache, WatchTrigger } from './watch-cache.ts';
import type { StoredObject } from './stored-object.ts';

export const watchBufferLinesMax = 8_192;
/** A chunk of a stream is at most about this long, so that one slow reader does not hold much. */
const chunkLengthMax = 256 * 1_024;

export type WatchEventType = 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';

/** Writes the objects of a watch in one representation. */
export interface WatchEncoder {
  /** Encoded lines are shared by the watchers with the same key; `undefined`: they are not shared. */
  readonly shareKey: string | undefined;
  line(type: WatchEventType, object: StoredObject): WatchLine;
  /** `initialEventsEnd`: it says that everything that existed has been sent. */
  bookmark(revision: number, initialEventsEnd: boolean): WatchLine;
  error(error: StatusError): WatchLine;
}

/** Text of JSON, or a frame of protobuf; all lines of one watch are of one sort. */
export type WatchLine = string | Uint8Array;

export interface WatchStreamOptions {
  /** Keys of interest start with this. */
  readonly keyPrefix: string;
  /** Whether the watcher may see it (selectors). `undefined`: all under the prefix. */
  readonly matches: ((object: StoredObject) => boolean) | undefined;
  /** What `matches` needs at least, so that it is not asked about everything. */
  readonly trigger: WatchTrigger | undefined;
  /** Go on after this revision; `undefined`: begin with an ADDED for everything there is. */
  readonly afterRevision: number | undefined;
  /** With `afterRevision` undefined: mark the end of the initial events by a bookmark. */
  readonly markInitialEventsEnd: boolean;
  /** Before the first read, wait (a bounded time) until the cache has this revision. */
  readonly atLeastRevision: number | undefined;
  /** Between two bookmarks; `undefined`: none. */
  readonly bookmarkPeriodMs: (() => number) | undefined;
  readonly timeoutMs: number;
}

export async function* watchStream(
  deps: { readonly cache: WatchCache; readonly clock: Clock; readonly encoder: WatchEncoder },
  options: WatchStreamOptions,
  signal: AbortSignal,
): AsyncGenerator<WatchLine> {
  if (options.atLeastRevision !== undefined) {
    await deps.cache.reaches(options.atLeastRevision, reachPatienceMs, signal);
  }
  const buffer = new WatchBuffer(deps.cache, deps.encoder, options);
  const scope = new TaskScope(signal);
  const onAbort = (): void => buffer.end();
  scope.signal.addEventListener('abort', onAbort, { once: true });
  scope.start((timerSignal) => runTimers(deps.clock, buffer, options, timerSignal));
  try {
    buffer.begin();
    for (;;) {
      const chunk = buffer.take();
      if (chunk !== undefined) yield chunk;
      else if (buffer.ended) return;
      else await buffer.wait();
    }
  } finally {
    buffer.end();
    await scope.close();
  }
}

const reachPatienceMs = 1_000;
/** The last bookmark comes this long before the end, so that who comes back has missed little. */
const lastBookmarkMs = 2_000;

/** Makes bookmarks fall due, and ends the stream when its time is up. */
async function runTimers(
  clock: Clock,
  buffer: WatchBuffer,
  options: WatchStreamOptions,
  signal: AbortSignal,
): Promise<void> {
  const endMonoMs = clock.monoMs() + options.timeoutMs;
  for (;;) {
    const leftMs = endMonoMs - clock.monoMs();
    if (leftMs <= 0) break;
    const isOver = options.bookmarkPeriodMs === undefined || leftMs <= lastBookmarkMs;
    const dueMs = isOver ? Number.POSITIVE_INFINITY : Math.min(options.bookmarkPeriodMs(), leftMs - lastBookmarkMs);
    await clock.sleep(Math.min(leftMs, dueMs), 'apiserver.watch.bookmarkOrEnd', signal);
    if (dueMs < leftMs) buffer.bookmark();
  }
  buffer.end();
}

class WatchBuffer implements CacheWatcher {
  readonly #cache: WatchCache;
  readonly #encoder: WatchEncoder;
  readonly #options: WatchStreamOptions;
  #lines: WatchLine[] = []; // not yet taken
  #initial: Iterator<WatchLine> | undefined; // lines of what existed at the start, made as they are read
  #wake: (() => void) | undefined;
  #ended = false;
  #unsubscribe: () => void = () => {};

  constructor(cache: WatchCache, encoder: WatchEncoder, options: WatchStreamOptions) {
    this.#cache = cache;
    this.#encoder = encoder;
    this.#options = options;
  }

  get ended(): boolean {
    return this.#ended;
  }

  begin(): void {
    if (this.#ended) return;
    const { afterRevision, trigger } = this.#options;
    this.#unsubscribe = this.#cache.subscribe(this, trigger);
    if (afterRevision === undefined) {
      this.#initial = this.#initialLines(this.#cache.items(this.#options.keyPrefix), this.#cache.revision);
      return;
    }
    const missed = this.#cache.eventsSince(afterRevision);
    if (missed !== undefined) {
      this.#initial = this.#missedLines(missed, afterRevision);
      return;
    }
    this.#lines.push(this.#encoder.error(tooOld(afterRevision, this.#cache.historyAfter)));
    this.end();
  }

  *#initialLines(objects: readonly StoredObject[], revision: number): Generator<WatchLine> {
    const { matches } = this.#options;
    for (const object of objects) {
      if (matches === undefined || matches(object)) yield this.#encoder.line('ADDED', object);
    }
    if (this.#options.markInitialEventsEnd) yield this.#encoder.bookmark(revision, true);
  }

  *#missedLines(events: readonly CacheEvent[], afterRevision: number): Generator<WatchLine> {
    for (const event of events) {
      const line = event.revision > afterRevision ? this.#line(event) : undefined;
      if (line !== undefined) yield line;
    }
  }

  onEvent(event: CacheEvent): void {
    const { afterRevision } = this.#options;
    if (afterRevision !== undefined && event.revision <= afterRevision) return;
    const line = this.#line(event);
    if (line === undefined) return;
    if (this.#lines.length >= watchBufferLinesMax) {
      this.end(); // too slow
      return;
    }
    this.#lines.push(line);
    this.#wakeUp();
  }

  onReset(): void {
    this.end();
  }

  #line(event: CacheEvent): WatchLine | undefined {
    const { keyPrefix, matches } = this.#options;
    const key = (event.current ?? event.previous)?.key ?? '';
    if (!key.startsWith(keyPrefix)) return undefined;
    const isSeen = event.current !== undefined && (matches === undefined || matches(event.current));
    const wasSeen = event.previous !== undefined && (matches === undefined || matches(event.previous));
    if (!isSeen && !wasSeen) return undefined;
    const type = isSeen ? (wasSeen ? 'MODIFIED' : 'ADDED') : 'DELETED';
    const { shareKey } = this.#encoder;
    const shared = shareKey === undefined ? undefined : event.lines.get(type + shareKey);
    if (shared !== undefined) return shared;
    const object = isSeen && event.current !== undefined ? event.current : event.gone();
    const line = this.#encoder.line(type, object);
    if (shareKey !== undefined) event.lines.set(type + shareKey, line);
    return line;
  }

  bookmark(): void {
    if (this.#initial !== undefined || this.#lines.length > 0) return; // what comes first says the revision too
    this.#lines.push(this.#encoder.bookmark(this.#cache.revision, false));
    this.#wakeUp();
  }

  end(): void {
    this.#unsubscribe();
    this.#ended = true;
    this.#wakeUp();
  }

  /** The next lines, `undefined` if there are none now. */
  take(): WatchLine | undefined {
    if (this.#initial !== undefined) {
      const chunk = takeChunk(this.#initial);
      if (chunk !== undefined) return chunk;
      this.#initial = undefined;
    }
    const lines = this.#lines;
    if (lines.length === 0) return undefined;
    this.#lines = [];
    return joinLines(lines);
  }

  /** Until there is something to take, or the end. */
  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}

function takeChunk(lines: Iterator<WatchLine>): WatchLine | undefined {
  const chunk: WatchLine[] = [];
  for (let length = 0; length < chunkLengthMax;) {
    const next = lines.next();
    if (next.done === true) break;
    chunk.push(next.value);
    length += next.value.length;
  }
  return chunk.length === 0 ? undefined : joinLines(chunk);
}

function joinLines(lines: readonly WatchLine[]): WatchLine {
  const [first] = lines;
  if (lines.length === 1 && first !== undefined) return first;
  if (typeof first === 'string') return lines.join('');
  const joined = new Uint8Array(lines.reduce((sum, line) => sum + line.length, 0));
  let at = 0;
  for (const line of lines) {
    if (typeof line === 'string') continue; // all lines are of one sort
    joined.set(line, at);
    at += line.length;
  }
  return joined;
}

/** `oldest`: the first revision that one can still go on after. */
function tooOld(revision: number, oldest: number): StatusError {
  return new StatusError('Expired', `too old resource version: ${revision} (${oldest})`);
}
