/** Pods in real containers: `livelet up --runtime unix://...` on a containerd of its own, with the real kubectl. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Container, Pod } from '../../src/api/gen/types.ts';
import { skipWithoutContainerd, startContainerd } from '../support/containerd.ts';
import type { TestContainerd } from '../support/containerd.ts';
import { kubectlVersions, startLivelet } from './livelet-up.ts';
import type { CommandResult, RunningLivelet } from './livelet-up.ts';
import { Pods, isReady, podOf, shell, waitingMessage, waitingReason } from './pods.ts';

let containerd: TestContainerd;
let cluster: RunningLivelet;
let pods: Pods;

const atATime = 4;

describe('pods on containerd', { skip: skipWithoutContainerd(), concurrency: atATime }, () => {
  before(async () => {
    containerd = await startContainerd();
    const dataDir = fs.mkdtempSync(path.join(containerd.directory, 'livelet-'));
    cluster = await startLivelet({ dataDir, runtime: containerd.endpoint });
    pods = new Pods(cluster);
    await pods.create(
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'cm' }, data: { color: 'blue', 'app.conf': 'a=1\n' } },
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'sec' }, stringData: { password: 's3cret' } },
    );
  });
  after(async () => {
    await cluster?.livelet(['down', '--containers', '--data-dir', cluster.dataDir]);
    await cluster?.stop('SIGKILL');
    await containerd?.stop();
  });

  describe('what cannot be run', { concurrency: atATime }, badInput);
  describe('environment and files', { concurrency: atATime }, environment);
  describe('limits and privileges', { concurrency: atATime }, privileges);
  describe('network', { concurrency: atATime }, network);
  describe("a pod's life", { concurrency: atATime }, life);
});

function ended({ status }: Pod): boolean {
  return ['Succeeded', 'Failed'].includes(status?.phase ?? '');
}

function badInput(): void {
  test("an image that no registry has is waited for, with the runtime's words", async () => {
    await pods.create(podOf('no-image', [shell('true', { image: 'livelet.test/nosuch:1' })]));
    const text = await pods.untilEvent('no-image', 'Failed', /^Failed to pull image/);
    assert.match(text, /^Failed to pull image "livelet\.test\/nosuch:1": .*livelet\.test\/nosuch:1: not found$/);
    await pods.untilEvent('no-image', 'BackOff', /^Back-off pulling image "livelet\.test\/nosuch:1"$/);
    await pods.until('no-image', 'ImagePullBackOff', (pod) => waitingReason(pod) === 'ImagePullBackOff');
  });

  test('a bad image name is not asked for', async () => {
    await pods.create(podOf('bad-name', [shell('true', { image: 'Busy:::box' })]));
    const pod = await pods.until('bad-name', 'InvalidImageName', (now) => waitingReason(now) === 'InvalidImageName');
    assert.match(waitingMessage(pod), /^Failed to apply default image tag "Busy:::box": couldn't parse image name/);
    assert.ok(!containerd.registry.requests.some((line) => line.includes('Busy')));
  });

  test('an image that may not be pulled and is not there', async () => {
    const container = shell('true', { image: 'livelet.test/nosuch:2', imagePullPolicy: 'Never' });
    await pods.create(podOf('never', [container]));
    const pod = await pods.until('never', 'ErrImageNeverPull', (now) => waitingReason(now) === 'ErrImageNeverPull');
    assert.equal(
      waitingMessage(pod),
      'Container image "livelet.test/nosuch:2" is not present with pull policy of Never',
    );
  });

  test('a command that is not there is a StartError with exit code 128', async () => {
    await pods.create(podOf('no-command', [{ name: 'c', image: 'busybox:1.36', command: ['/no/such/command'] }]));
    const { status } = await pods.until('no-command', 'ended', ended);
    const terminated = status?.containerStatuses?.[0]?.state?.terminated;
    assert.deepEqual([terminated?.reason, terminated?.exitCode], ['StartError', 128]);
    assert.match(terminated?.message ?? '', /exec: "\/no\/such\/command": stat \/no\/such\/command: no such file/);
    await pods.untilEvent('no-command', 'Failed', /^Error: failed to create containerd task:/);
  });

  test('a ConfigMap that comes later is waited for', async () => {
    const env = [{ name: 'X', valueFrom: { configMapKeyRef: { name: 'later', key: 'x' } } }];
    await pods.create(podOf('cm-later', [shell('echo $X', { env })]));
    const pod = await pods.until('cm-later', 'refused', (now) => waitingReason(now) === 'CreateContainerConfigError');
    assert.equal(waitingMessage(pod), 'configmap "later" not found');
    await pods.create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'later' }, data: { x: 'here' } });
    await pods.until('cm-later', 'ended', ended);
    assert.equal(await pods.ok(['logs', 'cm-later']), 'here\n');
  });

  test('a key that is not in its ConfigMap or Secret', async () => {
    const ofMap = [{ name: 'X', valueFrom: { configMapKeyRef: { name: 'cm', key: 'nokey' } } }];
    const ofSecret = [{ name: 'X', valueFrom: { secretKeyRef: { name: 'sec', key: 'nokey' } } }];
    await pods.create(
      podOf('no-key', [shell('true', { env: ofMap })]),
      podOf('no-key-sec', [shell('true', { env: ofSecret })]),
    );
    for (const [name, text] of [
      ['no-key', "couldn't find key nokey in ConfigMap default/cm"],
      ['no-key-sec', "couldn't find key nokey in Secret default/sec"],
    ] as const) {
      const pod = await pods.until(name, 'refused', (now) => waitingReason(now) === 'CreateContainerConfigError');
      assert.equal(waitingMessage(pod), text);
    }
  });

  test('a Secret volume whose Secret is not there holds the pod back', async () => {
    const volumes = [{ name: 'v', secret: { secretName: 'nosuch' } }];
    await pods.create(podOf('no-secret', [shell('true')], { volumes }));
    const text = await pods.untilEvent('no-secret', 'FailedMount', /./);
    assert.equal(text, 'MountVolume.SetUp failed for volume "v" : secret "nosuch" not found');
    assert.equal(waitingReason(await pods.get('no-secret')), 'ContainerCreating');
  });

  test('a hostPath that cannot be used as it is asked for', async () => {
    const notThere = [{ name: 'v', hostPath: { path: '/no/such/directory', type: 'Directory' } }];
    const unwritable = [{ name: 'v', hostPath: { path: '/proc/livelet/sub', type: 'DirectoryOrCreate' } }];
    const container = shell('true', { volumeMounts: [{ name: 'v', mountPath: '/v' }] });
    await pods.create(podOf('no-dir', [container], { volumes: notThere }));
    await pods.create(podOf('no-write', [container], { volumes: unwritable }));
    const text = await pods.untilEvent('no-dir', 'FailedMount', /./);
    const failed = 'MountVolume.SetUp failed for volume "v" : ';
    assert.equal(text, `${failed}hostPath type check failed: /no/such/directory is not a directory`);
    assert.ok((await pods.untilEvent('no-write', 'FailedMount', /\/proc\/livelet/)).startsWith(failed));
  });

  test('a probe of a port name that the container does not have', async () => {
    const readinessProbe = { httpGet: { port: 'nosuch' }, periodSeconds: 1 };
    await pods.create(podOf('no-port', [shell('sleep 600', { readinessProbe })]));
    await pods.untilEvent('no-port', 'Unhealthy', /^Readiness probe errored.*nosuch/);
    assert.equal(isReady(await pods.get('no-port')), false);
    await pods.remove('no-port');
  });

  test('an image that runs as root, or as a name, where root is forbidden', async () => {
    const securityContext = { runAsNonRoot: true };
    const one = (image: string): Container[] => [shell('id -u', { image, securityContext })];
    await pods.create(podOf('as-root', one('busybox:1.36')), podOf('as-name', one('livelet.test/as-nobody:1')));
    const isRefused = (pod: Pod): boolean => waitingReason(pod) === 'CreateContainerConfigError';
    const root = await pods.until('as-root', 'refused', isRefused);
    assert.match(
      waitingMessage(root),
      /^container has runAsNonRoot and image will run as root \(pod: "as-root_default/,
    );
    const name = await pods.until('as-name', 'refused', isRefused);
    assert.match(waitingMessage(name), /^container has runAsNonRoot and image has non-numeric user \(nobody\)/);
    assert.equal(await pods.output(podOf('as-1000', one('livelet.test/as-1000:1'))), '1000\n');
  });
}

function environment(): void {
  test('env from everywhere, expanded in command and args; working directory and hostname', async () => {
    const container: Container = {
      name: 'c',
      image: 'busybox:1.36',
      command: ['sh', '-c', 'echo $(PLAIN) $0 $PLAIN $POD_IP $CPU $color $SECRET $PRE_color; pwd; hostname'],
      args: ['$(SECRET)-$$(X)'],
      workingDir: '/var/tmp',
      envFrom: [{ configMapRef: { name: 'cm' } }, { prefix: 'PRE_', configMapRef: { name: 'cm' } }],
      env: [
        { name: 'PLAIN', value: 'plain' },
        { name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
        { name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '1m' } } },
        { name: 'SECRET', valueFrom: { secretKeyRef: { name: 'sec', key: 'password' } } },
      ],
      resources: { limits: { cpu: '300m' } },
    };
    const output = await pods.output(podOf('env', [container]));
    const ip = (await pods.get('env')).status?.podIP;
    assert.equal(output, `plain s3cret-$(X) plain ${ip} 300 blue s3cret blue\n/var/tmp\nenv\n`);
  });

  test('/etc/hosts and /etc/resolv.conf are as the pod asks', async () => {
    const output = await pods.output(
      podOf('names', [shell('grep example /etc/hosts; grep names /etc/hosts; cat /etc/resolv.conf')], {
        hostAliases: [{ ip: '192.0.2.7', hostnames: ['a.example', 'b.example'] }],
        dnsPolicy: 'None',
        dnsConfig: { nameservers: ['192.0.2.53'], searches: ['x.test'], options: [{ name: 'ndots', value: '3' }] },
      }),
    );
    const ip = (await pods.get('names')).status?.podIP;
    const [aliases, own, ...resolv] = output.trimEnd().split('\n');
    assert.deepEqual([aliases, own], ['192.0.2.7\ta.example\tb.example', `${ip}\tnames`]);
    assert.deepEqual(resolv, ['search x.test', 'nameserver 192.0.2.53', 'options ndots:3']);
  });

  test('every kind of volume, where it is mounted and with its modes', async () => {
    const host = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-host-'));
    fs.writeFileSync(path.join(host, 'in'), 'from the host\n');
    const script = [
      'cat /cm/color /cm1/conf /sec/password; echo',
      'cat /down/labels; echo',
      'cat /all/color /all/name; echo',
      'stat -L -c %a /sec/password',
      'echo both > /box/f; cat /again/f; touch /cm/x 2>&1 | grep -c -i read-only',
      'cat /host/in; echo out > /host/out',
      'grep " /ram " /proc/mounts | cut -d" " -f3',
      'ls /box/deep',
    ];
    const volumeMounts = [
      ...['cm', 'cm1', 'sec', 'down', 'all', 'host', 'ram', 'box'].map((name) => ({ name, mountPath: `/${name}` })),
      { name: 'box', mountPath: '/again' },
      { name: 'box', mountPath: '/box/deep', subPath: 'inner' },
    ];
    const output = await pods.output(
      podOf('volumes', [shell(script.join('\n'), { volumeMounts })], {
        volumes: [
          { name: 'cm', configMap: { name: 'cm' } },
          { name: 'cm1', configMap: { name: 'cm', items: [{ key: 'app.conf', path: 'conf' }] } },
          { name: 'sec', secret: { secretName: 'sec', defaultMode: 0o400 } },
          { name: 'down', downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] } },
          {
            name: 'all',
            projected: {
              sources: [
                { configMap: { name: 'cm', items: [{ key: 'color', path: 'color' }] } },
                { downwardAPI: { items: [{ path: 'name', fieldRef: { fieldPath: 'metadata.name' } }] } },
              ],
            },
          },
          { name: 'host', hostPath: { path: host } },
          { name: 'ram', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
          { name: 'box', emptyDir: {} },
        ],
      }),
    );
    assert.equal(fs.readFileSync(path.join(host, 'out'), 'utf8'), 'out\n');
    fs.rmSync(host, { recursive: true });
    assert.deepEqual(output.trimEnd().split('\n'), [
      'bluea=1',
      's3cret',
      'app="volumes"',
      'bluevolumes',
      '400',
      'both',
      '1',
      'from the host',
      'tmpfs',
    ]);
  });

  test('a service account token is mounted', async () => {
    const directory = '/var/run/secrets/kubernetes.io/serviceaccount';
    const output = await pods.output(
      podOf('token', [shell(`cat ${directory}/namespace; echo; cut -c1-3 ${directory}/token; ls ${directory}`)]),
    );
    assert.equal(output, 'default\neyJ\nca.crt\nnamespace\ntoken\n');
  });

  test('an image is pulled as its policy says, with times and size', async () => {
    await pods.output(podOf('pull-1', [shell('cat /late', { image: 'livelet.test/late:1' })]));
    const text = await pods.untilEvent('pull-1', 'Pulled', /./);
    assert.match(
      text,
      /^Successfully pulled image "livelet\.test\/late:1" in [\d.]+m?s \([\d.]+m?s including waiting\)\. Image size: \d+ bytes\.$/,
    );
    await pods.output(podOf('pull-2', [shell('cat /late', { image: 'livelet.test/late:1' })]));
    const again = await pods.untilEvent('pull-2', 'Pulled', /./);
    assert.equal(again, 'Container image "livelet.test/late:1" already present on machine');
    await pods.output(podOf('pull-3', [shell('cat /late', { image: 'livelet.test/late' })])); // latest: Always
    await pods.output(podOf('pull-4', [shell('cat /late', { image: 'livelet.test/late' })]));
    await pods.untilEvent('pull-4', 'Pulled', /^Successfully pulled image "livelet\.test\/late" in/);
  });
}

/** The value of a cgroup file, of version 1 or 2. */
const cgroupValue = (v1: string, v2: string): string =>
  `cat /sys/fs/cgroup/${v1} 2>/dev/null || cut -d" " -f1 /sys/fs/cgroup/${v2}`;

