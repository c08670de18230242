import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Secret } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import { authsFor, registryAuths } from './image-credentials.ts';
import { startKubeletWorld } from '../../test/support/kubelet-world.ts';

const absent = {
  name: 'docker.io/library/app:1',
  sizeBytes: 12_345,
  mustBePulled: true,
  pullMs: 1_234,
  entrypoint: ['run'],
};
const other = { ...absent, name: 'docker.io/library/other:1', sizeBytes: 7, pullMs: 500 };

test('pulls go one at a time, and the events say how long each took and waited', async () => {
  const world = await startKubeletWorld('pulls', { images: [absent, other] });
  await world.create('a', { containers: [{ name: 'c', image: 'app:1' }] });
  await world.create('b', { containers: [{ name: 'c', image: 'other:1' }] });
  await world.clock.advance(3_000);
  assert.deepEqual((await world.events('a')).slice(0, 2), [
    'Normal Pulling x1 Pulling image "app:1"',
    'Normal Pulled x1 Successfully pulled image "app:1" in 1.234s (1.234s including waiting). Image size: 12345 bytes.',
  ]);
  assert.deepEqual((await world.events('b')).slice(0, 2), [
    'Normal Pulling x1 Pulling image "other:1"',
    'Normal Pulled x1 Successfully pulled image "other:1" in 500ms (1.734s including waiting). Image size: 7 bytes.',
  ]);
  await world.close();
});

test('policy Always pulls for every start, IfNotPresent once', async () => {
  const world = await startKubeletWorld('always', { images: [absent] });
  await world.create('always', { containers: [{ name: 'c', image: 'app:1', imagePullPolicy: 'Always' }] });
  await world.create('once', { containers: [{ name: 'c', image: 'app:1', imagePullPolicy: 'IfNotPresent' }] });
  await world.clock.advance(5_000);
  for (const { id } of world.sim.runningContainers()) world.sim.endContainer(id, 1);
  await world.clock.advance(5_000);
  assert.equal((await world.events('always')).filter((line) => line.startsWith('Normal Pulling x2')).length, 1);
  assert.ok((await world.events('once')).some((line) => line.includes('already present on machine')));
  assert.deepEqual(
    await Promise.all(['always', 'once'].map((name) => world.row(name).then((row) => row.slice(0, 13)))),
    ['1/1 Running 1', '1/1 Running 1'],
  );
  await world.close();
});

test('a delete does not wait for a pull', async () => {
  const world = await startKubeletWorld('slow-pull', { images: [{ ...absent, pullMs: 600_000 }] });
  await world.create('p', { containers: [{ name: 'c', image: 'app:1' }] });
  await world.clock.advance(5_000);
  await world.delete('p');
  await world.clock.advance(100);
  await assert.rejects(world.pod('p'), { reason: 'NotFound' });
  await world.close();
  assert.deepEqual(world.clock.pendingNames(), []);
});

test('a failed sandbox is told, and tried again', async () => {
  const world = await startKubeletWorld('sandbox');
  world.noted.failures.set('runPodSandbox', 'no more addresses');
  await world.create('p');
  await world.clock.advance(1_000);
  assert.deepEqual(await world.events('p'), [
    'Warning FailedCreatePodSandBox x1 Failed to create pod sandbox: no more addresses',
  ]);
  assert.equal(await world.row('p'), '0/1 ContainerCreating 0');
  world.noted.failures.clear();
  await world.clock.advance(16_000);
  assert.equal(await world.row('p'), '1/1 Running 0');
  await world.close();
});

test('a container that cannot be created says why', async () => {
  const world = await startKubeletWorld('create');
  world.noted.failures.set('createContainer', 'no space');
  await world.create('p');
  await world.clock.advance(1_000);
  assert.equal(await world.row('p'), '0/1 CreateContainerError 0');
  assert.ok((await world.events('p')).includes('Warning Failed x2 Error: no space'));
  await world.close();
});

test('a sandbox that never gets an address is made again about once a second, not as fast as possible', async () => {
  const world = await startKubeletWorld('no-address');
  const { runtime } = world.noted;
  const list = runtime.listPodSandboxes;
  runtime.listPodSandboxes = async (filter, signal) =>
    (await list(filter, signal)).map((sandbox) => ({ ...sandbox, ips: [] }));
  await world.create('p');
  await world.clock.advance(20_000);
  const made = world.noted.take().filter((call) => call.startsWith('runPodSandbox')).length;
  assert.ok(made > 10 && made < 40, String(made));
  await world.close();
});

