/** Real containers when something ends that they depend on: livelet, containerd, the network, the disk. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Pod } from '../../src/api/gen/types.ts';
import { skipWithoutContainerd, startContainerd } from '../support/containerd.ts';
import type { TestContainerd } from '../support/containerd.ts';
import { resources, startCluster } from '../../src/main/livelet.ts';
import { liveletBin, runKubectl, runLivelet, sleepMs, startLivelet } from './livelet-up.ts';
import type { RunningLivelet } from './livelet-up.ts';
import { Pods, containerIdOf, isReady, podOf, restartsOf, shell } from './pods.ts';

let containerd: TestContainerd;
let cluster: RunningLivelet;
let pods: Pods;

const start = async (dataDir: string): Promise<RunningLivelet> =>
  await startLivelet({ dataDir, runtime: containerd.endpoint });
const newDataDir = (): string => fs.mkdtempSync(path.join(containerd.directory, 'livelet-'));

/** Ids of the tasks that containerd runs. */
/** Sorted: `ctr` lists them in any order. */
async function runningTasks(): Promise<string[]> {
  const lines = (await containerd.ctr('tasks', 'list')).split('\n').slice(1);
  const running = lines.filter((line) => line.includes('RUNNING')).map((line) => line.split(' ')[0] ?? '');
  return running.sort();
}

const bareId = (pod: Pod): string => containerIdOf(pod).replace('containerd://', '');
const readyChangedAt = ({ status }: Pod): string | undefined =>
  status?.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime ?? undefined;