function privileges(): void {
  test('limits and requests of CPU and memory are in the cgroup', async () => {
    const resources = { limits: { cpu: '500m', memory: '64Mi' }, requests: { cpu: '250m', memory: '32Mi' } };
    const script = [
      cgroupValue('memory/memory.limit_in_bytes', 'memory.max'),
      cgroupValue('cpu/cpu.cfs_quota_us', 'cpu.max'),
      cgroupValue('cpu/cpu.shares', 'cpu.weight'),
    ];
    const output = await pods.output(podOf('limits', [shell(script.join('\n'), { resources })]));
    const [memory, quota, shares] = output.trimEnd().split('\n');
    assert.deepEqual([memory, quota], [String(64 * 1_024 * 1_024), '50000']);
    assert.ok(shares === '256' || shares === '10', shares); // shares, or what runc makes of them as a weight
    assert.equal((await pods.get('limits')).status?.qosClass, 'Burstable');
  });

  test('a container that needs more memory than it may have is OOMKilled', async () => {
    const resources = { limits: { memory: '24Mi' } };
    await pods.create(podOf('oom', [shell('exec tail /dev/zero', { resources })]));
    const { status } = await pods.until('oom', 'ended', ended);
    const terminated = status?.containerStatuses?.[0]?.state?.terminated;
    assert.deepEqual([terminated?.reason, terminated?.exitCode], ['OOMKilled', 137]);
  });

  test('user, groups, capabilities, a read-only root, seccomp and no new privileges', async () => {
    const script = [
      'id -u; id -g; id -G',
      'grep -E "CapEff|Seccomp:|NoNewPrivs" /proc/self/status | tr -d "\\t"',
      'touch /x 2>&1 | grep -c -i read-only; touch /box/ok && stat -c %g /box/ok',
    ];
    const securityContext = {
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    };
    const volumeMounts = [{ name: 'box', mountPath: '/box' }];
    const output = await pods.output(
      podOf('secure', [shell(script.join('\n'), { securityContext, volumeMounts })], {
        securityContext: { runAsUser: 1_001, runAsGroup: 1_002, fsGroup: 1_003, supplementalGroups: [1_004] },
        volumes: [{ name: 'box', emptyDir: {} }],
      }),
    );
    assert.deepEqual(output.trimEnd().split('\n'), [
      '1001',
      '1002',
      '1002 1003 1004',
      'CapEff:0000000000000000',
      'NoNewPrivs:1',
      'Seccomp:2',
      '1',
      '1003',
    ]);
  });

  test('capabilities that are added and dropped; privileged', async () => {
    const caps = { capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] } };
    const script = 'grep CapEff /proc/self/status | cut -f2; ls -d /dev/kmsg 2>&1';
    const some = await pods.output(podOf('caps', [shell(script, { securityContext: caps })]));
    assert.match(some, /^0000000000000400\nls: \/dev\/kmsg: No such file/);
    const all = await pods.output(podOf('privileged', [shell(script, { securityContext: { privileged: true } })]));
    const [bits = '0', device] = all.split('\n');
    assert.equal((BigInt(`0x${bits}`) >> 21n) & 1n, 1n); // CAP_SYS_ADMIN
    assert.equal(device, '/dev/kmsg');
  });
}

