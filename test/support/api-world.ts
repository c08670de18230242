import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import type { Node, Pod } from '../../src/api/gen/types.ts';
import { resources } from '../../src/api/resources.ts';
import { ApiServer } from '../../src/apiserver/api-server.ts';
import type { Log } from '../../src/base/log.ts';
import { noLog } from '../../src/base/log.ts';
import { noMetrics } from '../../src/base/metrics.ts';
import { StatusError } from '../../src/base/status-error.ts';
import { TaskScope } from '../../src/base/task-scope.ts';
import type { ApiClient } from '../../src/client/api-client.ts';
import { inProcessClient } from '../../src/client/in-process-client.ts';
import { ListWatchInformer } from '../../src/client/list-watch-informer.ts';
import { applyJsonPatch } from '../../src/host/json-patch.ts';
import { SeededEntropy } from '../../src/sim/seeded-entropy.ts';
import { SimTokenIssuer } from '../../src/sim/sim-token-issuer.ts';
import { VirtualClock } from '../../src/sim/virtual-clock.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';

setMaxListeners(0); // one signal ends everything here, so many listen to it
const never = new AbortController().signal;

/**
 * The real API server over the memory store in virtual time, for tests of what lives on it. Objects cross as text, as
 * in production. Advance the clock to let anything happen; `close` fails if a timer is left.
 */
export async function startApiWorld(seed: string, log: Log = noLog) {
  const clock = new VirtualClock({ epochMs: Date.UTC(2026, 0, 1) });
  const entropy = new SeededEntropy(seed);
  const server = new ApiServer({
    store: new MemoryStore(),
    clock,
    entropy: entropy.fork('apiserver'),
    log,
    metrics: noMetrics,
    nodes: () => Promise.reject(new StatusError('ServiceUnavailable', 'no node servers here')),
    jsonPatch: applyJsonPatch,
    tokens: new SimTokenIssuer(seed),
  });
  const scope = new TaskScope();
  scope.start((signal) => server.run(signal));
  const isReady = server.ready(never);
  await clock.advance(0);
  await isReady;
  const clientOf = (name: string): ApiClient =>
    inProcessClient({ handle: server.handle, user: { name, groups: ['system:masters'] } });
  const client = clientOf('kubernetes-admin');
  const deps = { client, clock, log };
  return {
    clock,
    entropy,
    scope,
    server,
    client,
    clientOf,
    log,
    pods: new ListWatchInformer<Pod>({ ...deps, type: resources.pods, entropy: entropy.fork('pods') }),
    nodes: new ListWatchInformer<Node>({ ...deps, type: resources.nodes, entropy: entropy.fork('nodes') }),
    async close(): Promise<void> {
      await scope.close();
      await clock.advance(0);
      assert.deepEqual(clock.pendingNames(), []);
    },
  };
}
