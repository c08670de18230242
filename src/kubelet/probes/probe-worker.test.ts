/** What one probe does over time: section 2.2 of the behaviour sheet as scenarios, and the events of section 1.6. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answers, httpGet, podIP, podUid, startBed } from '../../../test/support/probe-bed.ts';
import { StatusError } from '../../base/status-error.ts';
import { ExecTimeoutError } from '../../cri/runtime.ts';
import { kubiaUnhealthyServer } from '../../sim/sim-network.ts';

test('a sick app is found sick at the third failure in a row, and its successor is probed on the old ticks', async () => {
  const bed = startBed({ livenessProbe: { httpGet, periodSeconds: 10, failureThreshold: 3 } });
  await bed.clock.advance(400);
  bed.prober.addPod(bed.pod); // anchors the ticks at 0.4
  await bed.clock.advance(1_300);
  const stop = bed.network.listen(podIP, 8080, kubiaUnhealthyServer());
  bed.run('sim://a');
  await bed.clock.advance(90_000);
  assert.deepEqual(bed.trace, [
    '10.400 Liveness of sim://a is success',
    '60.401 event Warning Unhealthy Liveness probe failed: HTTP probe failed with statuscode: 500',
    '70.401 event Warning Unhealthy Liveness probe failed: HTTP probe failed with statuscode: 500',
    '80.401 event Warning Unhealthy Liveness probe failed: HTTP probe failed with statuscode: 500',
    '80.401 Liveness of sim://a is failure',
  ]);
  assert.equal(bed.attempts.length, 8, 'on hold once the verdict is final');
  stop();
  bed.network.listen(podIP, 8080, kubiaUnhealthyServer());
  bed.run('sim://b');
  await bed.clock.advance(10_000);
  assert.deepEqual(bed.trace.slice(5), ['100.400 Liveness of sim://b is success']);
  assert.deepEqual(bed.attemptTimes().slice(8), [100.4]);
  assert.equal(bed.prober.resultOf('Liveness', 'sim://a'), undefined);
  assert.equal(bed.prober.resultOf('Liveness', 'sim://b'), 'success');
  await bed.close();
});

test('the first attempt is at the first tick at which the container has whole seconds of age enough', async () => {
  const bed = startBed({ livenessProbe: { httpGet, initialDelaySeconds: 15 } });
  bed.network.listen(podIP, 8080, answers(200));
  await bed.clock.advance(700);
  bed.prober.addPod(bed.pod);
  await bed.clock.advance(600);
  bed.run('sim://a'); // at 1.3 s: the status says 1 s
  await bed.clock.advance(40_000);
  assert.deepEqual(bed.attemptTimes(), [20.7, 30.7, 40.7]);
  await bed.close();
});

test('two failures before a crash count for the successor', async () => {
  const bed = startBed({ livenessProbe: { httpGet, periodSeconds: 10 } });
  bed.network.listen(podIP, 8080, answers(500));
  bed.prober.addPod(bed.pod);
  bed.run('sim://a');
  await bed.clock.advance(15_000); // fails at 0 and at 10
  bed.exit(1);
  bed.run('sim://b');
  await bed.clock.advance(5_100);
  assert.deepEqual(bed.trace, [
    '0.000 Liveness of sim://a is success',
    '0.001 event Warning Unhealthy Liveness probe failed: HTTP probe failed with statuscode: 500',
    '10.001 event Warning Unhealthy Liveness probe failed: HTTP probe failed with statuscode: 500',
    '20.000 Liveness of sim://b is success',
    '20.001 event Warning Unhealthy Liveness probe failed: HTTP probe failed with statuscode: 500',
    '20.001 Liveness of sim://b is failure',
  ]);
  assert.deepEqual(
    bed.attempts.map(({ consecutive, threshold }) => [consecutive, threshold]),
    [
      [1, 3],
      [2, 3],
      [3, 3],
    ],
  );
  await bed.close();
});

test('liveness and readiness wait for startup, which is not asked again', async () => {
  const bed = startBed({
    startupProbe: { httpGet: { path: '/started', port: 8080 }, periodSeconds: 1, failureThreshold: 30 },
    livenessProbe: { httpGet: { path: '/live', port: 8080 }, periodSeconds: 1 },
    readinessProbe: { httpGet: { path: '/ready', port: 8080 }, periodSeconds: 1 },
  });
  const asked: string[] = [];
  bed.network.listen(podIP, 8080, {
    http: ({ target }) => {
      asked.push(target);
      return { kind: 'response', status: target !== '/started' || asked.length > 2 ? 200 : 503 };
    },
  });
  bed.prober.addPod(bed.pod);
  bed.run('sim://a');
  const flags = (): unknown[] => [bed.statusOf()?.started, bed.statusOf()?.ready];
  assert.deepEqual(flags(), [false, false]);
  await bed.clock.advance(2_500);
  bed.syncStatus(); // as the kubelet does after the update
  assert.deepEqual(flags(), [true, false]);
  await bed.clock.advance(10); // the readiness worker runs at once
  bed.syncStatus();
  assert.deepEqual(flags(), [true, true]);
  await bed.clock.advance(1_000);
  assert.deepEqual(asked, ['/started', '/started', '/started', '/ready', '/live', '/ready']);
  assert.deepEqual(
    bed.updates.map(({ probeType, result }) => `${probeType} ${result}`),
    ['Startup unknown', 'Readiness failure', 'Liveness success', 'Startup success', 'Readiness success'],
  );
  await bed.close();
});

test('a failed startup probe is final for this instance only', async () => {
  const bed = startBed({ startupProbe: { httpGet, periodSeconds: 5, failureThreshold: 2 } });
  bed.network.listen(podIP, 8080, answers(503, 503, 200));
  bed.prober.addPod(bed.pod);
  bed.run('sim://a');
  await bed.clock.advance(60_000);
  assert.equal(bed.prober.resultOf('Startup', 'sim://a'), 'failure');
  assert.equal(bed.attempts.length, 2);
  bed.run('sim://b');
  await bed.clock.advance(5_001);
  bed.syncStatus();
  assert.deepEqual([bed.prober.resultOf('Startup', 'sim://b'), bed.statusOf()?.started], ['success', true]);
  await bed.close();
});

test('while a container is not ready, each computation of its status makes readiness run at once', async () => {
  const bed = startBed({ readinessProbe: { httpGet, periodSeconds: 10 } });
  bed.network.listen(podIP, 8080, answers(503, 503, 200));
  bed.prober.addPod(bed.pod);
  await bed.clock.advance(3_000);
  bed.run('sim://a');
  assert.equal(bed.attempts.length, 0, 'never before the status is stored');
  await bed.clock.advance(4_000);
  bed.syncStatus();
  bed.syncStatus();
  await bed.clock.advance(9_999);
  assert.deepEqual(bed.attemptTimes(), [3, 7], 'at the next tick only after a whole period');
  await bed.clock.advance(2);
  bed.syncStatus();
  assert.equal(bed.statusOf()?.ready, true);
  await bed.clock.advance(10_000);
  assert.deepEqual(bed.attemptTimes(), [3, 7, 17, 27], 'once ready, only the ticks');
  await bed.close();
});

test('a poke during an attempt makes one more right after it', async () => {
  const bed = startBed({ readinessProbe: { httpGet, periodSeconds: 10, timeoutSeconds: 5 } });
  bed.network.listen(podIP, 8080, { http: () => ({ kind: 'response', status: 503, afterMs: 1_999 }) });
  bed.prober.addPod(bed.pod);
  bed.run('sim://a');
  await bed.clock.advance(1_000);
  bed.syncStatus();
  bed.syncStatus();
  await bed.clock.advance(14_000);
  assert.deepEqual(bed.attemptTimes(), [0, 2, 12]);
  await bed.close();
});

test('ticks that come during an attempt are one', async () => {
  const bed = startBed({ livenessProbe: { httpGet, periodSeconds: 1, timeoutSeconds: 30, failureThreshold: 10 } });
  bed.network.listen(podIP, 8080, {
    http: (_request, index) => ({ kind: 'response', status: 200, afterMs: index === 0 ? 3_499 : 0 }),
  });
  bed.prober.addPod(bed.pod);
  bed.run('sim://a');
  await bed.clock.advance(5_500);
  assert.deepEqual(bed.attemptTimes(), [0, 3.5, 4, 5]);
  await bed.close();
});

test('an error is tried three times, and then forgotten', async () => {
  let tries = 0;
  const bed = startBed(
    {
      livenessProbe: { httpGet: { path: '/', port: 'web' }, failureThreshold: 1 },
      readinessProbe: { exec: { command: ['nosuch'] }, failureThreshold: 1 },
    },
    {
      exec: async () => {
        tries += 1;
        throw new StatusError('NotFound', 'exec: "nosuch": not found');
      },
    },
  );
  bed.prober.addPod(bed.pod);
  bed.run('sim://a');
  await bed.clock.advance(10_000);
  const errored = 'event Warning Unhealthy';
  assert.deepEqual(bed.trace.toSorted(), [
    '0.000 Liveness of sim://a is success',
    '0.000 Readiness of sim://a is failure',
    `0.000 ${errored} Liveness probe errored and resulted in unknown state: strconv.Atoi: parsing "web": invalid syntax`,
    `0.000 ${errored} Readiness probe errored and resulted in unknown state: exec: "nosuch": not found`,
    `10.000 ${errored} Liveness probe errored and resulted in unknown state: strconv.Atoi: parsing "web": invalid syntax`,
    `10.000 ${errored} Readiness probe errored and resulted in unknown state: exec: "nosuch": not found`,
  ]);
  assert.equal(tries, 6);
  const { outcome, consecutive, threshold } = bed.attempts.at(-1) ?? {};
  assert.deepEqual({ outcome, consecutive, threshold }, { outcome: 'error', consecutive: 2, threshold: 0 });
  await bed.close();
});

test('a try after an error may succeed', async () => {
  let tries = 0;
  const bed = startBed(
    { livenessProbe: { exec: { command: ['a'] } } },
    {
      exec: async () => {
        if (++tries < 3) throw new StatusError('InternalError', 'busy');
        return { stdout: new Uint8Array(), stderr: new Uint8Array(), exitCode: 0 };
      },
    },
  );
  bed.prober.addPod(bed.pod);
  bed.run('sim://a');
  await bed.clock.advance(100);
  assert.deepEqual([tries, bed.trace.length, bed.attempts[0]?.outcome], [3, 1, 'success']);
  await bed.close();
});

test('a probe without a handler says whose it is', async () => {
  const bed = startBed({ livenessProbe: {} });
  bed.prober.addPod(bed.pod);
  bed.run('sim://a');
  await bed.clock.advance(0);
  assert.equal(
    bed.trace.at(-1),
    `0.000 event Warning Unhealthy Liveness probe errored and resulted in unknown state: missing probe handler for kubia_default(${podUid}):main`,
  );
  await bed.close();
});

test('exec probes get the bare id, their words expanded, and say what was printed', async () => {
  const asked: unknown[] = [];
  const bed = startBed(
    { env: [{ name: 'FILE', value: '/tmp/up' }], readinessProbe: { exec: { command: ['cat', '$(FILE)'] } } },
    {
      exec: async (command, containerId) => {
        asked.push([containerId, command]);
        const stderr = new TextEncoder().encode("cat: can't open '/tmp/up'\n");
        return { stdout: new Uint8Array(), stderr, exitCode: 1 };
      },
    },
  );
  bed.prober.addPod(bed.pod);
  bed.run('sim://a');
  await bed.clock.advance(0);
  assert.deepEqual(asked, [['a', ['cat', '/tmp/up']]]);
  assert.equal(bed.trace.at(-1), "0.000 event Warning Unhealthy Readiness probe failed: cat: can't open '/tmp/up'\n");
  await bed.close();
});

test('a command that does not end in time is a failure', async () => {
  const bed = startBed(
    { livenessProbe: { exec: { command: ['sh', '-c', 'sleep 5'] } } },
    { exec: () => Promise.reject(new ExecTimeoutError('late')) },
  );
  bed.prober.addPod(bed.pod);
  bed.run('sim://a');
  await bed.clock.advance(0);
  const text = 'Liveness probe failed: command timed out: "sh -c sleep 5" timed out after 1s';
  assert.equal(bed.trace.at(-1), `0.000 event Warning Unhealthy ${text}`);
  await bed.close();
});

test('TCP and gRPC probes reach the pod, and a redirect elsewhere is a warning that counts as success', async () => {
  const bed = startBed({
    livenessProbe: { tcpSocket: { port: 9 } },
    readinessProbe: { grpc: { port: 9000, service: 'my' } },
    startupProbe: { httpGet },
  });
  bed.network.listen(podIP, 8080, {
    http: () => ({ kind: 'response', status: 302, location: 'http://other/', body: 'go' }),
  });
  bed.network.listen(podIP, 9000, {
    grpc: (service) => ({ kind: 'status', status: service === 'my' ? 'SERVING' : '' }),
  });
  bed.prober.addPod(bed.pod);
  bed.run('sim://a');
  await bed.clock.advance(10);
  bed.syncStatus();
  await bed.clock.advance(10_000);
  bed.syncStatus();
  assert.deepEqual(
    bed.trace.filter((line) => line.includes('event')),
    [
      '0.001 event Warning ProbeWarning Startup probe warning: Probe terminated redirects, Response body: go',
      '10.001 event Warning Unhealthy Liveness probe failed: dial tcp 10.244.0.5:9: connect: connection refused',
    ],
  );
  assert.deepEqual([bed.statusOf()?.started, bed.statusOf()?.ready], [true, true]);
  await bed.close();
});

test('events are about the container within the pod', async () => {
  const sidecar = { name: 'side', restartPolicy: 'Always', livenessProbe: { tcpSocket: { port: 1 } } };
  const bed = startBed(
    { livenessProbe: { tcpSocket: { port: 1 } } },
    {
      podSpec: {
        containers: [{ name: 'main', livenessProbe: { tcpSocket: { port: 1 } } }],
        initContainers: [{ name: 'plain', livenessProbe: { tcpSocket: { port: 1 } } }, sidecar],
      },
    },
  );
  bed.run('sim://a');
  bed.run('sim://s', 'side');
  bed.run('sim://p', 'plain');
  bed.prober.addPod(bed.pod);
  await bed.clock.advance(100);
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    namespace: 'default',
    name: 'kubia',
    uid: podUid,
    resourceVersion: '258',
  };
  assert.deepEqual(bed.references, [
    { ...pod, fieldPath: 'spec.containers{main}' },
    { ...pod, fieldPath: 'spec.initContainers{side}' },
  ]);
  await bed.close();
});
