import type { Job, JobSpec, Pod } from '../../src/api/gen/types.ts';
import { resources } from '../../src/api/resources.ts';
import { startControlWorld } from './control-world.ts';
import type { ControlWorldOptions } from './control-world.ts';

const ref = { namespace: 'default', name: 'task' };

/** A world of controllers with one Job, `task`, whose pods end as `image` says. */
export async function startJobWorld(
  seed: string,
  image: string,
  spec: Partial<JobSpec> = {},
  { restartPolicy = 'Never', ...options }: ControlWorldOptions & { readonly restartPolicy?: string } = {},
) {
  const world = await startControlWorld(seed, options);
  const { client, never, clock } = world;
  const template = { spec: { restartPolicy, containers: [{ name: 'c', image }] } };
  const job = { metadata: { name: 'task' }, spec: { template, ...spec } };
  await client.create(resources.jobs, { namespace: 'default' }, job, never);
  await clock.advance(0);
  const get = (): Promise<Job> => client.get(resources.jobs, ref, never);
  return {
    ...world,
    ref,
    get,
    async patch(body: object): Promise<void> {
      await client.patch(resources.jobs, ref, { type: 'merge', body }, never);
      await clock.advance(0);
    },
    /** `TYPE=STATUS REASON: MESSAGE` of each condition. */
    async conditions(): Promise<readonly string[]> {
      const { conditions = [] } = (await get()).status ?? {};
      return conditions.map(
        ({ type, status, reason, message }) => `${type}=${status} ${reason ?? ''}: ${message ?? ''}`,
      );
    },
    /** Completion indexes of pods, as the annotation has them. */
    indexesOf: (pods: readonly Pod[]): readonly string[] =>
      pods.map(({ metadata }) => metadata?.annotations?.['batch.kubernetes.io/job-completion-index'] ?? '-').sort(),
  };
}
