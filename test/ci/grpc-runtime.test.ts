/** The adapter for CRI against a real containerd of its own. */
import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { noLog } from '../../src/base/log.ts';
import { hasReason } from '../../src/base/status-error.ts';
import { prepareScopeSignals } from '../../src/base/task-scope.ts';
import { openGrpcRuntime } from '../../src/cri/grpc/grpc-runtime.ts';
import { HostCgroups } from '../../src/host/cgroups.ts';
import { HostClock } from '../../src/host/host-clock.ts';
import { skipWithoutContainerd, startContainerd, type TestContainerd } from '../support/containerd.ts';
import { containerConfig, plainSecurityContext, sandboxConfig } from '../contract/runtime-configs.ts';
import { RuntimeBench, suiteCommands, type OpenedRuntime } from '../contract/runtime-bench.ts';
import { runtimeSuite } from '../contract/runtime-suite.ts';

prepareScopeSignals((signal) => setMaxListeners(0, signal)); // as the program does
let containerd: TestContainerd;

async function open(): Promise<OpenedRuntime> {
  const { signal } = new AbortController();
  const { endpoint } = containerd;
  const directory = await fs.mkdtemp(path.join(containerd.directory, 'kubelet-'));
  const owner = path.basename(directory); // so that tests that run at a time do not see each other's
  const runtime = await openGrpcRuntime({ clock: new HostClock(), log: noLog }, { endpoint, owner }, signal);
  return {
    runtime,
    logRoot: directory,
    readLog: (logPath) => fs.readFile(logPath, 'utf8'),
    isPid1: true,
    followsPodCidr: false, // its CNI configuration says where they come from
    async close() {
      for (const { id } of await runtime.listPodSandboxes({}, signal)) await runtime.removePodSandbox(id, signal);
      await runtime.close();
    },
  };
}

type Body = (bench: RuntimeBench) => Promise<void>;

/** As the suite's tests. */
function containerdTest(sentence: string, body: Body): void {
  test(sentence, { timeout: 60_000 }, async () => {
    const opened = await open();
    const end = new AbortController();
    setMaxListeners(0, end.signal);
    try {
      await body(new RuntimeBench(opened, end.signal));
    } finally {
      end.abort(new Error('the test is over'));
      await opened.close();
    }
  });
}

async function shell(bench: RuntimeBench, id: string, script: string): Promise<string> {
  const { stdout } = await bench.runtime.execSync(id, ['sh', '-c', script], 20_000, bench.signal);
  return Buffer.from(stdout).toString();
}

