import { setMaxListeners } from 'node:events';
import type { Pod } from '../../src/api/gen/types.ts';
import { resources } from '../../src/api/resources.ts';
import { formatTime } from '../../src/api/time.ts';
import type { ApiClient } from '../../src/client/api-client.ts';
import type { Clock } from '../../src/base/clock.ts';
import { hasReason } from '../../src/base/status-error.ts';
import { TaskScope } from '../../src/base/task-scope.ts';
import { targetNodeOf } from '../../src/controllers/daemon-set/daemon-pods.ts';
import { SharedInformers } from '../../src/controllers/shared-informers.ts';
import { startWorkloads } from '../../src/controllers/workloads.ts';
import { startApiWorld } from './api-world.ts';

setMaxListeners(0); // one signal ends everything here, so many listen to it
const never = new AbortController().signal;

export interface ControlWorldOptions {
  /** The server as the controllers see it. */
  readonly through?: (client: ApiClient, clock: Clock) => ApiClient;
}

/**
 * The real API server with the controllers of workloads in virtual time, and in place of scheduler and kubelet `runPods`: what a
 * pod becomes is decided by the image of its first container.
 */
export async function startControlWorld(seed: string, options: ControlWorldOptions = {}) {
  const world = await startApiWorld(seed);
  const { clock, client, log } = world;
  const startAll = async (): Promise<TaskScope> => {
    const scope = new TaskScope(world.scope.signal);
    const plain = world.clientOf('system:kube-controller-manager');
    const deps = {
      client: options.through?.(plain, clock) ?? plain,
      clock,
      entropy: world.entropy.fork('controllers'),
      log,
    };
    const shared = new SharedInformers(deps);
    startWorkloads(scope, { ...deps, pods: shared.of(resources.pods), shared });
    shared.run(scope);
    await clock.advance(0);
    return scope;
  };
  let controllers = await startAll();

  const pods = async (): Promise<readonly Pod[]> =>
    (await client.list<Pod>(resources.pods, { namespace: 'default' }, never)).items;

  /** One step of every pod: bound, then running as its image says, or gone. */
  const runPods = async (): Promise<void> => {
    for (const pod of await pods()) {
      try {
        await runPod(pod);
      } catch (error) {
        if (!hasReason(error, 'NotFound', 'Conflict')) throw error; // a controller was faster
      }
    }
    await clock.advance(0);
  };

  const runPod = async (pod: Pod): Promise<void> => {
    const ref = { namespace: 'default', name: pod.metadata?.name ?? '' };
    if (pod.metadata?.deletionTimestamp !== undefined) {
      await client.delete(resources.pods, ref, { gracePeriodSeconds: 0 }, never);
      return;
    }
    if (pod.spec?.nodeName === undefined) {
      const binding = { metadata: { name: ref.name }, target: { kind: 'Node', name: targetNodeOf(pod) ?? 'n1' } };
      await client.create(resources.pods, { ...ref, subresource: 'binding' }, binding, never);
    }
    if ((pod.status?.phase ?? 'Pending') !== 'Pending') return;
    await setStatus(ref.name, statusOf(outcomeOf(pod), formatTime(clock.wallMs())));
  };

  const setStatus = async (name: string, status: object): Promise<void> => {
    const ref = { namespace: 'default', name, subresource: 'status' };
    await client.patch(resources.pods, ref, { type: 'merge', body: { status } }, never);
  };

  return {
    ...world,
    never,
    livePods: async () => (await pods()).filter(({ metadata }) => metadata?.deletionTimestamp === undefined),
    pods,
    runPods,
    setStatus,
    /** Lets `seconds` pass, with a step of every pod in each of them. */
    async live(seconds: number): Promise<void> {
      for (let second = 0; second < seconds; second++) {
        await runPods();
        await clock.advance(1_000);
      }
    },
    async restartControllers(): Promise<void> {
      const closing = controllers.close();
      await clock.advance(0);
      await closing;
      controllers = await startAll();
    },
    /** `REASON MESSAGE xCOUNT` of each event about the object, in order of creation. */
    async eventsOf(name: string): Promise<readonly string[]> {
      const { items } = await client.list(resources.events, { namespace: 'default' }, never);
      return items
        .filter((event) => event.involvedObject.name === name)
        .sort((a, b) => Number(a.metadata.resourceVersion) - Number(b.metadata.resourceVersion))
        .map((event) => `${event.reason ?? ''} ${event.message ?? ''}`);
    },
  };
}

/** Its image, where that says `A/B` one of the two: by whether its completion index is even. */
function outcomeOf(pod: Pod): string {
  const image = pod.spec?.containers[0]?.image ?? '';
  const [even = image, odd = even] = image.split('/');
  const index = pod.metadata?.annotations?.['batch.kubernetes.io/job-completion-index'];
  return Number(index ?? 0) % 2 === 0 ? even : odd;
}

function statusOf(image: string, now: string): object {
  const ready = (status: string): object => ({ type: 'Ready', status, lastTransitionTime: now });
  switch (image) {
    case 'never-ready':
      return { phase: 'Running', conditions: [ready('False')] };
    case 'fails':
      return { phase: 'Failed', conditions: [ready('False')] };
    case 'succeeds':
      return { phase: 'Succeeded', conditions: [ready('False')] };
    default:
      return { phase: 'Running', conditions: [ready('True')] };
  }
}