async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' ? (address?.port ?? 0) : 0;
}

function network(): void {
  test('a host port leads to the pod', async () => {
    const hostPort = await freePort();
    const ports = [{ containerPort: 8_080, hostPort }];
    await pods.create(podOf('host-port', [{ name: 'c', image: 'luksa/kubia', imagePullPolicy: 'Never', ports }]));
    const pod = await pods.untilReady('host-port');
    await pods.untilEvent('host-port', 'Started', /./);
    let text = '';
    for (let i = 0; i < 100 && text === ''; i++) {
      // The app may not listen yet.
      text = await fetch(`http://${pod.status?.hostIP}:${hostPort}/`).then(
        (answer) => answer.text(),
        () => '',
      );
      if (text === '') await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.match(text, /host-port/);
    await pods.remove('host-port');
  });

  test("hostNetwork: the machine's address and name", async () => {
    const output = await pods.output(podOf('host-net', [shell('hostname; ls /sys/class/net')], { hostNetwork: true }));
    const { status } = await pods.get('host-net');
    assert.equal(status?.podIP, status?.hostIP);
    assert.equal(output.split('\n')[0], os.hostname());
    for (const name of fs.readdirSync('/sys/class/net').filter((own) => !/^veth|^lv/.test(own))) {
      assert.ok(output.includes(name), name);
    }
  });

  test('pods have addresses of their own, at which they reach each other; hostPID shows other processes', async () => {
    await pods.create(podOf('server', [{ name: 'c', image: 'luksa/kubia', imagePullPolicy: 'Never' }]));
    const ip = (await pods.until('server', 'an address', ({ status }) => (status?.podIP ?? '') !== '')).status?.podIP;
    const script = `for i in 1 2 3 4 5 6 7 8 9; do wget -q -O - http://${ip}:8080 && break; sleep 0.5; done; ps | wc -l`;
    const [answer, count] = (await pods.output(podOf('client', [shell(script)], { hostPID: true }))).split('\n');
    assert.match(answer ?? '', /server/);
    assert.ok(Number(count) > 10, count); // containerd, shims and the others' containers
    await pods.remove('server');
  });

  test('all four kinds of probe reach a container; exec ends in time', async () => {
    const grpcServer = `
      require('http2').createServer().on('stream', (stream) => {
        stream.resume().on('end', () => {
          stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
          stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
          stream.end(Buffer.from([0, 0, 0, 0, 2, 8, 1]));
        });
      }).listen(9000)`;
    const node = { image: 'node', imagePullPolicy: 'Never' };
    const probe = { periodSeconds: 1, failureThreshold: 60 };
    await pods.create(
      podOf('probes', [
        {
          name: 'grpc',
          ...node,
          command: ['node', '-e', grpcServer],
          readinessProbe: { ...probe, grpc: { port: 9_000 } },
        },
        { name: 'tcp', image: 'busybox', imagePullPolicy: 'Never', command: ['sleep', '600'] },
        {
          name: 'http',
          image: 'luksa/kubia',
          imagePullPolicy: 'Never',
          readinessProbe: { ...probe, httpGet: { port: 8_080 } },
          startupProbe: { ...probe, tcpSocket: { port: 8_080 } },
          livenessProbe: { exec: { command: ['sh', '-c', 'test -d /app'] }, periodSeconds: 1 },
        },
      ]),
    );
    await pods.untilReady('probes');
    const late = { exec: { command: ['sleep', '30'] }, timeoutSeconds: 1, periodSeconds: 1 };
    await pods.create(podOf('late-probe', [shell('sleep 600', { readinessProbe: late })]));
    const text = await pods.untilEvent('late-probe', 'Unhealthy', /./);
    assert.equal(text, 'Readiness probe failed: command timed out: "sleep 30" timed out after 1s');
    await pods.remove('late-probe');
    await pods.remove('probes');
  });
}

function life(): void {
  test('init containers in order, a sidecar beside, and the sidecar ends last', async () => {
    const volumes = [{ name: 'v', emptyDir: {} }];
    const volumeMounts = [{ name: 'v', mountPath: '/v' }];
    const initContainers: Container[] = [
      shell('echo one >> /v/order', { name: 'i1', volumeMounts }),
      shell('echo side >> /v/order; trap "exit 0" TERM; while true; do sleep 0.1; done', {
        name: 'side',
        restartPolicy: 'Always',
        volumeMounts,
        startupProbe: { exec: { command: ['grep', '-q', 'side', '/v/order'] }, periodSeconds: 1 },
      }),
      shell('echo two >> /v/order', { name: 'i2', volumeMounts }),
    ];
    const container = shell('cat /v/order', { volumeMounts });
    assert.equal(await pods.output(podOf('inits', [container], { initContainers, volumes })), 'one\nside\ntwo\n');
    const { status } = await pods.get('inits');
    assert.equal(status?.phase, 'Succeeded');
    const states = status?.initContainerStatuses?.map(({ state }) => state?.terminated?.exitCode);
    assert.deepEqual(states, [0, 0, 0]);
  });

  test('hooks run after the start and before the end', async () => {
    const host = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-hooks-'));
    const hook = (text: string): object => ({ exec: { command: ['sh', '-c', `echo ${text} >> /host/hooks`] } });
    const container = shell('trap "exit 0" TERM; while true; do sleep 0.1; done', {
      volumeMounts: [{ name: 'host', mountPath: '/host' }],
      lifecycle: { postStart: hook('postStart'), preStop: hook('preStop') },
    });
    await pods.create(podOf('hooks', [container], { volumes: [{ name: 'host', hostPath: { path: host } }] }));
    await pods.untilReady('hooks');
    assert.equal(fs.readFileSync(path.join(host, 'hooks'), 'utf8'), 'postStart\n');
    await pods.remove('hooks');
    assert.equal(fs.readFileSync(path.join(host, 'hooks'), 'utf8'), 'postStart\npreStop\n');
    fs.rmSync(host, { recursive: true });
  });

  test('termination messages from the file, and from the log after an error', async () => {
    const fallback = { terminationMessagePolicy: 'FallbackToLogsOnError' } as const;
    await pods.create(
      podOf('messages', [
        shell('printf written > /dev/termination-log', { name: 'c' }),
        shell('echo logged; exit 4', { name: 'log', ...fallback }),
        shell('echo logged', { name: 'well', ...fallback }),
      ]),
    );
    const { status } = await pods.until('messages', 'ended', ended);
    const messages = status?.containerStatuses?.map(({ name, state }) => [name, state?.terminated?.message]);
    assert.deepEqual(messages, [
      ['c', 'written'],
      ['log', 'logged\n'],
      ['well', undefined],
    ]);
  });

  test('a sick container is killed after its grace period, and its log and end stay to be seen', async () => {
    const script = 'echo life $(cat /v/n 2>/dev/null); echo x >> /v/n; exec sleep 600';
    const livenessProbe = {
      exec: { command: ['sh', '-c', 'test $(wc -l < /v/n) -gt 1'] },
      periodSeconds: 1,
      failureThreshold: 2,
    };
    const container = shell(script, { livenessProbe, volumeMounts: [{ name: 'v', mountPath: '/v' }] });
    const volumes = [{ name: 'v', emptyDir: {} }];
    await pods.create(podOf('sick', [container], { restartPolicy: 'Always', volumes }));
    const pod = await pods.until('sick', 'restarted', (now) => now.status?.containerStatuses?.[0]?.restartCount === 1);
    assert.equal(pod.status?.containerStatuses?.[0]?.lastState?.terminated?.exitCode, 137);
    await pods.untilEvent('sick', 'Killing', /^Container c failed liveness probe, will be restarted$/);
    assert.equal(await pods.ok(['logs', 'sick', '--previous']), 'life\n');
    await pods.remove('sick');
  });

  test('exec, cp, logs and port-forward go through to the container, with every kubectl', async () => {
    await pods.create(podOf('talk', [{ name: 'c', image: 'luksa/kubia', imagePullPolicy: 'Never' }]));
    await pods.untilReady('talk');
    for (const version of kubectlVersions().keys()) {
      const exec = (args: readonly string[], input?: string): Promise<CommandResult> =>
        cluster.kubectl(['exec', '-i', 'talk', '--', ...args], input, version);
      assert.deepEqual(await exec(['cat'], 'through\n'), { code: 0, stdout: 'through\n', stderr: '' }, version);
      assert.equal((await exec(['sh', '-c', 'exit 5'])).code, 5, version);
    }
    const file = path.join(containerd.directory, 'copied');
    fs.writeFileSync(file, 'there and back\n');
    await pods.ok(['cp', file, 'talk:/tmp/copied']);
    assert.equal(await pods.ok(['exec', 'talk', '--', 'cat', '/tmp/copied']), 'there and back\n');
    assert.match(await pods.ok(['logs', 'talk']), /Kubia server starting/);
    await forwarded('talk', 8_080, async (url) => {
      assert.match(await (await fetch(url)).text(), /talk/);
    });
    await pods.remove('talk');
  });
}

/** While `kubectl port-forward` leads `url` to the pod's port. */
async function forwarded(pod: string, port: number, body: (url: string) => Promise<void>): Promise<void> {
  const kubectl = [...kubectlVersions().values()].at(-1) ?? 'kubectl';
  const child = spawn(kubectl, ['port-forward', pod, `:${port}`], {
    env: { ...process.env, KUBECONFIG: cluster.kubeconfigPath },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const address = await new Promise<string>((resolve, reject) => {
      let text = '';
      child.once('exit', () => reject(new Error(`port-forward ended: ${text}`)));
      child.stdout.on('data', (data: Buffer) => {
        text += data.toString();
        const found = /Forwarding from (127\.0\.0\.1:\d+)/.exec(text)?.[1];
        if (found !== undefined) resolve(found);
      });
    });
    await body(`http://${address}/`);
  } finally {
    child.kill();
  }
}
