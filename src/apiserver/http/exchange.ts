/** What both HTTP versions share. */
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import type { HttpResponse } from '../../base/http.ts';
import type { Log } from '../../base/log.ts';
import { InvariantError, StatusError } from '../../base/status-error.ts';

export const emptyBody = new Uint8Array(0);

export function bodyTooLarge(bytesMax: number): StatusError {
  return new StatusError('RequestEntityTooLarge', `Request entity too large: limit is ${bytesMax}`);
}

export function splitUrl(url: string): { readonly path: string; readonly search: string } {
  const mark = url.indexOf('?');
  const whole = mark < 0 ? url : url.slice(0, mark);
  const search = mark < 0 ? '' : url.slice(mark + 1);
  if (whole.startsWith('/')) return { path: whole, search };
  // The absolute form of a request to a proxy: only the path counts.
  const path = whole.replace(/^[a-z]+:\/\/[^/]*/i, '');
  return { path: path === '' ? '/' : path, search };
}

const noQuery = new URLSearchParams(); // handlers only read it

export function queryOf(search: string): URLSearchParams {
  return search === '' ? noQuery : new URLSearchParams(search);
}

/** Writes the pieces of a stream as fast as the client reads them, and gives up on a client that does not read. */
export async function writePieces(
  target: Writable,
  body: AsyncIterable<string | Uint8Array>,
  writeTimeoutMs: number,
): Promise<void> {
  for await (const piece of body) {
    if (target.destroyed) return;
    if (!target.write(piece)) await drained(target, writeTimeoutMs);
  }
  target.end();
}

/** Until what was written has gone out, or the connection is closed. */
async function drained(target: Writable, writeTimeoutMs: number): Promise<void> {
  const stop = new AbortController();
  const { signal } = stop;
  const timer = setTimeout(() => target.destroy(), writeTimeoutMs);
  try {
    await Promise.race([once(target, 'drain', { signal }), once(target, 'close', { signal })]);
  } catch {
    // It broke: whoever writes next sees that it is destroyed.
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

const quickWriteBytes = 64 * 1_024; // fits into the buffers of a socket that is read at all

/** Ends the answer with `body`; a client that does not read a long one is given up. */
export function endWith(target: Writable, body: string | Uint8Array, writeTimeoutMs: number): void {
  target.end(body);
  if (body.length < quickWriteBytes) return;
  const timer = setTimeout(() => target.destroy(), writeTimeoutMs);
  target.once('close', () => clearTimeout(timer));
}

/** Ends a stream that nobody will read. */
export async function discard(body: HttpResponse['body']): Promise<void> {
  if (typeof body === 'string' || body instanceof Uint8Array) return;
  await body[Symbol.asyncIterator]().return?.();
}

/** Handlers do not throw for what a client did, so it is a bug of ours; one that spoilt shared state is thrown on. */
export function exchangeFailed(deps: { readonly log: Log }, error: unknown): void {
  if (error instanceof InvariantError) throw error;
  deps.log.error('exchangeFailed', { error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
}