test('credentials of imagePullSecrets are tried where their registry and path fit, and a missing secret is told', async () => {
  const image = { ...absent, name: 'registry.example.com/team/app:1', password: 'right' };
  const world = await startKubeletWorld('secrets', { images: [image] });
  const auths = {
    'https://registry.example.com/v1/team': { auth: btoa('team:right') },
    '*.example.com': { username: 'any', password: 'wrong' },
    'other.example.com': { username: 'other', password: 'right' },
  };
  const never = new AbortController().signal;
  const login: Secret = {
    metadata: { name: 'login' },
    type: 'kubernetes.io/dockerconfigjson',
    data: { '.dockerconfigjson': btoa(JSON.stringify({ auths })) },
  };
  await world.client.create(resources.secrets, { namespace: 'default' }, login, never);
  await world.create('p', {
    imagePullSecrets: [{ name: 'absent' }, { name: 'login' }],
    containers: [{ name: 'c', image: 'registry.example.com/team/app:1' }],
  });
  await world.clock.advance(5_000);
  assert.equal(await world.row('p'), '1/1 Running 0');
  assert.deepEqual(
    world.noted.take().filter((call) => call.startsWith('pullImage')),
    ['pullImage registry.example.com/team/app:1 team'],
  );
  assert.ok(
    (await world.events('p')).includes(
      'Warning FailedToRetrieveImagePullSecret x1 Unable to retrieve some image pull secrets (absent); ' +
        'attempting to pull the image may not succeed.',
    ),
  );
  await world.close();
});

test('the credentials for an image: by registry, path and pattern, and those of the default registry by its old name', () => {
  const byKey = new Map([
    ['index.docker.io', [{ username: 'hub' }]],
    ['quay.example/team', [{ username: 'team' }]],
    ['quay.example', [{ username: 'all' }]],
    ['*.io:5000', [{ username: 'port' }]],
  ]);
  const names = (repository: string): unknown[] => authsFor(byKey, repository).map(({ username }) => username);
  assert.deepEqual(names('docker.io/library/busybox'), ['hub']);
  assert.deepEqual(names('quay.example/team/app'), ['team', 'all']);
  assert.deepEqual(names('quay.example/other'), ['all']);
  assert.deepEqual(names('gcr.io:5000/x'), ['port']);
  assert.deepEqual(names('gcr.io/x'), []);
  const secret = { metadata: { name: 's' }, type: 'kubernetes.io/dockercfg', data: { '.dockercfg': btoa('{"h": 1}') } };
  assert.throws(() => registryAuths(secret), /image pull secret "s" cannot be read/);
});

test('what a runtime says of a registry or a signature becomes its own waiting reason', async () => {
  const world = await startKubeletWorld('reasons', { images: [absent] });
  const cases = [
    ['RegistryUnavailable: it sleeps', 'RegistryUnavailable', 'because the registry is unavailable: it sleeps'],
    ['SignatureValidationFailed', 'SignatureValidationFailed', 'because the signature validation failed'],
  ] as const;
  for (const [text, reason, words] of cases) {
    world.noted.failures.set('pullImage', text);
    const name = reason.toLowerCase();
    await world.create(name, { containers: [{ name: 'c', image: 'app:1' }] });
    await world.clock.advance(1_000);
    const waiting = (await world.pod(name)).status?.containerStatuses?.[0]?.state?.waiting;
    assert.deepEqual(waiting, { reason, message: `image pull failed for app:1 ${words}` });
    await world.clock.advance(15_000);
    const later = (await world.pod(name)).status?.containerStatuses?.[0]?.state?.waiting;
    assert.equal(later?.reason, 'ImagePullBackOff');
  }
  await world.close();
});

test('policy Never does not pull, and a name that is none is told before anything else', async () => {
  const world = await startKubeletWorld('never', { images: [absent] });
  await world.create('never', { containers: [{ name: 'c', image: 'app:1', imagePullPolicy: 'Never' }] });
  await world.create('bad', { containers: [{ name: 'c', image: 'Not/An:Image:1' }] });
  await world.clock.advance(1_000);
  const waitingOf = async (name: string): Promise<string> => {
    const { reason, message } = (await world.pod(name)).status?.containerStatuses?.[0]?.state?.waiting ?? {};
    return `${reason}: ${message}`;
  };
  assert.equal(
    await waitingOf('never'),
    'ErrImageNeverPull: Container image "app:1" is not present with pull policy of Never',
  );
  assert.match(await waitingOf('bad'), /^InvalidImageName: Failed to apply default image tag "Not\/An:Image:1": /);
  assert.ok(!world.noted.take().some((call) => call.startsWith('pullImage')));
  await world.close();
});