function kernelTests(): void {
  containerdTest('the security context and the limits are those that were asked for', async (bench) => {
    const id = await bench.run(suiteCommands.sleeper, {
      mounts: [{ containerPath: '/data', hostPath: bench.opened.logRoot, readonly: true }],
      resources: {
        cpuShares: 512,
        cpuQuota: 50_000,
        cpuPeriod: 100_000,
        memoryLimitBytes: 67_108_864,
        oomScoreAdj: 1_000,
      },
      securityContext: {
        ...plainSecurityContext,
        runAsUser: 1_000,
        runAsGroup: 2_000,
        supplementalGroups: [3_000],
        readonlyRootfs: true,
        noNewPrivs: true,
        addCapabilities: ['NET_ADMIN'],
        dropCapabilities: ['CHOWN'],
        seccompProfile: 'RuntimeDefault',
      },
    });
    const script =
      'id -u; id -g; id -G; grep -E "^(CapBnd|NoNewPrivs|Seccomp):" /proc/1/status; cat /proc/1/oom_score_adj';
    const facts = (await shell(bench, id, script)).trim().split(/\s+/).join(' ');
    assert.equal(facts, '1000 2000 2000 3000 CapBnd: 00000000a80435fa NoNewPrivs: 1 Seccomp: 2 1000');
    const mounts = "grep -oE '^[^ ]+ (/|/data|/proc/sys|/proc/timer_list) [^ ]+ r[ow]' /proc/mounts | cut -d' ' -f2,4";
    const readonly = (await shell(bench, id, mounts)).trim().split('\n').sort();
    assert.deepEqual(readonly, ['/ ro', '/data ro', '/proc/sys ro', '/proc/timer_list rw']);
    assert.equal(await shell(bench, id, 'wc -c < /proc/timer_list'), '0\n', 'hidden');
    const limit = await shell(
      bench,
      id,
      'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>&-',
    );
    assert.equal(limit.trim(), '67108864');
  });

  containerdTest(
    'a privileged container in the machine’s namespaces, and below the pod’s control group',
    async (bench) => {
      const cgroups = await HostCgroups.open();
      if (cgroups === undefined) assert.fail('this process may not make control groups');
      const root = `/livelet-test-${process.pid}`;
      try {
        const sandbox = await bench.sandbox({
          privileged: true,
          cgroupParent: `${root}/pod1`,
          namespaces: { network: 'node', pid: 'node', ipc: 'node' },
          dnsConfig: { servers: ['192.0.2.1'], searches: ['a.example'], options: ['ndots:5'] },
        });
        const securityContext = { ...plainSecurityContext, privileged: true };
        const id = await bench.run(suiteCommands.sleeper, { securityContext }, sandbox);
        const { ips, networkMode } = await bench.runtime.podSandboxStatus(sandbox.id, bench.signal);
        assert.deepEqual([ips, networkMode], [[], 'node']);
        const text = await shell(
          bench,
          id,
          'cat /etc/resolv.conf; ls -d /dev/mem /dev/kmsg; hostname; cat /proc/self/cgroup',
        );
        for (const part of [
          'nameserver 192.0.2.1',
          'search a.example',
          'options ndots:5',
          '/dev/kmsg',
          os.hostname(),
        ]) {
          assert.ok(text.includes(part), `${part} in ${text}`);
        }
        assert.ok(text.includes(`${root}/pod1/${id}`), text);
        await bench.runtime.removePodSandbox(sandbox.id, bench.signal);
      } finally {
        await cgroups.remove(root);
      }
    },
  );

  containerdTest('a container that ran out of memory says so as soon as its end is told', async (bench) => {
    const resources = { ...noLimits, memoryLimitBytes: 33_554_432 };
    const id = await bench.run(['tail', '/dev/zero'], { resources });
    const { exitCode, reason } = await bench.ended(id);
    assert.deepEqual([exitCode, reason], [137, 'OOMKilled']);
  });

  containerdTest('a stop signal that this containerd does not know is refused by name', async (bench) => {
    const created = bench.create(await bench.sandbox(), suiteCommands.sleeper, { stopSignal: 'SIGUSR1' });
    const { runtimeVersion } = await bench.runtime.version(bench.signal);
    const isOld = /^(?:1\.|2\.0\.)/.test(runtimeVersion);
    if (!isOld) return void (await created);
    await assert.rejects(created, { message: /^lifecycle\.stopSignal: SIGUSR1 is not supported by containerd 1\./ });
    assert.deepEqual(await bench.runtime.listContainers({}, bench.signal), []);
  });
}

function restartTests(): void {
  for (const how of ['TERM', 'KILL'] as const) {
    containerdTest(
      `containers run on when containerd goes by SIG${how}, and what ends meanwhile is told`,
      async (bench) => {
        const { runtime, signal } = bench;
        const sandbox = await bench.sandbox();
        const lasting = await bench.run(suiteCommands.sleeper, { metadata: { name: 'a', attempt: 0 } }, sandbox);
        const ending = await bench.run(
          ['sh', '-c', 'until [ -e /data/go ]; do sleep 0.02; done; exit 3'],
          {
            metadata: { name: 'b', attempt: 0 },
            mounts: [{ containerPath: '/data', hostPath: bench.opened.logRoot, readonly: true }],
          },
          sandbox,
        );
        const before = await bench.status(lasting);
        const events = runtime.events(signal);
        await containerd.stopDaemon(how);
        await assert.rejects(runtime.status(signal), (error) => hasReason(error, 'ServiceUnavailable'));
        await fs.writeFile(path.join(bench.opened.logRoot, 'go'), '');
        await containerd.startDaemon();
        for await (const { kind, containerId } of events) if (kind === 'stopped' && containerId === ending) break;
        const { state, exitCode } = await bench.status(ending);
        assert.deepEqual([state, exitCode], ['exited', 3]);
        assert.deepEqual(await bench.status(lasting), before);
        const ended = bench.ended(lasting);
        await runtime.stopContainer(lasting, 0, signal);
        assert.equal((await ended).exitCode, 137);
      },
    );
  }
}

const noLimits = containerConfig(sandboxConfig(''), []).resources;

describe('containerd', { skip: skipWithoutContainerd() }, () => {
  before(async () => {
    containerd = await startContainerd();
  });
  after(() => containerd.stop());

  runtimeSuite('GrpcRuntime', open);
  describe('the kernel', () => kernelTests());
  describe('restarts', () => restartTests());
});