// One after the other: each takes something away from all of them.
describe('faults on containerd', { skip: skipWithoutContainerd(), concurrency: 1 }, () => {
  before(async () => {
    containerd = await startContainerd();
    cluster = await start(newDataDir());
    pods = new Pods(cluster);
  });
  after(async () => {
    await cluster?.livelet(['down', '--containers', '--data-dir', cluster.dataDir]);
    await cluster?.stop('SIGKILL');
    await containerd?.stop();
  });

  test('after SIGKILL of livelet the next one takes the containers over as they are', async () => {
    const readinessProbe = { exec: { command: ['true'] }, periodSeconds: 2 };
    const always = { restartPolicy: 'Always' } as const;
    await pods.create(
      podOf('steady', [shell('exec sleep 100000', { readinessProbe })], always),
      podOf('crasher', [shell('sleep 1; exit 3')], always),
      podOf('ends-meanwhile', [shell('sleep 6; exit 7')]),
    );
    const before_ = await pods.untilReady('steady');
    const crashed = await pods.until('crasher', 'restarted', (pod) => restartsOf(pod) >= 1);
    await pods.until('ends-meanwhile', 'running', ({ status }) => status?.phase === 'Running');
    await cluster.stop('SIGKILL');
    assert.ok((await runningTasks()).includes(bareId(before_)), 'containers run on without livelet');
    await sleepMs(6_000);
    cluster = await start(cluster.dataDir);
    pods.use(cluster);
    const ended = await pods.until('ends-meanwhile', 'ended', ({ status }) => status?.phase === 'Failed');
    assert.equal(ended.status?.containerStatuses?.[0]?.state?.terminated?.exitCode, 7);
    await pods.until('crasher', 'one more', (pod) => restartsOf(pod) > restartsOf(crashed));
    await sleepMs(10_000); // long enough for a flap
    const after_ = await pods.get('steady');
    assert.deepEqual(
      [containerIdOf(after_), restartsOf(after_), isReady(after_), readyChangedAt(after_)],
      [containerIdOf(before_), 0, true, readyChangedAt(before_)],
    );
    await pods.remove('crasher');
  });

  test('down lets containers run on and says so, the next up takes them over; down --containers ends them', async () => {
    const { dataDir } = cluster;
    const steady = await pods.get('steady');
    const down = await runLivelet(['down', '--data-dir', dataDir]);
    assert.deepEqual(down, { code: 0, stdout: `cluster on ${dataDir} stopped; 1 container runs on\n`, stderr: '' });
    assert.ok((await runningTasks()).includes(bareId(steady)));
    cluster = await start(dataDir);
    pods.use(cluster);
    assert.equal(containerIdOf(await pods.get('steady')), containerIdOf(steady));
    const end = await runLivelet(['down', '--containers', '--data-dir', dataDir]);
    assert.deepEqual(end, { code: 0, stdout: `cluster on ${dataDir} stopped\n`, stderr: '' });
    assert.deepEqual(await runningTasks(), []);
    cluster = await start(dataDir);
    pods.use(cluster);
    const again = await pods.until('steady', 'restarted', (pod) => restartsOf(pod) === 1 && isReady(pod));
    assert.equal(again.metadata?.uid, steady.metadata?.uid);
  });

  test('what is left of pods that are gone is removed at the start; what is not ours stays', async () => {
    const other = await start(newDataDir());
    const otherPods = new Pods(other);
    await otherPods.create(podOf('gone', [shell('exec sleep 100000')], { restartPolicy: 'Always' }));
    const gone = await otherPods.until('gone', 'runs', (pod) => isReady(pod));
    await other.stop('SIGKILL');
    for (const name of fs.readdirSync(other.dataDir).filter((file) => file.endsWith('.mdb') || file === 'store')) {
      fs.rmSync(path.join(other.dataDir, name), { recursive: true });
    }
    const steady = await pods.get('steady');
    const next = await start(other.dataDir);
    try {
      const podDirectories = (): string[] => fs.readdirSync(path.join(other.dataDir, 'kubelet/pods'));
      const isLeft = async (): Promise<boolean> =>
        podDirectories().length > 0 || (await runningTasks()).includes(bareId(gone));
      for (let i = 0; i < 300 && (await isLeft()); i++) await sleepMs(100);
      assert.deepEqual(podDirectories(), []);
      const running = await runningTasks();
      assert.ok(!running.includes(bareId(gone)), 'the container of a pod that nobody knows has ended');
      assert.ok(running.includes(bareId(steady)), 'the other cluster has kept its own');
    } finally {
      await next.stop();
    }
  });

  test('containerd stops and starts again: nothing is lost, and no second instance runs', async () => {
    await pods.create(podOf('dies', [shell('sleep 5; exit 4')], { restartPolicy: 'OnFailure' }));
    await pods.untilReady('dies');
    const steady = await pods.get('steady');
    await containerd.stopDaemon();
    await sleepMs(7_000);
    await containerd.startDaemon();
    const died = await pods.until('dies', 'restarted', (pod) => restartsOf(pod) >= 1);
    assert.equal(died.status?.containerStatuses?.[0]?.lastState?.terminated?.exitCode, 4);
    const now = await pods.untilReady('steady');
    assert.deepEqual([containerIdOf(now), restartsOf(now)], [containerIdOf(steady), restartsOf(steady)]);
    await pods.remove('dies');
  });

  test('a containerd that hangs is waited for, and its node is not Ready meanwhile', async () => {
    const steady = await pods.get('steady');
    const nodeReady = async (): Promise<string> =>
      await pods.ok(['get', 'node', '-o', 'jsonpath={.items[0].status.conditions[?(@.type=="Ready")].status}']);
    containerd.pauseDaemon();
    try {
      for (let i = 0; i < 240 && (await nodeReady()) === 'True'; i++) await sleepMs(1_000);
      assert.notEqual(await nodeReady(), 'True');
    } finally {
      containerd.resumeDaemon();
    }
    for (let i = 0; i < 60 && (await nodeReady()) !== 'True'; i++) await sleepMs(1_000);
    assert.equal(await nodeReady(), 'True');
    assert.equal(containerIdOf(await pods.untilReady('steady')), containerIdOf(steady));
  });

  test('without a network configuration no new pod starts, and the node says why; it goes on when it is back', async () => {
    const saved = fs.readFileSync(containerd.cniConfigPath);
    fs.rmSync(containerd.cniConfigPath);
    await sleepMs(1_000); // until containerd has seen it
    await pods.create(podOf('no-net', [shell('echo started')]));
    const text = await pods.untilEvent('no-net', 'NetworkNotReady|FailedCreatePodSandBox', /network|cni/i);
    assert.match(text, /cni|network/i);
    fs.writeFileSync(containerd.cniConfigPath, saved);
    await pods.until('no-net', 'ended', ({ status }) => status?.phase === 'Succeeded');
  });

  test('a plugin of the network that fails is an event with its words, and is tried again', async () => {
    const saved = fs.readFileSync(containerd.cniConfigPath, 'utf8');
    fs.writeFileSync(containerd.cniConfigPath, saved.replace(/"subnet": "[^"]*"/, '"subnet": "nonsense"'));
    await sleepMs(1_000);
    await pods.create(podOf('bad-net', [shell('echo started')]));
    const text = await pods.untilEvent('bad-net', 'FailedCreatePodSandBox', /./);
    assert.match(text, /^Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network/);
    fs.writeFileSync(containerd.cniConfigPath, saved);
    await pods.until('bad-net', 'ended', ({ status }) => status?.phase === 'Succeeded');
  });

  test('a full disk for logs stops neither the pod nor the node', async () => {
    const dataDir = newDataDir();
    const logs = path.join(dataDir, 'pods');
    fs.mkdirSync(logs);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'livelet-test', logs]);
    const full = await start(dataDir);
    const fullPods = new Pods(full);
    try {
      const volumes = [{ name: 'host', hostPath: { path: dataDir } }];
      const volumeMounts = [{ name: 'host', mountPath: '/host' }];
      const script = 'yes 0123456789 | head -n 200000; touch /host/written; exec sleep 100000';
      await fullPods.create(podOf('chatty', [shell(script, { volumeMounts })], { volumes }));
      for (let i = 0; i < 300 && !fs.existsSync(path.join(dataDir, 'written')); i++) await sleepMs(100);
      assert.ok(fs.existsSync(path.join(dataDir, 'written')), 'it is not held up by its log');
      assert.equal(isReady(await fullPods.get('chatty')), true);
      assert.match(await fullPods.ok(['logs', 'chatty', '--tail=1']), /^0123/);
      await fullPods.remove('chatty');
      assert.equal(await fullPods.output(podOf('after', [shell('echo room again')])), 'room again\n');
    } finally {
      await full.livelet(['down', '--containers', '--data-dir', dataDir]);
      execFileSync('umount', [logs]);
    }
  });

  test('livelet can be stopped while containerd is away', async () => {
    const { dataDir } = cluster;
    const steady = await pods.get('steady');
    await containerd.stopDaemon();
    const down = await runLivelet(['down', '--data-dir', dataDir]);
    assert.equal(down.code, 0, down.stderr);
    await containerd.startDaemon();
    cluster = await start(dataDir);
    pods.use(cluster);
    assert.equal(containerIdOf(await pods.untilReady('steady')), containerIdOf(steady));
  });

  test('up on a socket where nobody answers is one clear line that says what to do', async () => {
    const endpoint = `unix://${containerd.directory}/none.sock`;
    const { code, stdout, stderr } = await runLivelet(['up', '--data-dir', newDataDir(), '--runtime', endpoint]);
    assert.deepEqual([code, stdout, stderr.split('\n').length], [1, '', 2], stderr);
    assert.ok(stderr.includes(`"livelet node check --runtime ${endpoint}"`), stderr);
    const check = await runLivelet(['node', 'check', '--runtime', endpoint]);
    assert.equal(check.code, 1);
    assert.match(check.stdout, /^missing\s+runtime\s+unix:.* does not answer: no such file or directory$/m);
    const here = await runLivelet(['node', 'check', '--runtime', containerd.endpoint]);
    assert.equal(here.code, 0, here.stdout);
    assert.match(here.stdout, /^ok\s+sandbox image\s+livelet\.test\/pause:1$/m);
  });

  test('--runtime cri finds the usual socket', () => {
    // In a mount namespace of its own, where /run is empty but for the socket.
    const script = `mount -t tmpfs livelet-test /run && mkdir /run/containerd &&
      ln -s "$SOCKET" /run/containerd/containerd.sock && exec "$NODE" "$BIN" node check --runtime cri`;
    const env = { ...process.env, SOCKET: containerd.socket, NODE: process.execPath, BIN: liveletBin };
    const text = execFileSync('unshare', ['--mount', 'sh', '-c', script], { env, encoding: 'utf8' });
    assert.match(
      text,
      /^ok\s+runtime\s+containerd \S+ speaks CRI v1 at unix:\/\/\/run\/containerd\/containerd\.sock$/m,
    );
  });

  test('in the library, stop() ends the containers, and nothing is left of a cluster without a directory', async () => {
    const before_ = await runningTasks();
    const { signal } = new AbortController();
    const own = await startCluster({ runtime: containerd.endpoint, nodeName: 'own' });
    const volumes = [{ name: 'ram', emptyDir: { medium: 'Memory' } }];
    const container = shell('exec sleep 100000', { volumeMounts: [{ name: 'ram', mountPath: '/ram' }] });
    await own.client.create(resources.pods, { namespace: 'default' }, podOf('own', [container], { volumes }), signal);
    const ownPods = new Pods({ ...cluster, kubectl: (args) => runKubectl(own.kubeconfigPath, args) });
    const pod = await ownPods.untilReady('own');
    const owner = fs.readFileSync(path.join(own.dataDir, 'runtime-owner'), 'utf8').trim();
    assert.ok((await runningTasks()).includes(bareId(pod)));
    await own.stop();
    assert.deepEqual(await runningTasks(), before_);
    assert.ok(!(await containerd.ctr('containers', 'list')).includes(bareId(pod)));
    assert.equal(fs.existsSync(own.dataDir), false);
    assert.equal(fs.readFileSync('/proc/self/mounts', 'utf8').includes(own.dataDir), false);
    assert.equal(execFileSync('find', ['/sys/fs/cgroup', '-name', `livelet-${owner}`], { encoding: 'utf8' }), '');
  });
});
