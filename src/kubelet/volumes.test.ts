import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startApiWorld } from '../../test/support/api-world.ts';
import { containerOf, startKubeletWorld } from '../../test/support/kubelet-world.ts';
import type { KubeletWorld } from '../../test/support/kubelet-world.ts';
import type { Pod } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import { inProcessClient } from '../client/in-process-client.ts';
import { ObjectReader } from './object-reader.ts';

const never = new AbortController().signal;
const minuteMs = 60_000;
const withToken = { automountServiceAccountToken: true } as const;

async function addCertificate(world: KubeletWorld): Promise<void> {
  const object = { metadata: { name: 'kube-root-ca.crt' }, data: { 'ca.crt': 'the certificate' } };
  await world.client.create(resources.configmaps, { namespace: 'default' }, object, never);
}

/** Where the kubelet has the volume that admission gave to the pod. */
function accessVolume(pod: Pod): string {
  const name = pod.spec?.volumes?.find((volume) => volume.name.startsWith('kube-api-access-'))?.name;
  return `/var/lib/kubelet/pods/${pod.metadata?.uid}/volumes/kubernetes.io~projected/${name}`;
}

function claimsOf(token: string | undefined) {
  return JSON.parse(Buffer.from(token?.split('.')[1] ?? '', 'base64url').toString());
}

test('a pod finds token, certificate and namespace where every program looks for them', async () => {
  const world = await startKubeletWorld('access');
  await addCertificate(world);
  const pod = await world.create('p', withToken);
  await world.clock.advance(1_000);
  const volume = accessVolume(pod);
  assert.deepEqual(world.noted.configs.get('main')?.mounts[0], {
    containerPath: '/var/run/secrets/kubernetes.io/serviceaccount',
    hostPath: volume,
    readonly: true,
  });
  const [version = '', ...names] = await world.files.list(volume);
  assert.deepEqual(names, ['..data', 'ca.crt', 'namespace', 'token']);
  assert.match(version, /^\.\.2026_01_01_00_00_00\.[0-9a-f]{8}$/);
  assert.deepEqual(
    [await world.files.readLink(`${volume}/..data`), await world.files.readLink(`${volume}/token`)],
    [version, '..data/token'],
  );
  assert.equal(world.files.text(`${volume}/ca.crt`), 'the certificate');
  assert.equal(world.files.text(`${volume}/namespace`), 'default');
  assert.equal(world.files.ownership(`${volume}/token`), '0644');
  const bound = claimsOf(world.files.text(`${volume}/token`))['kubernetes.io'];
  assert.deepEqual(bound.pod, { name: 'p', uid: pod.metadata?.uid });
  assert.equal(bound.node.name, 'node-1');
  // Nothing is written again as long as nothing changes.
  await world.clock.advance(10 * minuteMs);
  assert.equal(await world.files.readLink(`${volume}/..data`), version);
  await world.close();
});

test('a token is renewed when four fifths of its life are over, and kept while it cannot be', async () => {
  const world = await startKubeletWorld('renewed');
  await addCertificate(world);
  const pod = await world.create('p', withToken);
  await world.clock.advance(47 * minuteMs);
  const volume = accessVolume(pod);
  const token = () => world.files.text(`${volume}/token`);
  const first = token();
  await world.clock.advance(3 * minuteMs);
  const second = token();
  assert.notEqual(second, first);
  assert.ok(claimsOf(second).iat - claimsOf(first).iat > 47 * 60);
  // Nobody gives tokens any more.
  await world.client.delete(resources.serviceaccounts, { namespace: 'default', name: 'default' }, {}, never);
  await world.clock.advance(58 * minuteMs);
  assert.equal(token(), second);
  assert.deepEqual(
    (await world.events('p')).filter((line) => line.includes('FailedMount')),
    [],
  );
  await world.clock.advance(4 * minuteMs);
  assert.match(
    (await world.events('p')).join('\n'),
    /FailedMount x\d+ MountVolume\.SetUp failed for volume "kube-api-access-.{5}" : token "default"\/"default"\/\[\]string\(nil\)\/3607\/v1\.BoundObjectReference\{Kind:"Pod", APIVersion:"v1", Name:"p", UID:".{36}"\} expired and refresh failed: serviceaccounts "default" not found/,
  );
  assert.equal(await world.row('p'), '1/1 Running 0');
  await world.close();
});

