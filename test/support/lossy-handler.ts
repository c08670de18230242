import type { HttpHandler, HttpResponse } from '../../src/base/http.ts';
import { StatusError } from '../../src/base/status-error.ts';
import type { Clock } from '../../src/base/clock.ts';
import type { Faults } from '../../src/sim/faults.ts';

const slowMs = 3_000;

/**
 * The way from a client to the API server, on which requests and answers get lost, double or dawdle, and watches break
 * off. The server does what a request says also when its answer is lost.
 */
export function lossyHandler(name: string, handle: HttpHandler, faults: Faults, clock: Clock): HttpHandler {
  const lost = (what: string): StatusError =>
    new StatusError('ServiceUnavailable', `${what} lost on the way to ${name}`);
  return async (request, signal) => {
    if (faults.hit(`api.${name}.lostRequest`)) throw lost('request');
    if (request.query.get('watch') === 'true' && faults.hit(`api.${name}.expired`)) {
      throw new StatusError('Expired', 'too old resource version'); // what the watch would go on from was compacted
    }
    if (faults.hit(`api.${name}.slow`)) await clock.sleep(slowMs, `api.${name}.slow`, signal);
    // Somebody on the way sent it twice; the client gets the second answer.
    if (isWrite(request.method) && faults.hit(`api.${name}.duplicated`)) await handle(request, signal);
    const response = await handle(request, signal);
    if (faults.hit(`api.${name}.lostReply`)) throw lost('answer');
    return breakable(response, () => faults.hit(`api.${name}.watchBreaks`));
  };
}

function isWrite(method: string): boolean {
  return method !== 'GET';
}

function breakable(response: HttpResponse, breaks: () => boolean): HttpResponse {
  const { body } = response;
  if (typeof body === 'string' || body instanceof Uint8Array) return response;
  async function* pieces(stream: AsyncIterable<string | Uint8Array>): AsyncIterable<string | Uint8Array> {
    for await (const piece of stream) {
      if (breaks()) return;
      yield piece;
    }
  }
  return { ...response, body: pieces(body) };
}
