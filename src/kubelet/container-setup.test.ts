/** What a container is given: environment, volumes, mounts, security and resources. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PodSpec } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import { containerOf, startKubeletWorld } from '../../test/support/kubelet-world.ts';
import type { KubeletWorld } from '../../test/support/kubelet-world.ts';

const never = new AbortController().signal;

async function addObjects({ client }: KubeletWorld): Promise<void> {
  const ref = { namespace: 'default' };
  const settings = { metadata: { name: 'settings' }, data: { color: 'red', 'size.txt': 'big' } };
  const keys = { metadata: { name: 'keys' }, data: { token: btoa('s3cret') } };
  await client.create(resources.configmaps, ref, settings, never);
  await client.create(resources.secrets, ref, keys, never);
}

async function waitingOf(world: KubeletWorld, name: string): Promise<string> {
  const waiting = (await world.pod(name)).status?.containerStatuses?.[0]?.state?.waiting;
  return `${waiting?.reason}: ${waiting?.message}`;
}

test('an ephemeral container joins a pod that runs, sees the processes of its target, and counts for nothing', async () => {
  const world = await startKubeletWorld('ephemeral', { scripts: { ends: { exit: { afterMs: 500, exitCode: 3 } } } });
  await world.create('p', { containers: [containerOf('c', 'run')] });
  await world.clock.advance(2_000);
  const before = await world.pod('p');
  const spec = { ephemeralContainers: [{ ...containerOf('debug', 'ends'), targetContainerName: 'c' }] };
  const ref = { namespace: 'default', name: 'p' };
  await world.client.patch(
    resources.pods,
    { ...ref, subresource: 'ephemeralcontainers' },
    { type: 'strategic', body: { spec } },
    never,
  );
  await world.clock.advance(3_000);
  const { status, metadata } = await world.pod('p');
  const [debug] = status?.ephemeralContainerStatuses ?? [];
  assert.equal(debug?.state?.terminated?.exitCode, 3);
  assert.deepEqual([debug?.restartCount, debug?.ready], [0, false]);
  assert.equal(`sim://${world.noted.configs.get('debug')?.targetId}`, status?.containerStatuses?.[0]?.containerID);
  assert.deepEqual([status?.phase, status?.containerStatuses], ['Running', before.status?.containerStatuses]);
  assert.deepEqual([metadata?.generation, status?.observedGeneration], [2, 2]);
  await world.close();
});

test('the environment: literals, references, prefixes, the downward API, and expansion', async () => {
  const world = await startKubeletWorld('env');
  await addObjects(world);
  await world.create('p', {
    serviceAccountName: 'default',
    containers: [
      {
        ...containerOf('c', 'run'),
        args: ['--ip=$(IP)', '$(UNKNOWN)', '$$(IP)'],
        resources: { limits: { cpu: '1500m', memory: '64Mi' } },
        envFrom: [
          { prefix: 'CM_', configMapRef: { name: 'settings' } },
          { secretRef: { name: 'absent', optional: true } },
        ],
        env: [
          { name: 'PLAIN', value: 'a' },
          { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
          { name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
          { name: 'HOST', valueFrom: { fieldRef: { fieldPath: 'status.hostIP' } } },
          { name: 'CPUS', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } },
          { name: 'MILLIS', valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '1m' } } },
          { name: 'MIB', valueFrom: { resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } } },
          { name: 'COLOR', valueFrom: { configMapKeyRef: { name: 'settings', key: 'color' } } },
          { name: 'TOKEN', valueFrom: { secretKeyRef: { name: 'keys', key: 'token' } } },
          { name: 'GONE', valueFrom: { secretKeyRef: { name: 'keys', key: 'nope', optional: true } } },
          { name: 'ALL', value: '$(PLAIN)-$(COLOR)-$(NOPE)-$$(PLAIN)' },
        ],
      },
    ],
  });
  await world.clock.advance(1_000);
  const config = world.noted.configs.get('c');
  assert.deepEqual(Object.fromEntries((config?.envs ?? []).map(({ key, value }) => [key, value])), {
    CM_color: 'red',
    'CM_size.txt': 'big',
    PLAIN: 'a',
    IP: '10.244.0.2',
    NODE: 'node-1',
    HOST: '192.0.2.2',
    CPUS: '2',
    MILLIS: '1500',
    MIB: '64',
    COLOR: 'red',
    TOKEN: 's3cret',
    ALL: 'a-red-$(NOPE)-$(PLAIN)',
  });
  assert.deepEqual(config?.args, ['--ip=10.244.0.2', '$(UNKNOWN)', '$(IP)']);
  await world.close();
});

test('what a container refers to and is not there is named, and taken when it comes', async () => {
  const world = await startKubeletWorld('missing-refs');
  const variable = (valueFrom: object) => [{ name: 'X', valueFrom }];
  const cases: readonly (readonly [name: string, valueFrom: object, text: string])[] = [
    ['cm', { configMapKeyRef: { name: 'settings', key: 'color' } }, 'configmap "settings" not found'],
    ['secret', { secretKeyRef: { name: 'keys', key: 'token' } }, 'secret "keys" not found'],
  ];
  for (const [name, valueFrom] of cases) {
    await world.create(name, { containers: [{ ...containerOf('c', 'run'), env: variable(valueFrom) }] });
  }
  await world.clock.advance(1_000);
  for (const [name, , text] of cases) {
    assert.equal(await waitingOf(world, name), `CreateContainerConfigError: ${text}`);
    assert.ok((await world.events(name)).some((line) => line.endsWith(`Error: ${text}`)));
  }
  await addObjects(world);
  const env = variable({ configMapKeyRef: { name: 'settings', key: 'nope' } });
  await world.create('key', { containers: [{ ...containerOf('c', 'run'), env }] });
  await world.clock.advance(17_000);
  assert.equal(
    await waitingOf(world, 'key'),
    "CreateContainerConfigError: couldn't find key nope in ConfigMap default/settings",
  );
  assert.deepEqual([await world.row('cm'), await world.row('secret')], ['1/1 Running 0', '1/1 Running 0']);
  await world.close();
});

const volumesSpec: Partial<PodSpec> = {
  volumes: [
    { name: 'scratch', emptyDir: {} },
    { name: 'host', hostPath: { path: '/data', type: 'DirectoryOrCreate' } },
    { name: 'settings', configMap: { name: 'settings', items: [{ key: 'size.txt', path: 'deep/size', mode: 0o600 }] } },
    { name: 'keys', secret: { secretName: 'keys' } },
    {
      name: 'both',
      projected: {
        sources: [
          { configMap: { name: 'settings' } },
          { downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.name' } }] } },
        ],
      },
    },
  ],
  containers: [
    {
      ...containerOf('c', 'run'),
      volumeMounts: [
        { name: 'scratch', mountPath: '/scratch', subPath: 'mine' },
        { name: 'host', mountPath: '/host', readOnly: true },
        { name: 'settings', mountPath: '/settings' },
        { name: 'keys', mountPath: '/keys' },
        { name: 'both', mountPath: '/both' },
      ],
    },
  ],
};

test('volumes are plain files on the node, mounted where they are wanted, and go with the pod', async () => {
  const world = await startKubeletWorld('volumes');
  await addObjects(world);
  const pod = await world.create('p', volumesSpec);
  await world.clock.advance(1_000);
  const root = `/var/lib/kubelet/pods/${pod.metadata?.uid}`;
  const volumes = `${root}/volumes/kubernetes.io~`;
  assert.deepEqual(world.noted.configs.get('c')?.mounts, [
    { containerPath: '/scratch', hostPath: `${volumes}empty-dir/scratch/mine`, readonly: false },
    { containerPath: '/host', hostPath: '/data', readonly: true },
    { containerPath: '/settings', hostPath: `${volumes}configmap/settings`, readonly: true },
    { containerPath: '/keys', hostPath: `${volumes}secret/keys`, readonly: true },
    { containerPath: '/both', hostPath: `${volumes}projected/both`, readonly: true },
    { containerPath: '/etc/hosts', hostPath: `${root}/etc-hosts`, readonly: false },
    { containerPath: '/dev/termination-log', hostPath: `${root}/containers/c/0`, readonly: false },
  ]);
  assert.equal(world.files.text(`${volumes}configmap/settings/deep/size`), 'big');
  assert.equal(world.files.text(`${volumes}secret/keys/token`), 's3cret');
  assert.equal(world.files.text(`${volumes}projected/both/labels`), 'p');
  assert.equal((await world.files.stat(`${volumes}empty-dir/scratch/mine`))?.kind, 'directory');
  assert.match(world.files.text(`${root}/etc-hosts`) ?? '', /\n10\.244\.0\.2\tp\n$/);
  await world.delete('p');
  await world.clock.advance(3_000);
  assert.deepEqual(world.files.paths(), []);
  assert.equal((await world.files.stat('/data'))?.kind, 'directory');
  await world.close();
});

test("what belongs to the pod's group may be read by it, and a subPath in it be written", async () => {
  const world = await startKubeletWorld('fs-group');
  await addObjects(world);
  const pod = await world.create('p', {
    securityContext: { runAsUser: 1000, fsGroup: 2000 },
    volumes: [
      { name: 'keys', secret: { secretName: 'keys', defaultMode: 0o400 } },
      { name: 'scratch', emptyDir: {} },
    ],
    containers: [
      {
        ...containerOf('c', 'run'),
        volumeMounts: [
          { name: 'keys', mountPath: '/keys' },
          { name: 'scratch', mountPath: '/scratch', subPath: 'a/b' },
        ],
      },
    ],
  });
  await world.clock.advance(1_000);
  const volumes = `/var/lib/kubelet/pods/${pod.metadata?.uid}/volumes/kubernetes.io~`;
  assert.equal(world.files.ownership(`${volumes}secret/keys/token`), '0440 2000');
  assert.equal(world.files.ownership(`${volumes}empty-dir/scratch`), '02777 2000');
  assert.equal(world.files.ownership(`${volumes}empty-dir/scratch/a/b`), '02777 2000');
  await world.close();
});

test('a subPath does not lead out of its volume, whatever a container put there', async () => {
  const world = await startKubeletWorld('sub-path');
  const volumeMounts = [{ name: 'v', mountPath: '/in', subPath: 'made/deep' }];
  const pod = await world.create('p', {
    volumes: [{ name: 'v', emptyDir: {} }],
    containers: [{ ...containerOf('c', 'run'), volumeMounts }],
  });
  await world.clock.advance(1_000);
  const volume = `/var/lib/kubelet/pods/${pod.metadata?.uid}/volumes/kubernetes.io~empty-dir/v`;
  assert.equal(world.noted.configs.get('c')?.mounts[0]?.hostPath, `${volume}/made/deep`);
  await world.files.remove(`${volume}/made`);
  await world.files.makeDirectory('/etc/secret', 0o700);
  await world.files.link('/etc/secret', `${volume}/made`);
  world.sim.endContainer(world.sim.runningContainers()[0]?.id ?? '', 1);
  await world.clock.advance(1_000);
  assert.equal(
    (await world.events('p')).at(-1),
    'Warning Failed x1 Error: failed to prepare subPath for volumeMount "v" of container "c"',
  );
  assert.equal(await world.files.stat('/etc/secret/deep'), undefined);
  await world.close();
});

test('a pod that wants it has its full name as its host name', async () => {
  const world = await startKubeletWorld('fqdn');
  const pod = await world.create('p', { hostname: 'web', subdomain: 'apps', setHostnameAsFQDN: true });
  await world.clock.advance(1_000);
  const hosts = world.files.text(`/var/lib/kubelet/pods/${pod.metadata?.uid}/etc-hosts`) ?? '';
  assert.match(hosts, /\n10\.244\.0\.2\tweb\.apps\.default\.svc\.cluster\.local\tweb\n$/);
  await world.close();
});

test('confinement of containers reaches the runtime, their own before that of the pod', async () => {
  const world = await startKubeletWorld('confined');
  await world.create('p', {
    securityContext: {
      seccompProfile: { type: 'RuntimeDefault' },
      appArmorProfile: { type: 'RuntimeDefault' },
      seLinuxOptions: { level: 's0:c1' },
    },
    volumes: [{ name: 'v', hostPath: { path: '/data' } }],
    containers: [
      {
        ...containerOf('c', 'run'),
        securityContext: { appArmorProfile: { type: 'Unconfined' } },
        volumeMounts: [{ name: 'v', mountPath: '/v', mountPropagation: 'HostToContainer' }],
      },
    ],
  });
  await world.clock.advance(1_000);
  const { securityContext, mounts = [] } = world.noted.configs.get('c') ?? {};
  assert.deepEqual(
    [securityContext?.seccompProfile, securityContext?.appArmorProfile, securityContext?.seLinuxOptions],
    ['RuntimeDefault', 'Unconfined', { level: 's0:c1' }],
  );
  assert.equal(mounts[0]?.propagation, 'hostToContainer');
  await world.close();
});

test('files of a config map follow it', async () => {
  const world = await startKubeletWorld('volume-update');
  await addObjects(world);
  const pod = await world.create('p', volumesSpec);
  await world.clock.advance(1_000);
  const body = { data: { color: 'blue', 'size.txt': 'small', shape: 'round' } };
  const ref = { namespace: 'default', name: 'settings' };
  await world.client.patch(resources.configmaps, ref, { type: 'merge', body }, never);
  await world.clock.advance(95_000);
  const both = `/var/lib/kubelet/pods/${pod.metadata?.uid}/volumes/kubernetes.io~projected/both`;
  const shown = async () => (await world.files.list(both)).filter((name) => !name.startsWith('..'));
  assert.deepEqual(await shown(), ['color', 'labels', 'shape', 'size.txt']);
  assert.equal(world.files.text(`${both}/color`), 'blue');
  // A key that another volume of the pod insists on: that one stays as it was, and the pod goes on.
  const without = { data: { 'size.txt': null } };
  await world.client.patch(resources.configmaps, ref, { type: 'merge', body: without }, never);
  await world.clock.advance(95_000);
  assert.deepEqual(await shown(), ['color', 'labels', 'shape']);
  assert.equal(world.files.text(both.replace('projected/both', 'configmap/settings/deep/size')), 'small');
  assert.match((await world.events('p')).join(), /volume "settings" : references non-existent config key: size.txt/);
  assert.equal(await world.row('p'), '1/1 Running 0');
  await world.close();
});

test('a volume that cannot be made holds the pod back and says why, and again', async () => {
  const world = await startKubeletWorld('failed-mount');
  const containers = [{ ...containerOf('c', 'run'), volumeMounts: [{ name: 'v', mountPath: '/v' }] }];
  await world.create('secret', { containers, volumes: [{ name: 'v', secret: { secretName: 'keys' } }] });
  await world.create('nfs', { containers, volumes: [{ name: 'v', nfs: { server: 's', path: '/' } }] });
  const hostPath = { path: '/nowhere', type: 'Directory' };
  await world.create('path', { containers, volumes: [{ name: 'v', hostPath }] });
  await world.clock.advance(400);
  const warning = 'Warning FailedMount x1 MountVolume.SetUp failed for volume "v" :';
  assert.deepEqual(await world.events('secret'), [`${warning} secret "keys" not found`]);
  assert.deepEqual(await world.events('nfs'), [`${warning} spec.volumes[0].nfs is not supported by this node`]);
  assert.deepEqual(await world.events('path'), [`${warning} hostPath type check failed: /nowhere is not a directory`]);
  assert.equal(await world.row('secret'), '0/1 ContainerCreating 0');
  await addObjects(world);
  await world.clock.advance(10_000);
  assert.equal(await world.row('secret'), '1/1 Running 0');
  assert.match((await world.events('nfs')).join(), /FailedMount x[3-6] /);
  await world.close();
});

test('security context, resources, stop signal and the rest reach the runtime', async () => {
  const world = await startKubeletWorld('config');
  await world.create('p', {
    securityContext: { runAsUser: 1000, fsGroup: 2000, supplementalGroups: [7], runAsNonRoot: true },
    containers: [
      {
        ...containerOf('c', 'run'),
        workingDir: '/w',
        stdin: true,
        terminationMessagePath: '/tmp/last-words',
        securityContext: {
          runAsGroup: 5,
          readOnlyRootFilesystem: true,
          allowPrivilegeEscalation: false,
          capabilities: { drop: ['ALL'] },
        },
        resources: { requests: { cpu: '250m', memory: '1Gi' }, limits: { cpu: '500m', memory: '2Gi' } },
      },
    ],
  });
  await world.clock.advance(1_000);
  const config = world.noted.configs.get('c');
  assert.deepEqual(config?.securityContext, {
    privileged: false,
    runAsUser: 1000,
    runAsGroup: 5,
    supplementalGroups: [7, 2000],
    readonlyRootfs: true,
    noNewPrivs: true,
    addCapabilities: [],
    dropCapabilities: ['ALL'],
  });
  assert.deepEqual(config.resources, {
    cpuShares: 256,
    cpuQuota: 50_000,
    cpuPeriod: 100_000,
    memoryLimitBytes: 2 * 1_024 ** 3,
    oomScoreAdj: 750, // a quarter of the machine's memory is asked for
  });
  assert.deepEqual(
    [config.workingDir, config.stdin, config.logPath, config.mounts.at(-1)?.containerPath],
    ['/w', true, 'c/0.log', '/tmp/last-words'],
  );
  const status = (await world.pod('p')).status?.containerStatuses?.[0];
  assert.deepEqual(status?.allocatedResources, { cpu: '250m', memory: '1Gi' });
  assert.deepEqual(status?.resources?.limits, { cpu: '500m', memory: '2Gi' });
  await world.close();
});

test('runAsNonRoot without a user is refused, as is root', async () => {
  const world = await startKubeletWorld('non-root');
  await world.create('unknown', { securityContext: { runAsNonRoot: true } });
  await world.create('root', { securityContext: { runAsNonRoot: true, runAsUser: 0 } });
  await world.clock.advance(1_000);
  assert.match(
    await waitingOf(world, 'unknown'),
    /^CreateContainerConfigError: container has runAsNonRoot and image will run as root \(pod: .*, container: main\)$/,
  );
  assert.match(
    await waitingOf(world, 'root'),
    /^CreateContainerConfigError: container's runAsUser breaks non-root policy/,
  );
  await world.close();
});

test("runAsNonRoot looks at the image's own user when the pod names none", async () => {
  const image = { sizeBytes: 1, entrypoint: ['run'] };
  const world = await startKubeletWorld('image-user', {
    images: [
      { ...image, name: 'docker.io/library/number:1', uid: 65_532 },
      { ...image, name: 'docker.io/library/late:1', uid: 7, mustBePulled: true },
      { ...image, name: 'docker.io/library/name:1', username: 'nobody' },
    ],
  });
  for (const name of ['number', 'late', 'name']) {
    const containers = [{ name: 'c', image: `${name}:1` }];
    await world.create(name, { securityContext: { runAsNonRoot: true }, containers });
  }
  await world.clock.advance(1_000);
  assert.equal(await world.row('number'), '1/1 Running 0');
  assert.equal(await world.row('late'), '1/1 Running 0');
  assert.match(
    await waitingOf(world, 'name'),
    /^CreateContainerConfigError: container has runAsNonRoot and image has non-numeric user \(nobody\), cannot verify/,
  );
  await world.close();
});

test('the names of a pod: what it brings is added to what the machine has, unless its policy is None', async () => {
  const world = await startKubeletWorld('dns');
  await world.files.makeDirectory('/etc', 0o755);
  const resolv = '# made by hand\nsearch lab.example  corp.example\nnameserver 192.0.2.53\noptions ndots:2 rotate\n';
  await world.files.write('/etc/resolv.conf', resolv, 0o644);
  const dnsConfig = {
    nameservers: ['192.0.2.1', '192.0.2.2', '192.0.2.3'],
    searches: ['lab.example', 'own.example'],
    options: [{ name: 'ndots', value: '5' }, { name: 'edns0' }],
  };
  const configs: Record<string, unknown> = {};
  const { runtime } = world.noted;
  const { runPodSandbox } = runtime;
  runtime.runPodSandbox = (config, signal) => {
    configs[config.metadata.name] = config.dnsConfig;
    return runPodSandbox(config, signal);
  };
  await world.create('plain');
  await world.create('default', { dnsPolicy: 'Default', dnsConfig });
  await world.create('none', { dnsPolicy: 'None', dnsConfig: { nameservers: ['192.0.2.9'] } });
  await world.clock.advance(1_000);
  assert.deepEqual(configs, {
    plain: undefined,
    default: {
      servers: ['192.0.2.53', '192.0.2.1', '192.0.2.2'],
      searches: ['lab.example', 'corp.example', 'own.example'],
      options: ['ndots:5', 'rotate', 'edns0'],
    },
    none: { servers: ['192.0.2.9'], searches: [], options: [] },
  });
  assert.ok(
    (await world.events('default')).includes(
      'Warning DNSConfigForming x1 Nameserver limits were exceeded, some nameservers have been omitted, ' +
        'the applied nameserver line is: 192.0.2.53 192.0.2.1 192.0.2.2',
    ),
  );
  assert.ok(
    (await world.events('node-1')).includes(
      'Warning MissingClusterDNS x1 kubelet does not have ClusterDNS IP configured and cannot create Pod using ' +
        '"ClusterFirst" policy. Falling back to "Default" policy.',
    ),
  );
  await world.close();
});

test('the handler of its runtime class takes the pod; without the class there is no sandbox', async () => {
  const world = await startKubeletWorld('runtime-class');
  const handlers: Record<string, unknown> = {};
  const { runtime } = world.noted;
  const { runPodSandbox } = runtime;
  runtime.runPodSandbox = (config, signal) => {
    handlers[config.metadata.name] = config.runtimeHandler;
    return runPodSandbox(config, signal);
  };
  const never = new AbortController().signal;
  const runtimeClass = { metadata: { name: 'gvisor' }, handler: 'runsc' };
  await world.client.create(resources.runtimeclasses, {}, runtimeClass, never);
  await world.create('plain');
  await world.create('safe', { runtimeClassName: 'gvisor' });
  await world.clock.advance(1_000);
  assert.deepEqual(handlers, { plain: undefined, safe: 'runsc' });
  await world.create('late', { runtimeClassName: 'gvisor' });
  await world.client.delete(resources.runtimeclasses, { name: 'gvisor' }, {}, never);
  await world.clock.advance(20_000);
  assert.deepEqual(
    (await world.events('late')).filter((event) => event.includes('SandBox')),
    ['Warning FailedCreatePodSandBox x2 Failed to create pod sandbox: runtimeclass.node.k8s.io "gvisor" not found'],
  );
  await world.close();
});

test("host aliases and the machine's network", async () => {
  const world = await startKubeletWorld('aliases');
  await world.files.makeDirectory('/etc', 0o755);
  await world.files.write('/etc/hosts', '127.0.0.1 localhost\n', 0o644);
  const hostAliases = [{ ip: '10.9.9.9', hostnames: ['db', 'db.local'] }];
  const pod = await world.create('p', { hostNetwork: true, hostAliases });
  await world.create('plain', { hostNetwork: true });
  await world.clock.advance(1_000);
  assert.equal(
    world.files.text(`/var/lib/kubelet/pods/${pod.metadata?.uid}/etc-hosts`),
    '# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n\n# Entries added by HostAliases.\n10.9.9.9\tdb\tdb.local\n',
  );
  assert.equal((await world.pod('plain')).status?.podIP, '192.0.2.2');
  assert.ok(!world.noted.configs.get('main')?.mounts.some(({ containerPath }) => containerPath === '/etc/hosts'));
  await world.close();
});