test('a token belongs to the one user that runs all containers, and may be read by the group of the pod', async () => {
  const world = await startKubeletWorld('owner');
  await addCertificate(world);
  const other = { ...containerOf('other', 'run'), securityContext: { runAsUser: 1001 } };
  const containers = [containerOf('c', 'run')];
  const owned = await world.create('owned', { ...withToken, containers, securityContext: { runAsUser: 1000 } });
  const shared = await world.create('shared', {
    ...withToken,
    containers: [...containers, other],
    securityContext: { runAsUser: 1000, fsGroup: 2000 },
  });
  await world.clock.advance(1_000);
  assert.equal(world.files.ownership(`${accessVolume(owned)}/token`), '0600 1000:');
  assert.equal(world.files.ownership(`${accessVolume(owned)}/namespace`), '0644');
  assert.equal(world.files.ownership(`${accessVolume(shared)}/token`), '0640 2000');
  assert.equal(world.files.ownership(`${accessVolume(shared)}/ca.crt`), '0644 2000');
  assert.equal(world.files.ownership(`${accessVolume(shared)}/..data`), '02755 2000');
  await world.close();
});

test('what a projected volume lacks is told all at once, and what it cannot have by name', async () => {
  const world = await startKubeletWorld('lacking');
  const pod = await world.create('p', withToken);
  const sources = [{ clusterTrustBundle: { name: 'b', path: 'x' } }, { secret: { name: 'nosuch' } }];
  await world.create('q', { volumes: [{ name: 'v', projected: { sources } }] });
  await world.clock.advance(400);
  const failed = 'Warning FailedMount x1 MountVolume.SetUp failed for volume';
  const name = accessVolume(pod).split('/').at(-1);
  assert.deepEqual(await world.events('p'), [`${failed} "${name}" : configmap "kube-root-ca.crt" not found`]);
  assert.deepEqual(await world.events('q'), [
    `${failed} "v" : [projected source clusterTrustBundle is not supported by this node, secret "nosuch" not found]`,
  ]);
  await addCertificate(world);
  await world.clock.advance(10_000);
  assert.equal(await world.row('p'), '1/1 Running 0');
  await world.close();
});

test('one file of a volume may be mounted by itself', async () => {
  const world = await startKubeletWorld('one-file');
  await addCertificate(world);
  const pod = await world.create('p', {
    volumes: [{ name: 'v', configMap: { name: 'kube-root-ca.crt' } }],
    containers: [
      { ...containerOf('c', 'run'), volumeMounts: [{ name: 'v', mountPath: '/ca.crt', subPath: 'ca.crt' }] },
    ],
  });
  await world.clock.advance(1_000);
  const { hostPath = '', containerPath } = world.noted.configs.get('c')?.mounts[0] ?? {};
  assert.deepEqual([containerPath, world.files.text(hostPath)], ['/ca.crt', 'the certificate']);
  assert.ok(hostPath.includes(`${pod.metadata?.uid}/volumes/kubernetes.io~configmap/v/`));
  await world.close();
});

test('many who take what was read a moment ago cost one request', async () => {
  const world = await startApiWorld('reader');
  let requests = 0;
  const client = inProcessClient({
    handle(request, signal) {
      requests += 1;
      return world.server.handle(request, signal);
    },
    user: { name: 'kubelet', groups: ['system:masters'] },
  });
  const reader = new ObjectReader(client, world.clock);
  const settings = { namespace: 'default', name: 'settings' };
  const read = async (ageMsMax?: number) =>
    (await reader.configMap('default', 'settings', false, never, ageMsMax))?.data?.['a'];
  await assert.rejects(read(10_000), { reason: 'NotFound', message: 'configmap "settings" not found' });
  const object = { metadata: { name: 'settings' }, data: { a: '1' } };
  await world.client.create(resources.configmaps, { namespace: 'default' }, object, never);
  assert.equal(await read(), '1');
  await world.client.patch(resources.configmaps, settings, { type: 'merge', body: { data: { a: '2' } } }, never);
  await world.clock.advance(9_000);
  const seen = await Promise.all(Array.from({ length: 50 }, () => read(10_000)));
  assert.deepEqual([new Set(seen), requests], [new Set(['1']), 2]);
  assert.deepEqual([await read(), await read(10_000), requests], ['2', '2', 3]);
  await world.clock.advance(10_000);
  await read(10_000);
  assert.equal(requests, 4);
  await world.close();
});
