import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PodSpec } from '../api/gen/types.ts';
import { StatusError } from '../base/status-error.ts';
import type { CgroupLimits, Cgroups } from './cgroups.ts';
import { podLimits } from './pod-cgroups.ts';
import { qosClassOf } from '../api/qos.ts';
import { containerOf, startKubeletWorld } from '../../test/support/kubelet-world.ts';

/** Control groups in memory. */
class SimCgroups implements Cgroups {
  readonly groups = new Map<string, CgroupLimits>();
  failure: string | undefined;

  async apply(path: string, limits: CgroupLimits): Promise<void> {
    if (this.failure !== undefined) throw new StatusError('InternalError', this.failure);
    this.groups.set(path, { ...this.groups.get(path), ...limits });
  }

  async remove(path: string): Promise<void> {
    for (const name of this.groups.keys()) if (`${name}/`.startsWith(`${path}/`)) this.groups.delete(name);
  }

  async list(path: string): Promise<readonly string[]> {
    const names = [...this.groups.keys()].filter((name) => name.startsWith(`${path}/`));
    return [...new Set(names.map((name) => name.slice(path.length + 1).split('/')[0] ?? ''))];
  }
}

const withResources = (name: string, resources: object) => ({ ...containerOf(name, 'run'), resources });
const guaranteed: Partial<PodSpec> = {
  containers: [withResources('c', { limits: { cpu: '500m', memory: '64Mi' } })],
};
const burstable: Partial<PodSpec> = {
  containers: [withResources('a', { requests: { cpu: '250m' }, limits: { memory: '1Gi' } }), containerOf('b', 'run')],
};

test('a pod gets a control group by its quality of service, told to the runtime and removed with the pod', async () => {
  const cgroups = new SimCgroups();
  const world = await startKubeletWorld('cgroups', { cgroups });
  const parents: Record<string, unknown> = {};
  const { runtime } = world.noted;
  const { runPodSandbox } = runtime;
  runtime.runPodSandbox = (config, signal) => {
    parents[config.metadata.name] = config.cgroupParent;
    return runPodSandbox(config, signal);
  };
  const uids: Record<string, string | undefined> = {};
  for (const [name, spec] of Object.entries({ guaranteed, burstable, besteffort: {} })) {
    uids[name] = (await world.create(name, spec)).metadata?.uid;
  }
  await world.clock.advance(1_000);
  const own = `/kubepods/pod${uids['guaranteed']}`;
  const shared = `/kubepods/burstable/pod${uids['burstable']}`;
  const rest = `/kubepods/besteffort/pod${uids['besteffort']}`;
  assert.deepEqual(parents, { guaranteed: own, burstable: shared, besteffort: rest });
  assert.deepEqual(Object.fromEntries(cgroups.groups), {
    '/kubepods': { cpuShares: 2_048, memoryLimitBytes: 4 * 1_024 ** 3 },
    '/kubepods/besteffort': { cpuShares: 2 },
    '/kubepods/burstable': { cpuShares: 256 },
    [own]: { cpuShares: 512, cpuQuotaMicros: 50_000, cpuPeriodMicros: 100_000, memoryLimitBytes: 64 * 1_024 ** 2 },
    [shared]: { cpuShares: 256 },
    [rest]: { cpuShares: 2 },
  });
  await world.delete('burstable');
  await world.clock.advance(1_000);
  assert.equal(cgroups.groups.has(shared), false);
  assert.deepEqual(cgroups.groups.get('/kubepods/burstable'), { cpuShares: 2 });
  await cgroups.apply('/kubepods/burstable/podgone', {});
  await world.restartKubelet();
  await world.clock.advance(11_000);
  assert.deepEqual(await cgroups.list('/kubepods/burstable'), [], 'what an earlier kubelet left is removed');
  assert.ok(cgroups.groups.has(own), 'of pods that live on it stays');
  await world.close();
});

test('a pod whose group cannot be made says so, and is tried again', async () => {
  const cgroups = new SimCgroups();
  cgroups.failure = 'no space left on device';
  const world = await startKubeletWorld('no-cgroup', { cgroups });
  await world.create('p');
  await world.clock.advance(1_000);
  assert.deepEqual(await world.events('p'), [
    'Warning FailedCreatePodContainer x1 unable to ensure pod container exists: no space left on device',
  ]);
  cgroups.failure = undefined;
  await world.clock.advance(16_000);
  assert.equal(await world.row('p'), '1/1 Running 0');
  await world.close();
});

test('the limits of a pod count where all of its containers have one, or the pod itself', () => {
  const limitsOf = (spec: PodSpec) => podLimits({ spec }, qosClassOf(spec));
  const limited = { limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '100m', memory: '1Gi' } };
  assert.deepEqual(limitsOf({ containers: [withResources('a', limited), withResources('b', limited)] }), {
    cpuShares: 204,
    cpuQuotaMicros: 200_000,
    cpuPeriodMicros: 100_000,
    memoryLimitBytes: 2 * 1_024 ** 3,
  });
  assert.deepEqual(limitsOf({ containers: [withResources('a', limited), containerOf('b', 'run')] }), {
    cpuShares: 102,
  });
  const ofPod = {
    resources: { limits: { memory: '128Mi' }, requests: { cpu: '2' } },
    containers: [containerOf('a', 'run')],
  };
  assert.deepEqual(limitsOf(ofPod), { cpuShares: 2_048, memoryLimitBytes: 128 * 1_024 ** 2 });
});
