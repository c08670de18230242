import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConfigMap } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import type { Entropy } from '../base/entropy.ts';
import type { HttpHandler, HttpResponse } from '../base/http.ts';
import { noLog } from '../base/log.ts';
import { StatusError, hasReason } from '../base/status-error.ts';
import { statusOf } from '../api/status.ts';
import { startApiWorld } from '../../test/support/api-world.ts';
import { inProcessClient } from './in-process-client.ts';
import { ListWatchInformer } from './list-watch-informer.ts';

const never = new AbortController().signal;

function failure(reason: 'ServiceUnavailable' | 'Expired'): HttpResponse {
  const error = new StatusError(reason, 'scripted');
  return { status: error.httpCode, headers: {}, body: JSON.stringify(statusOf(error)) };
}

/** Some pieces of the body, split anywhere; then it ends as if nothing more had happened, or breaks. */
async function* cut(body: HttpResponse['body'], entropy: Entropy): AsyncIterable<string> {
  assert(typeof body !== 'string' && !(body instanceof Uint8Array));
  let piecesLeft = Math.floor(entropy.unit() * 12);
  for await (const piece of body) {
    assert(typeof piece === 'string');
    const middle = Math.floor(entropy.unit() * piece.length);
    yield piece.slice(0, middle);
    if (piecesLeft-- === 0) {
      if (entropy.unit() < 0.5) throw new StatusError('ServiceUnavailable', 'the connection broke');
      yield piece.slice(middle);
      return;
    }
    yield piece.slice(middle);
  }
}

/** The server behind a bad connection. */
function lossy(handle: HttpHandler, entropy: Entropy, faults: { on: boolean }): HttpHandler {
  return async (request, signal) => {
    const draw = faults.on ? entropy.unit() : 1;
    if (draw < 0.2) return failure('ServiceUnavailable');
    const isWatch = request.query.get('watch') === 'true';
    if (isWatch && draw < 0.35) return failure('Expired');
    const response = await handle(request, signal);
    return isWatch && faults.on ? { ...response, body: cut(response.body, entropy) } : response;
  };
}

test('whatever is lost on the way, objects only go forward, and at rest the cache has what the server has', async () => {
  for (let seed = 0; seed < 20; seed++) {
    const world = await startApiWorld(`informer-${seed}`);
    const { clock, client, scope } = world;
    const entropy = world.entropy.fork('test');
    const faults = { on: true };
    const handle = lossy(world.server.handle, entropy.fork('faults'), faults);
    const informer = new ListWatchInformer<ConfigMap>({
      client: inProcessClient({ handle, user: { name: 'tester', groups: ['system:masters'] } }),
      type: resources.configmaps,
      namespace: 'default',
      clock,
      entropy: entropy.fork('informer'),
      log: noLog,
    });
    const seen = new Map<string, ConfigMap>();
    informer.onChange(({ previous, current }) => {
      const name = (current ?? previous)?.metadata?.name ?? '';
      assert.equal(seen.get(name), previous);
      if (current === undefined) seen.delete(name);
      else seen.set(name, current);
      const [from, to] = [previous, current].map((object) => Number(object?.metadata?.resourceVersion));
      if (current !== undefined && previous !== undefined) assert(Number(from) < Number(to), `${from} then ${to}`);
    });
    scope.start((signal) => informer.run(signal));
    for (let step = 0; step < 60; step++) {
      const ref = { namespace: 'default', name: `c${Math.floor(entropy.unit() * 6)}` };
      const draw = entropy.unit();
      try {
        if (draw < 0.4) await client.create(resources.configmaps, ref, { metadata: { name: ref.name } }, never);
        else if (draw < 0.7) await client.delete(resources.configmaps, ref, {}, never);
        else
          await client.patch(resources.configmaps, ref, { type: 'merge', body: { data: { step: `${step}` } } }, never);
      } catch (error) {
        if (!hasReason(error, 'AlreadyExists', 'NotFound')) throw error;
      }
      await clock.advance(Math.floor(entropy.unit() * 2_000));
    }
    faults.on = false;
    await clock.advance(120_000);
    const { items } = await client.list(resources.configmaps, { namespace: 'default' }, never);
    const text = (objects: readonly ConfigMap[]): string[] =>
      objects.map(({ metadata, data }) => JSON.stringify([metadata, data])).sort();
    assert.deepEqual(text(informer.list()), text(items), `seed ${seed}`);
    await world.close();
  }
});
