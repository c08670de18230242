import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, PodStatus } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import type { HttpHandler } from '../base/http.ts';
import { noLog } from '../base/log.ts';
import { StatusError } from '../base/status-error.ts';
import { inProcessClient } from '../client/in-process-client.ts';
import { StatusWriter } from './status-writer.ts';
import { startApiWorld } from '../../test/support/api-world.ts';

const never = new AbortController().signal;
const ref = { namespace: 'default', name: 'p' };

function statusWith(ready: boolean): PodStatus {
  return {
    phase: 'Running',
    qosClass: 'BestEffort',
    conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
    containerStatuses: [{ name: 'c', image: '', imageID: '', ready, restartCount: 0, state: {}, lastState: {} }],
  };
}

test('when nobody knows whether a write was done, the next one begins by asking', async () => {
  const world = await startApiWorld('uncertain');
  let losesAnswers = false;
  const handle: HttpHandler = async (request, signal) => {
    const response = await world.server.handle(request, signal);
    if (losesAnswers) throw new StatusError('ServiceUnavailable', 'answer lost');
    return response;
  };
  const client = inProcessClient({ handle, user: { name: 'kubelet', groups: ['system:masters'] } });
  const made: Pod = { metadata: { name: 'p' }, spec: { containers: [{ name: 'c', image: 'i' }] } };
  const pod = await world.client.create(resources.pods, { namespace: 'default' }, made, never);
  // What the informer has stays behind: it still shows the pod as it was made.
  const writer = new StatusWriter({ client, clock: world.clock, log: noLog, podOf: () => pod });
  world.scope.start((signal) => writer.run(signal));
  writer.set(pod, statusWith(true));
  await world.clock.advance(1_000);
  losesAnswers = true;
  writer.set(pod, statusWith(false));
  await world.clock.advance(1_000);
  losesAnswers = false;
  writer.set(pod, statusWith(true));
  await world.clock.advance(1_000);
  const { status } = await world.client.get(resources.pods, ref, never);
  assert.deepEqual([status?.conditions?.[0]?.status, status?.containerStatuses?.[0]?.ready], ['True', true]);
  await world.close();
});
