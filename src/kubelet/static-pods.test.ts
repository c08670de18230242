import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import { StatusError } from '../base/status-error.ts';
import type { Manifest, StaticPodSource } from './static-pod-source.ts';
import { staticPodOf } from './static-pod.ts';
import { containerOf, startKubeletWorld } from '../../test/support/kubelet-world.ts';
import type { KubeletWorld } from '../../test/support/kubelet-world.ts';

const never = new AbortController().signal;

/** Manifests in memory. A change is announced, unless `isDeaf`. */
class MemoryManifests implements StaticPodSource {
  readonly #contents = new Map<string, Manifest['content']>();
  #onChange = (): void => {};
  isDeaf = false;

  set(path: string, content: Manifest['content'] | undefined): void {
    if (content === undefined) this.#contents.delete(path);
    else this.#contents.set(path, content);
    if (!this.isDeaf) this.#onChange();
  }

  write(path: string, spec: object, name = 'web'): void {
    this.set(path, { value: { apiVersion: 'v1', kind: 'Pod', metadata: { name, labels: { app: name } }, spec } });
  }

  read(): Promise<Manifest[]> {
    return Promise.resolve([...this.#contents].map(([path, content]) => ({ path, content })));
  }

  watch(onChange: () => void, signal: AbortSignal): Promise<void> {
    this.#onChange = onChange;
    return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  }
}

const oneContainer = { containers: [containerOf('main', 'run')] };
const facts = { nodeName: 'node-1', path: '/m/web.yaml', seenWallMs: 0 };
const running = (world: KubeletWorld): string[] => world.sim.runningContainers().map(({ id }) => id);
const uidOf = (pod: Pod): string => pod.metadata?.uid ?? '';

/** What the API shows of `default/web-node-1`. */
async function mirrorOf(world: KubeletWorld): Promise<Pod | undefined> {
  const { items } = await world.client.list<Pod>(resources.pods, { namespace: 'default' }, never);
  return items.find(({ metadata }) => metadata?.name === 'web-node-1');
}

/** The events of the node about its manifests. */
async function complaints(world: KubeletWorld): Promise<string[]> {
  return (await world.events('node-1')).filter((line) => line.includes('InvalidManifest'));
}

test('a manifest becomes a pod of this node, whose UID stands for its content', () => {
  const value = { kind: 'Pod', metadata: { name: 'web', uid: 'x' }, spec: oneContainer };
  const { pod } = staticPodOf(value, facts);
  const { metadata, spec } = pod;
  assert.deepEqual(
    { ...metadata, uid: metadata?.annotations?.['kubernetes.io/config.hash'] },
    {
      name: 'web-node-1',
      namespace: 'default',
      uid: uidOf(pod),
      annotations: {
        'kubernetes.io/config.hash': uidOf(pod),
        'kubernetes.io/config.source': 'file',
        'kubernetes.io/config.seen': '1970-01-01T00:00:00.000000Z',
      },
    },
  );
  assert.match(uidOf(pod), /^[0-9a-f]{32}$/);
  assert.deepEqual(
    [spec?.nodeName, spec?.restartPolicy, spec?.terminationGracePeriodSeconds, spec?.tolerations],
    ['node-1', 'Always', 30, [{ operator: 'Exists', effect: 'NoExecute' }]],
  );
  const reordered = { spec: oneContainer, metadata: { uid: 'x', name: 'web' } };
  const later = staticPodOf({ ...reordered, kind: 'Pod' }, { ...facts, seenWallMs: 5 });
  assert.equal(uidOf(later.pod), uidOf(pod), 'neither the order of fields nor the time counts');
  assert.notEqual(uidOf(staticPodOf(value, { ...facts, path: '/m/other.yaml' }).pod), uidOf(pod));
});

test('a manifest that is no pod, is wrong, or needs an API server is refused in the words of upstream', () => {
  const problemOf = (value: unknown): string => {
    try {
      return `fine; ${staticPodOf(value, facts).warnings.join()}`;
    } catch (error) {
      assert.ok(error instanceof StatusError);
      return error.message;
    }
  };
  const withSpec = (more: object): string =>
    problemOf({ metadata: { name: 'web' }, spec: { ...oneContainer, ...more } });
  const volume = (source: object): string => withSpec({ volumes: [{ name: 'v', ...source }] });
  const env = (more: object): string =>
    withSpec({ containers: [{ ...containerOf('main', 'run'), env: [{ name: 'A', valueFrom: more }] }] });
  assert.deepEqual(
    {
      empty: problemOf(null),
      node: problemOf({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' } }),
      unnamed: problemOf({ kind: 'Pod', spec: oneContainer }),
      wrong: problemOf({ metadata: { name: 'web' }, spec: { containers: [{ name: 'A', image: '' }] } }),
      typing: problemOf({ metadata: { name: 'web' }, spec: { containers: 1 } }),
      unknown: withSpec({ foo: 1 }),
      account: withSpec({ serviceAccountName: 'robot' }),
      pull: withSpec({ imagePullSecrets: [{ name: 's' }] }),
      secret: volume({ secret: { secretName: 's' } }),
      variable: env({ configMapKeyRef: { name: 'c', key: 'k' } }),
      configMap: volume({ projected: { sources: [{ configMap: { name: 'c' } }] } }),
      token: volume({ projected: { sources: [{ serviceAccountToken: { path: 't' } }] } }),
      claim: volume({ persistentVolumeClaim: { claimName: 'c' } }),
      hostPath: volume({ hostPath: { path: '/tmp' } }),
    },
    {
      empty: 'the file is empty',
      node: 'Node in version "v1" cannot be handled as a Pod: converting (v1.Node) to (core.Pod): unknown conversion',
      unnamed: 'invalid pod: name is needed for the pod',
      wrong:
        'invalid pod: [spec.containers[0].name: Invalid value: "A": a lowercase RFC 1123 label must consist of lower case ' +
        "alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or " +
        "'123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?'), spec.containers[0].image: Required value]",
      typing:
        'Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal number into Go struct field ' +
        'PodSpec.spec.containers of type []v1.Container',
      unknown: 'fine; unknown field "spec.foo"',
      account: 'static pods may not reference serviceaccounts',
      pull: 'static pods may not reference secrets',
      secret: 'static pods may not reference secrets',
      variable: 'static pods may not reference configmaps',
      configMap: 'static pods may not reference configmaps',
      token:
        'invalid pod: spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when ' +
        'serviceAccountName is not set',
      claim: 'static pods may not reference persistentvolumeclaims',
      hostPath: 'fine; ',
    },
  );
});

test('a static pod runs and is shown by its mirror; both go with the file', async () => {
  const staticPods = new MemoryManifests();
  const world = await startKubeletWorld('static', { staticPods });
  staticPods.write('/m/web.yaml', oneContainer);
  await world.clock.advance(2_000);
  const mirror = await mirrorOf(world);
  const { annotations, labels, ownerReferences } = mirror?.metadata ?? {};
  const hash = annotations?.['kubernetes.io/config.hash'];
  const [sandbox] = await world.during(world.sim.listPodSandboxes({}, never));
  assert.equal(sandbox?.metadata.uid, hash);
  assert.equal(annotations?.['kubernetes.io/config.mirror'], hash);
  assert.notEqual(mirror?.metadata?.uid, hash);
  assert.deepEqual(labels, { app: 'web' });
  const node = await world.node();
  assert.deepEqual(ownerReferences, [
    { apiVersion: 'v1', kind: 'Node', name: 'node-1', uid: node.metadata?.uid, controller: true },
  ]);
  assert.match(await world.row('web-node-1'), /^1\/1 Running 0/);
  const { items } = await world.client.list(resources.events, {}, never);
  assert.ok(items.some(({ involvedObject }) => involvedObject.uid === hash && involvedObject.name === 'web-node-1'));
  assert.match(await world.logs('web-node-1', 'main'), /^200/);

  staticPods.set('/m/web.yaml', undefined);
  await world.clock.advance(2_000);
  assert.deepEqual([running(world), await mirrorOf(world)], [[], undefined]);
  assert.deepEqual(await world.during(world.files.list('/var/log/pods')), []);
  await world.close();
});

test('deleting the mirror touches no container: it is made anew, with the status', async () => {
  const staticPods = new MemoryManifests();
  staticPods.write('/m/web.yaml', oneContainer);
  const world = await startKubeletWorld('deleted-mirror', { staticPods });
  await world.clock.advance(2_000);
  const before = await mirrorOf(world);
  const containers = running(world);
  world.noted.take();
  await world.delete('web-node-1');
  await world.clock.advance(1_000);
  const after = await mirrorOf(world);
  assert.notEqual(uidOf(after ?? {}), uidOf(before ?? {}));
  assert.equal(after?.metadata?.deletionTimestamp, undefined);
  assert.deepEqual(after?.status, before?.status);
  assert.deepEqual([running(world), world.noted.take()], [containers, []]);
  await world.close();
});

test('a changed manifest ends the old pod with its grace, then starts the new one; the mirror follows', async () => {
  const staticPods = new MemoryManifests();
  staticPods.write('/m/web.yaml', { ...oneContainer, containers: [containerOf('main', 'slow')] });
  const scripts = { slow: { onStop: { afterMs: 5_000, exitCode: 0 } } } as const;
  const world = await startKubeletWorld('changed', { staticPods, scripts });
  await world.clock.advance(2_000);
  const [old] = running(world);
  const before = await mirrorOf(world);
  staticPods.write('/m/web.yaml', oneContainer);
  await world.clock.advance(4_000);
  assert.deepEqual(running(world), [old], 'it has its time to end');
  assert.equal(uidOf((await mirrorOf(world)) ?? {}), uidOf(before ?? {}));
  await world.clock.advance(3_000);
  const now = running(world);
  assert.equal(now.length, 1);
  assert.notDeepEqual(now, [old]);
  const mirror = await mirrorOf(world);
  assert.deepEqual(mirror?.spec?.containers[0]?.command, ['run']);
  assert.match(await world.row('web-node-1'), /^1\/1 Running 0/);
  // To and fro while it ends: what the file says last is what runs.
  staticPods.write('/m/web.yaml', { containers: [containerOf('main', 'slow')] });
  await world.clock.advance(200);
  staticPods.write('/m/web.yaml', oneContainer);
  await world.clock.advance(10_000);
  assert.deepEqual((await mirrorOf(world))?.spec?.containers[0]?.command, ['run']);
  assert.equal(running(world).length, 1);
  await world.close();
});

test('what cannot be read is told once, and the last good manifest goes on to count', async () => {
  const staticPods = new MemoryManifests();
  staticPods.write('/m/web.yaml', oneContainer);
  const world = await startKubeletWorld('broken', { staticPods });
  await world.clock.advance(2_000);
  const containers = running(world);
  staticPods.set('/m/web.yaml', { problem: 'line 3: what is this' });
  staticPods.write('/m/a.yaml', { containers: [containerOf('main', 'other')] });
  await world.clock.advance(65_000);
  assert.deepEqual(running(world), containers);
  assert.deepEqual(await complaints(world), [
    'Warning InvalidManifest x1 Manifest /m/web.yaml: line 3: what is this',
    'Warning InvalidManifest x1 Manifest /m/a.yaml: pod default/web-node-1 is already described by /m/web.yaml',
  ]);
  // Nobody tells of changes now: the manifests are looked at all the same.
  staticPods.isDeaf = true;
  staticPods.set('/m/a.yaml', undefined);
  staticPods.write('/m/more.yaml', oneContainer, 'more');
  await world.clock.advance(21_000);
  assert.equal(running(world).length, 2);
  await world.close();
});

test('a restarted kubelet takes its static pods over as they are', async () => {
  const staticPods = new MemoryManifests();
  staticPods.write('/m/web.yaml', oneContainer);
  staticPods.write('/m/z-gone.yaml', oneContainer, 'gone');
  const world = await startKubeletWorld('restart-static', { staticPods });
  await world.clock.advance(2_000);
  world.sim.endContainer(running(world)[0] ?? '', 1);
  await world.clock.advance(2_000);
  const before = await mirrorOf(world);
  staticPods.isDeaf = true;
  staticPods.set('/m/z-gone.yaml', undefined);
  world.noted.take();
  await world.restartKubelet();
  await world.clock.advance(60_000);
  const calls = world.noted.take();
  assert.deepEqual(
    calls.filter((call) => !call.includes('remove') && !call.includes('stop')),
    [],
    'nothing is started',
  );
  assert.equal(running(world).length, 1, 'what has no manifest any more is ended');
  const after = await mirrorOf(world);
  assert.equal(uidOf(after ?? {}), uidOf(before ?? {}));
  assert.match(await world.row('web-node-1'), /^1\/1 Running 1/);
  const { items } = await world.client.list<Pod>(resources.pods, {}, never);
  assert.deepEqual(
    items.map(({ metadata }) => metadata?.name),
    ['web-node-1'],
    'the mirror of what is gone is gone',
  );
  await world.close();
});

test('static pods run while the API is away, and are shown when it is back', async () => {
  const staticPods = new MemoryManifests();
  staticPods.write('/m/web.yaml', oneContainer);
  let isAway = true;
  const world = await startKubeletWorld('away', {
    staticPods,
    way: (handle) => (request, signal) =>
      isAway ? Promise.reject(new StatusError('ServiceUnavailable', 'away')) : handle(request, signal),
  });
  await world.clock.advance(3_600_000);
  const containers = running(world);
  assert.equal(containers.length, 1);
  world.sim.endContainer(containers[0] ?? '', 1);
  await world.clock.advance(60_000);
  isAway = false;
  await world.clock.advance(45_000);
  assert.match(await world.row('web-node-1'), /^1\/1 Running 1/);
  await world.close();
});

test('a pod of its name in the API stands in the way of the mirror, and of nothing else', async () => {
  const staticPods = new MemoryManifests();
  const world = await startKubeletWorld('taken', { staticPods });
  await world.create('web-node-1');
  await world.clock.advance(1_000);
  staticPods.write('/m/web.yaml', oneContainer);
  await world.clock.advance(2_000);
  assert.equal(running(world).length, 2);
  await world.delete('web-node-1');
  await world.clock.advance(40_000);
  const mirror = await mirrorOf(world);
  assert.notEqual(mirror?.metadata?.annotations?.['kubernetes.io/config.mirror'], undefined);
  assert.equal(running(world).length, 1);
  await world.close();
});

test('a static pod that has run to its end, or that the node refuses, is shown as such, also after a restart', async () => {
  const staticPods = new MemoryManifests();
  staticPods.write('/m/web.yaml', { restartPolicy: 'Never', containers: [containerOf('main', 'job')] });
  const limits = { requests: { cpu: '3' } };
  staticPods.write('/m/big.yaml', { containers: [{ ...containerOf('main', 'run'), resources: limits }] }, 'big');
  const scripts = { job: { onStop: 'die', exit: { afterMs: 500, exitCode: 0 } } } as const;
  const world = await startKubeletWorld('finished-static', { staticPods, scripts });
  await world.clock.advance(5_000);
  assert.match(await world.row('web-node-1'), /^0\/1 Completed 0/);
  assert.match(await world.row('big-node-1'), /^0\/1 UnexpectedAdmissionError 0/);
  world.noted.take();
  await world.restartKubelet();
  await world.clock.advance(60_000);
  assert.deepEqual(world.noted.take(), []);
  assert.match(await world.row('web-node-1'), /^0\/1 Completed 0/);
  staticPods.write('/m/web.yaml', oneContainer);
  staticPods.write('/m/big.yaml', oneContainer, 'big');
  await world.clock.advance(5_000);
  assert.match(await world.row('web-node-1'), /^1\/1 Running 0/);
  assert.match(await world.row('big-node-1'), /^1\/1 Running 0/);
  await world.close();
});

test('a node without an API server runs its static pods, with probes, restarts and back-off', async () => {
  const staticPods = new MemoryManifests();
  const container = containerOf('main', 'sick');
  const livenessProbe = { exec: { command: ['alive'] }, periodSeconds: 1, failureThreshold: 1 };
  staticPods.write('/m/web.yaml', { containers: [{ ...container, livenessProbe }] });
  const lines: string[] = [];
  const note = (event: string): void => void lines.push(event);
  const world = await startKubeletWorld('alone', {
    staticPods,
    isAlone: true,
    log: { info: note, warn: note, error: note },
    scripts: { sick: { onStop: 'die', execs: [{ command: ['alive'], results: [{ fromMs: 5_000, exitCode: 1 }] }] } },
  });
  await world.clock.advance(20_000);
  const pods = world.kubelet.pods();
  assert.match(JSON.stringify(pods), /"restartCount":[1-9]/);
  assert.match(await world.logs('web-node-1', 'main'), /^200/);
  const noise = lines.filter((line) => /nodeNot|informer|lease|podStatusNotWritten|mirror/i.test(line));
  assert.deepEqual(noise, [], 'nobody looks for a server');
  staticPods.set('/m/web.yaml', undefined);
  await world.clock.advance(40_000);
  assert.deepEqual(running(world), []);
  await world.close();
});

test('on a full node a static pod takes the place of others, once they have ended', async () => {
  const staticPods = new MemoryManifests();
  const world = await startKubeletWorld('critical', { staticPods });
  const asking = (cpu: string, script: string): object => ({
    containers: [{ ...containerOf('main', script), resources: { requests: { cpu } } }],
  });
  await world.create('victim', { ...asking('2', 'run'), terminationGracePeriodSeconds: 5 });
  await world.clock.advance(1_000);
  assert.equal(await world.row('victim'), '1/1 Running 0');
  staticPods.write('/m/web.yaml', asking('1', 'run'));
  await world.clock.advance(10_000);
  const { status } = await world.pod('victim');
  assert.deepEqual(
    [status?.phase, status?.reason, status?.message],
    ['Failed', 'Preempting', 'Preempted in order to admit critical pod'],
  );
  const disruption = status?.conditions?.find(({ type }) => type === 'DisruptionTarget');
  assert.deepEqual(
    [disruption?.reason, disruption?.message],
    ['TerminationByKubelet', 'Pod was preempted by Kubelet to accommodate a critical pod.'],
  );
  assert.ok((await world.events('victim')).includes('Warning Preempting x1 Preempted in order to admit critical pod'));
  assert.equal(await world.row('web-node-1'), '1/1 Running 0');
  assert.equal(running(world).length, 1);
  await world.close();
});
