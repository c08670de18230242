/** All probes of a kubelet: sections 2.1 and 2.4 to 2.6 of the behaviour sheet. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answers, httpGet, podIP, podUid, startBed } from '../../../test/support/probe-bed.ts';
import type { ContainerState } from '../../api/gen/types.ts';
import { type Labels, type Metrics, noMetrics } from '../../base/metrics.ts';
import { InvariantError } from '../../base/status-error.ts';

test('soon after the kubelet started, workers begin at random moments of their first period', async () => {
  const containers = Array.from({ length: 50 }, (_, index) => ({ name: `c${index}`, livenessProbe: { httpGet } }));
  const startTimes = async (kubeletUpMs: number): Promise<number[]> => {
    const bed = startBed({}, { kubeletUpMs, podSpec: { containers } });
    bed.network.listen(podIP, 8080, answers(200));
    for (const { name } of containers) bed.run(`sim://${name}`, name);
    bed.prober.addPod(bed.pod);
    await bed.clock.advance(20_001);
    const times = bed.attemptTimes();
    await bed.close();
    return times;
  };
  const spread = await startTimes(9_999);
  assert.equal(spread.length, 100, 'each twice in twenty seconds');
  const [first = 0, ...others] = spread;
  assert.ok(first > 0 && new Set([first, ...others]).size === 100);
  for (const [index, time] of spread.slice(0, 50).entries()) {
    assert.ok(time < 10 && Math.abs((spread[index + 50] ?? 0) - time - 10) < 1e-6, 'and then every period');
  }
  assert.deepEqual(new Set(await startTimes(10_000)), new Set([0, 10, 20]));
});

test('a hundred probes a second share their wake-ups, none is early, none is lost', async () => {
  const probe = { httpGet, periodSeconds: 1 };
  const containers = Array.from({ length: 100 }, (_, index) => ({ name: `c${index}`, livenessProbe: probe }));
  const bed = startBed({}, { kubeletUpMs: 0, podSpec: { containers } });
  bed.network.listen(podIP, 8080, answers(200));
  for (const { name } of containers) bed.run(`sim://${name}`, name);
  bed.prober.addPod(bed.pod);
  await bed.clock.advance(11_000);
  const times = new Map<string, number[]>();
  for (const { containerName, startedWallMs } of bed.attempts) {
    times.set(containerName, [...(times.get(containerName) ?? []), startedWallMs]);
  }
  const wakeUps = new Set(bed.attempts.filter((_, index) => index >= 100).map(({ startedWallMs }) => startedWallMs));
  assert.ok(wakeUps.size <= 101, `${wakeUps.size} wake-ups in the ten seconds after the first tick of each`);
  for (const [first = 0, ...others] of times.values()) {
    assert.ok(others.length >= 9);
    for (const [index, time] of others.entries()) {
      const lateMs = time - first - (index + 1) * 1_000;
      assert.ok(lateMs > -1 && lateMs <= 101, `${lateMs} ms late`);
    }
  }
  await bed.close();
});

test('when termination begins, liveness and startup end, readiness and sidecars go on', async () => {
  const probe = { httpGet, periodSeconds: 1 };
  const bed = startBed(
    {},
    {
      podSpec: {
        containers: [{ name: 'main', livenessProbe: probe, readinessProbe: probe, startupProbe: probe }],
        initContainers: [{ name: 'side', restartPolicy: 'Always', livenessProbe: probe }],
      },
    },
  );
  const stop = bed.network.listen(podIP, 8080, answers(200));
  bed.prober.addPod(bed.pod);
  bed.run('sim://a');
  bed.run('sim://s', 'side');
  await bed.clock.advance(10);
  bed.syncStatus();
  await bed.clock.advance(2_000);
  bed.syncStatus();
  assert.deepEqual([bed.prober.workerCount, bed.statusOf()?.ready], [4, true]);
  bed.prober.stopLivenessAndStartup(podUid);
  stop();
  bed.syncStatus();
  assert.equal(bed.statusOf()?.started, true, 'without a startup worker it counts as started');
  const before = bed.attempts.length;
  await bed.clock.advance(3_000);
  const after = bed.attempts.slice(before).map(({ containerName, probeType }) => `${containerName} ${probeType}`);
  assert.deepEqual(new Set(after), new Set(['main Readiness', 'side Liveness']));
  const refused = 'probe failed: Get "http://10.244.0.5:8080/": dial tcp 10.244.0.5:8080: connect: connection refused';
  assert.equal(bed.trace.filter((line) => line.includes(`event Warning Unhealthy Readiness ${refused}`)).length, 3);
  bed.exit(137);
  await bed.clock.advance(1_000);
  assert.equal(bed.prober.resultOf('Readiness', 'sim://a'), 'failure');
  bed.prober.removePod(podUid);
  assert.deepEqual([bed.prober.workerCount, bed.prober.resultOf('Readiness', 'sim://a')], [0, undefined]);
  await bed.clock.advance(5_000);
  assert.deepEqual(bed.clock.pendingNames(), []);
  await bed.close();
});

test('a pod that was deleted before its worker began is not killed by it', async () => {
  const bed = startBed({ livenessProbe: { httpGet } }, { deletionTimestamp: '2026-01-02T03:04:00Z' });
  bed.prober.addPod(bed.pod);
  bed.run('sim://a');
  await bed.clock.advance(60_000);
  assert.deepEqual(bed.trace, ['0.000 Liveness of sim://a is success']);
  assert.equal(bed.prober.workerCount, 0);
  await bed.close();
});

test('a container that will not be restarted, and a pod that is over, need no probing', async () => {
  const probe = { httpGet };
  const never = startBed(
    {},
    { podSpec: { containers: [{ name: 'main', readinessProbe: probe }], restartPolicy: 'Never' } },
  );
  never.prober.addPod(never.pod);
  never.run('sim://a');
  never.exit(0);
  await never.clock.advance(0);
  assert.deepEqual([never.trace, never.prober.workerCount], [['0.000 Readiness of sim://a is failure'], 0]);
  await never.close();
  const over = startBed({ readinessProbe: probe });
  over.prober.addPod(over.pod);
  over.setPhase('Failed');
  await over.clock.advance(0);
  assert.equal(over.prober.workerCount, 0);
  await over.close();
});

test('what comes of an attempt is dropped once its worker was stopped', async () => {
  const bed = startBed({ livenessProbe: { httpGet, failureThreshold: 1 } });
  bed.network.listen(podIP, 8080, { http: () => ({ kind: 'silence' }) });
  bed.prober.addPod(bed.pod);
  bed.run('sim://a');
  await bed.clock.advance(500);
  bed.prober.stopLivenessAndStartup(podUid);
  await bed.clock.advance(10_000);
  assert.deepEqual(bed.trace, ['0.000 Liveness of sim://a is success']);
  assert.equal(bed.prober.resultOf('Liveness', 'sim://a'), undefined);
  await bed.close();
});

test('a pod that is added again keeps its workers; clean-up ends those of pods that are gone', async () => {
  const bed = startBed({ livenessProbe: { httpGet }, readinessProbe: { httpGet } });
  bed.prober.addPod(bed.pod);
  bed.prober.addPod(bed.pod);
  assert.equal(bed.prober.workerCount, 2);
  bed.prober.cleanUp(new Set([podUid]));
  assert.equal(bed.prober.workerCount, 2);
  bed.prober.cleanUp(new Set());
  assert.equal(bed.prober.workerCount, 0);
  bed.prober.removePod('nosuch');
  bed.prober.addPod(bed.pod);
  assert.equal(bed.prober.workerCount, 2, 'and it may come back');
  await bed.close();
});

test('the bound on attempts in flight is kept, and who waits is served in order', async () => {
  const containers = Array.from({ length: 10 }, (_, index) => ({ name: `c${index}`, livenessProbe: { httpGet } }));
  const bed = startBed({}, { podSpec: { containers }, attemptsInFlightMax: 3 });
  let open = 0;
  let openMax = 0;
  bed.network.listen(podIP, 8080, {
    http: () => {
      openMax = Math.max(openMax, ++open);
      return { kind: 'response', status: 200, afterMs: 99 };
    },
  });
  bed.prober.addPod(bed.pod);
  for (const { name } of containers) bed.run(`sim://${name}`, name);
  const seen: string[] = [];
  for (let round = 0; round < 4; round++) {
    await bed.clock.advance(100);
    open = 0;
    seen.push(bed.attempts.map(({ containerName }) => containerName).join(' '));
  }
  assert.deepEqual(seen, [
    'c0 c1 c2',
    'c0 c1 c2 c3 c4 c5',
    'c0 c1 c2 c3 c4 c5 c6 c7 c8',
    containers.map((c) => c.name).join(' '),
  ]);
  assert.equal(openMax, 3);
  await bed.close();
});

test('a worker that waits for its turn can be stopped', async () => {
  const containers = Array.from({ length: 2 }, (_, index) => ({ name: `c${index}`, livenessProbe: { httpGet } }));
  const bed = startBed({}, { podSpec: { containers }, attemptsInFlightMax: 1 });
  bed.network.listen(podIP, 8080, { http: () => ({ kind: 'silence' }) });
  bed.prober.addPod(bed.pod);
  for (const { name } of containers) bed.run(`sim://${name}`, name);
  await bed.clock.advance(10);
  bed.prober.removePod(podUid);
  await bed.clock.advance(5_000);
  assert.equal(bed.attempts.length, 0);
  await bed.close();
});

test('successes and failures are counted, durations of successes only, and series end with their worker', async () => {
  const series = new Map<string, number[]>();
  const key = (name: string, labels: Labels): string => `${name} ${JSON.stringify(labels)}`;
  const remove = (name: string) => (labels: Labels) => void series.delete(key(name, labels));
  const metrics: Metrics = {
    ...noMetrics,
    counter: ({ name }) => ({
      inc: (labels, by = 1) => void series.set(key(name, labels), [(series.get(key(name, labels))?.[0] ?? 0) + by]),
      remove: remove(name),
    }),
    histogram: ({ name }) => ({
      observe: (labels, value) => void series.set(key(name, labels), [...(series.get(key(name, labels)) ?? []), value]),
      remove: remove(name),
    }),
  };
  const bed = startBed({ livenessProbe: { httpGet, periodSeconds: 1, failureThreshold: 9 } }, { metrics });
  bed.network.listen(podIP, 8080, answers(200, 200, 500));
  bed.prober.addPod(bed.pod);
  bed.run('sim://a');
  await bed.clock.advance(2_500);
  const labels = { probe_type: 'Liveness', container: 'main', pod: 'kubia', namespace: 'default' };
  assert.deepEqual(Object.fromEntries(series), {
    [key('prober_probe_total', { ...labels, result: 'successful', pod_uid: podUid })]: [2],
    [key('prober_probe_total', { ...labels, result: 'failed', pod_uid: podUid })]: [1],
    [key('prober_probe_duration_seconds', labels)]: [0.001, 0.001],
  });
  bed.prober.removePod(podUid);
  assert.equal(series.size, 0);
  await bed.close();
});

test('the flags of a status follow state, results and workers', async () => {
  const bed = startBed({ readinessProbe: { httpGet }, startupProbe: { httpGet } });
  const runs = { running: { startedAt: '2026-01-02T03:04:05Z' } };
  const flags = (state: ContainerState, kind: 'regular' | 'init' | 'sidecar', name = 'main') =>
    bed.prober.flagsOf(bed.pod, { name, containerID: 'sim://a', state }, kind);
  assert.deepEqual(flags({ waiting: {} }, 'regular'), { started: false, ready: false });
  assert.deepEqual(flags(runs, 'regular'), { started: true, ready: true }, 'no worker yet, no probe');
  assert.deepEqual(flags(runs, 'init'), { started: true, ready: false });
  assert.deepEqual(flags({ terminated: { exitCode: 0 } }, 'init'), { started: false, ready: true });
  assert.deepEqual(flags({ terminated: { exitCode: 1 } }, 'init'), { started: false, ready: false });
  assert.deepEqual(flags({ terminated: { exitCode: 0 } }, 'sidecar'), { started: false, ready: false });
  bed.prober.addPod(bed.pod);
  assert.deepEqual(flags(runs, 'regular'), { started: false, ready: false });
  assert.deepEqual(flags(runs, 'sidecar', 'other'), { started: true, ready: true });
  await bed.close();
});

test('closing ends attempts that are under way, and a bug is not swallowed', async () => {
  const bed = startBed({ livenessProbe: { httpGet } });
  bed.network.listen(podIP, 8080, { http: () => ({ kind: 'silence' }) });
  bed.prober.addPod(bed.pod);
  bed.run('sim://a');
  await bed.clock.advance(10);
  await bed.close();
  const broken = startBed(
    { livenessProbe: { exec: { command: ['a'] } } },
    {
      exec: () => Promise.reject(new InvariantError('the runtime lost its mind')),
    },
  );
  broken.prober.addPod(broken.pod);
  broken.run('sim://a');
  await broken.clock.advance(10);
  await assert.rejects(broken.prober.close(), InvariantError);
});
