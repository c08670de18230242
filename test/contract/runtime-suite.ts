/**
 * What every implementation of `ContainerRuntime` must pass. A runner opens one runtime for each test:
 *
 *     runtimeSuite('ProcessRuntime', async () => ({ runtime, logRoot, readLog, isPid1: true, close }));
 *
 * It must have the image `busybox` and run `suiteCommands` as a shell would (a simulated one by scripts).
 */
import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import { describe, test } from 'node:test';
import { hasReason } from '../../src/base/status-error.ts';
import { ExecTimeoutError, type ContainerEvent } from '../../src/cri/runtime.ts';
import { containerConfig, sandboxConfig } from './runtime-configs.ts';
import {
  logTexts,
  RuntimeBench,
  suiteCommands,
  suiteExecs,
  type OpenedRuntime,
  type RuntimeTest,
} from './runtime-bench.ts';
import { streamTests } from './stream-suite.ts';

export type OpenRuntime = () => Promise<OpenedRuntime>;

export function runtimeSuite(name: string, open: OpenRuntime): void {
  const runtimeTest: RuntimeTest = (sentence, body) => {
    test(sentence, { timeout: 30_000 }, async () => {
      const opened = await open();
      const end = new AbortController();
      setMaxListeners(0, end.signal); // everything in a test waits on this one
      try {
        await body(new RuntimeBench(opened, end.signal));
      } finally {
        end.abort(new Error('the test is over'));
        await opened.close();
      }
    });
  };
  describe(name, { concurrency: 4 }, () => {
    describe('life of a container', () => lifeTests(runtimeTest));
    describe('stop', () => stopTests(runtimeTest));
    describe('sandboxes', () => sandboxTests(runtimeTest));
    describe('addresses', () => addressTests(runtimeTest));
    describe('exec', () => execTests(runtimeTest));
    // One after the other: where pods share this machine's network, they share the port too.
    describe('streams', { concurrency: 1 }, () => streamTests(runtimeTest));
    describe('events', () => eventTests(runtimeTest));
    describe('images', () => imageTests(runtimeTest));
  });
}

function lifeTests(runtimeTest: RuntimeTest): void {
  runtimeTest('a container is created, runs, and ends with the exit code of its command', async (bench) => {
    const sandbox = await bench.sandbox();
    const id = await bench.create(sandbox, suiteCommands.seven);
    const created = await bench.status(id);
    assert.deepEqual(
      [created.state, created.startedWallMs, created.finishedWallMs, created.exitCode, created.reason],
      ['created', undefined, undefined, undefined, ''],
    );
    assert.deepEqual(
      [created.metadata, created.podSandboxId, created.image],
      [{ name: 'main', attempt: 0 }, sandbox.id, 'docker.io/library/busybox:latest'],
    );
    assert.equal(created.labels['io.kubernetes.container.name'], 'main');
    assert.equal(created.annotations['example.com/restartCount'], '0');
    assert.match(id, /^[0-9a-f]{64}$/);
    assert.match(created.imageRef, /^(?:docker\.io\/library\/busybox@)?sha256:[0-9a-f]{64}$/);
    await bench.runtime.startContainer(id, bench.signal);
    const ended = await bench.ended(id);
    assert.deepEqual([ended.state, ended.exitCode, ended.reason, ended.message], ['exited', 7, 'Error', '']);
    assert.ok((ended.startedWallMs ?? 0) >= ended.createdWallMs);
    assert.ok((ended.finishedWallMs ?? 0) >= (ended.startedWallMs ?? Number.NaN));
  });

  runtimeTest('exit code 0 is Completed', async (bench) => {
    const ended = await bench.ended(await bench.run(suiteCommands.zero));
    assert.deepEqual([ended.exitCode, ended.reason], [0, 'Completed']);
  });

  runtimeTest('all that it wrote is in its log, in the CRI format, once it is seen to have ended', async (bench) => {
    const id = await bench.run(suiteCommands.seven);
    await bench.ended(id);
    const status = await bench.status(id);
    assert.ok(status.logPath.startsWith(bench.opened.logRoot) && status.logPath.endsWith('/main/0.log'));
    const lines = (await bench.log(id)).split('\n').filter((line) => line !== '');
    // As Go prints it: without zeros at the end.
    for (const line of lines) assert.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z (?:stdout|stderr) F /);
    assert.deepEqual(lines.map((line) => line.slice(line.indexOf(' ') + 1)).sort(), ['stderr F err', 'stdout F out']);
  });

  runtimeTest(
    'a command that does not exist fails the start with runc’s words, and leaves StartError',
    async (bench) => {
      const id = await bench.create(await bench.sandbox(), ['no-such-binary']);
      const message =
        'failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: ' +
        'unable to start container process: exec: "no-such-binary": executable file not found in $PATH: unknown';
      await assert.rejects(bench.runtime.startContainer(id, bench.signal), { name: 'StatusError', message });
      const status = await bench.status(id);
      assert.deepEqual(
        [status.state, status.exitCode, status.reason, status.message, status.startedWallMs],
        ['exited', 128, 'StartError', message, 0],
      );
      assert.ok((status.finishedWallMs ?? 0) > 0);
    },
  );

  runtimeTest('a container starts once', async (bench) => {
    const id = await bench.run(suiteCommands.sleeper);
    await assert.rejects(bench.runtime.startContainer(id, bench.signal), (error) => hasReason(error, 'Conflict'));
    assert.equal((await bench.status(id)).state, 'running');
  });

  runtimeTest('an unknown id is NotFound, but stop and remove succeed', async (bench) => {
    const { runtime, signal } = bench;
    const isNotFound = (error: unknown): boolean => hasReason(error, 'NotFound');
    await assert.rejects(runtime.containerStatus('none', signal), isNotFound);
    await assert.rejects(runtime.startContainer('none', signal), isNotFound);
    await assert.rejects(runtime.execSync('none', ['true'], 0, signal), isNotFound);
    await assert.rejects(runtime.reopenContainerLog('none', signal), isNotFound);
    await assert.rejects(runtime.podSandboxStatus('none', signal), isNotFound);
    const config = sandboxConfig(bench.opened.logRoot);
    const container = containerConfig(config, ['true']);
    await assert.rejects(runtime.createContainer('none', container, config, signal), isNotFound);
    await runtime.stopContainer('none', 1_000, signal);
    await runtime.removeContainer('none', signal);
    await runtime.stopPodSandbox('none', signal);
    await runtime.removePodSandbox('none', signal);
  });

  runtimeTest('removing a container ends it and forgets it, its log stays', async (bench) => {
    const id = await bench.run(suiteCommands.handler);
    await bench.said(id, 'up');
    const { logPath } = await bench.status(id);
    await bench.runtime.removeContainer(id, bench.signal);
    await assert.rejects(bench.status(id), (error) => hasReason(error, 'NotFound'));
    assert.deepEqual(await bench.runtime.listContainers({}, bench.signal), []);
    assert.equal(logTexts(await bench.opened.readLog(logPath)), 'up\n');
    await bench.runtime.removeContainer(id, bench.signal);
  });

  runtimeTest('a log can be opened anew only while the container runs', async (bench) => {
    const id = await bench.run(suiteCommands.zero);
    await bench.ended(id);
    await assert.rejects(bench.runtime.reopenContainerLog(id, bench.signal), (error) => hasReason(error, 'Conflict'));
    const running = await bench.run(suiteCommands.sleeper);
    await bench.runtime.reopenContainerLog(running, bench.signal);
  });
}

function stopTests(runtimeTest: RuntimeTest): void {
  runtimeTest('a handler for the stop signal decides the exit code', async (bench) => {
    const id = await bench.run(suiteCommands.handler);
    await bench.said(id, 'up');
    await bench.runtime.stopContainer(id, 20_000, bench.signal);
    const status = await bench.status(id);
    assert.deepEqual([status.state, status.exitCode, status.reason], ['exited', 3, 'Error']);
    await bench.runtime.stopContainer(id, 20_000, bench.signal);
    assert.deepEqual(await bench.status(id), status, 'a second stop changes nothing');
  });

  runtimeTest('without a handler PID 1 ignores SIGTERM and is killed after the grace period', async (bench) => {
    const id = await bench.run(suiteCommands.sleeper);
    await bench.runtime.stopContainer(id, 150, bench.signal);
    const { exitCode, reason, finishedWallMs = 0, startedWallMs = 0 } = await bench.status(id);
    assert.deepEqual([exitCode, reason], [bench.opened.isPid1 ? 137 : 143, 'Error']);
    if (bench.opened.isPid1) assert.ok(finishedWallMs - startedWallMs >= 150);
  });

  runtimeTest('a grace of 0 kills at once', async (bench) => {
    const id = await bench.run(suiteCommands.handler);
    await bench.said(id, 'up');
    await bench.runtime.stopContainer(id, 0, bench.signal);
    assert.equal((await bench.status(id)).exitCode, 137);
  });

  runtimeTest('of two stops the shorter one counts, in whichever order they come', async (bench) => {
    const sandbox = await bench.sandbox();
    const ids = [
      await bench.run(suiteCommands.sleeper, { metadata: { name: 'a', attempt: 0 } }, sandbox),
      await bench.run(suiteCommands.sleeper, { metadata: { name: 'b', attempt: 0 } }, sandbox),
    ];
    const [a = '', b = ''] = ids;
    const { runtime, signal } = bench;
    await Promise.all([runtime.stopContainer(a, 60_000, signal), runtime.stopContainer(a, 100, signal)]);
    await Promise.all([runtime.stopContainer(b, 100, signal), runtime.stopContainer(b, 60_000, signal)]);
    assert.deepEqual([(await bench.status(a)).state, (await bench.status(b)).state], ['exited', 'exited']);
  });

  runtimeTest('who stops waiting for a stop gets the reason, the container ends all the same', async (bench) => {
    const id = await bench.run(suiteCommands.sleeper);
    const giveUp = new AbortController();
    const stopping = bench.runtime.stopContainer(id, bench.opened.isPid1 ? 200 : 60_000, giveUp.signal);
    const reason = new Error('enough');
    setImmediate(() => giveUp.abort(reason));
    if (bench.opened.isPid1) await assert.rejects(stopping, (error) => error === reason);
    else await stopping.catch(() => {}); // it may have died of the signal before
    await bench.runtime.stopContainer(id, 200, bench.signal);
    assert.equal((await bench.status(id)).state, 'exited');
  });

  runtimeTest('a container that never ran is not stopped, and can be removed', async (bench) => {
    const id = await bench.create(await bench.sandbox(), suiteCommands.sleeper);
    await bench.runtime.stopContainer(id, 1_000, bench.signal);
    assert.equal((await bench.status(id)).state, 'created');
    await bench.runtime.removeContainer(id, bench.signal);
    assert.deepEqual(await bench.runtime.listContainers({}, bench.signal), []);
  });
}

function sandboxTests(runtimeTest: RuntimeTest): void {
  runtimeTest('a sandbox shows what it was made with', async (bench) => {
    const { id, config } = await bench.sandbox();
    const status = await bench.runtime.podSandboxStatus(id, bench.signal);
    assert.deepEqual(
      [status.id, status.state, status.metadata, status.labels, status.annotations],
      [id, 'ready', config.metadata, config.labels, config.annotations],
    );
    // A runtime that cannot give a pod a network of its own says so: else the kubelet waits for an address for ever.
    assert.equal(status.networkMode, status.ips.length > 0 ? 'pod' : 'node');
    assert.deepEqual(await bench.runtime.listPodSandboxes({}, bench.signal), [status]);
  });

  runtimeTest('stopping a sandbox ends its containers, and no container is made in it any more', async (bench) => {
    const sandbox = await bench.sandbox();
    const id = await bench.run(suiteCommands.sleeper, {}, sandbox);
    await bench.runtime.stopPodSandbox(sandbox.id, bench.signal);
    await bench.runtime.stopPodSandbox(sandbox.id, bench.signal);
    const { state } = await bench.runtime.podSandboxStatus(sandbox.id, bench.signal);
    const { exitCode } = await bench.status(id);
    assert.deepEqual([state, exitCode], ['notReady', 137]);
    await assert.rejects(bench.create(sandbox, ['true']), (error) => hasReason(error, 'Conflict'));
  });

  runtimeTest('removing a sandbox removes its containers', async (bench) => {
    const sandbox = await bench.sandbox();
    await bench.run(suiteCommands.sleeper, {}, sandbox);
    await bench.create(sandbox, ['true'], { metadata: { name: 'other', attempt: 3 } });
    await bench.runtime.removePodSandbox(sandbox.id, bench.signal);
    assert.deepEqual(await bench.runtime.listContainers({}, bench.signal), []);
    assert.deepEqual(await bench.runtime.listPodSandboxes({}, bench.signal), []);
    await bench.runtime.removePodSandbox(sandbox.id, bench.signal);
  });

  runtimeTest('lists can be narrowed to one pod', async (bench) => {
    const [one, two] = [await bench.sandbox(), await bench.sandbox()];
    const id = await bench.create(one, ['true']);
    await bench.create(two, ['true']);
    const filter = { podUid: one.config.metadata.uid };
    const containers = await bench.runtime.listContainers(filter, bench.signal);
    const sandboxes = await bench.runtime.listPodSandboxes(filter, bench.signal);
    assert.deepEqual([containers.map((c) => c.id), sandboxes.map((s) => s.id)], [[id], [one.id]]);
    assert.equal((await bench.runtime.listContainers({}, bench.signal)).length, 2);
  });
}

function addressTests(runtimeTest: RuntimeTest): void {
  runtimeTest('a range of addresses is for pods that are made after it is told', async (bench) => {
    const { runtime, signal } = bench;
    const addressesOf = async (id: string): Promise<readonly string[]> =>
      (await runtime.podSandboxStatus(id, signal)).ips;
    const { id: early } = await bench.sandbox();
    const before = await addressesOf(early);
    for (const podCidr of ['10.251.3.0/24', '10.251.3.0/24', '10.251.4.0/24']) {
      await runtime.updateRuntimeConfig({ podCidr }, signal);
    }
    const network = (await runtime.status(signal)).find(({ type }) => type === 'NetworkReady');
    assert.deepEqual(network, { type: 'NetworkReady', status: true, reason: '', message: '' });
    const { id: late } = await bench.sandbox();
    assert.deepEqual(await addressesOf(early), before);
    // Pods that share the machine's network have none of their own.
    if (bench.opened.followsPodCidr !== false)
      for (const ip of await addressesOf(late)) assert.match(ip, /^10\.251\.4\.\d+$/);
    assert.equal((await addressesOf(late)).length, before.length);
  });
}

function execTests(runtimeTest: RuntimeTest): void {
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

  runtimeTest('exec gives the exit code and both outputs', async (bench) => {
    const id = await bench.run(suiteCommands.sleeper);
    const { exitCode, stdout, stderr } = await bench.runtime.execSync(id, suiteExecs.fails, 10_000, bench.signal);
    assert.deepEqual([exitCode, text(stdout), text(stderr)], [5, 'o\n', 'e\n']);
    assert.equal((await bench.runtime.execSync(id, ['true'], 0, bench.signal)).exitCode, 0);
    assert.equal((await bench.runtime.execSync(id, ['false'], 10_000, bench.signal)).exitCode, 1);
  });

  runtimeTest('exec of a missing command is an error of the runtime, not an exit code', async (bench) => {
    const id = await bench.run(suiteCommands.sleeper);
    await assert.rejects(bench.runtime.execSync(id, ['foo'], 10_000, bench.signal), {
      name: 'StatusError',
      message:
        /^(?:rpc error: code = Unknown desc = )?failed to exec in container: failed to start exec "[0-9a-f]{64}": OCI runtime exec failed: exec failed: unable to start container process: exec: "foo": executable file not found in \$PATH: unknown$/,
    });
  });

  runtimeTest('exec that takes too long is ended', async (bench) => {
    const id = await bench.run(suiteCommands.sleeper);
    await assert.rejects(bench.runtime.execSync(id, suiteExecs.lasts, 150, bench.signal), ExecTimeoutError);
    assert.equal((await bench.status(id)).state, 'running');
  });

  runtimeTest('exec ends with the reason of its signal', async (bench) => {
    const id = await bench.run(suiteCommands.sleeper);
    const giveUp = new AbortController();
    const reason = new Error('enough');
    const running = bench.runtime.execSync(id, suiteExecs.lasts, 0, giveUp.signal);
    setImmediate(() => giveUp.abort(reason));
    await assert.rejects(running, (error) => error === reason);
  });

  runtimeTest('exec needs a running container', async (bench) => {
    const id = await bench.create(await bench.sandbox(), suiteCommands.sleeper);
    const isConflict = (error: unknown): boolean => hasReason(error, 'Conflict');
    await assert.rejects(bench.runtime.execSync(id, ['true'], 1_000, bench.signal), isConflict);
    await bench.runtime.startContainer(id, bench.signal);
    await bench.runtime.stopContainer(id, 0, bench.signal);
    await assert.rejects(bench.runtime.execSync(id, ['true'], 1_000, bench.signal), isConflict);
  });
}

function eventTests(runtimeTest: RuntimeTest): void {
  runtimeTest('every listener sees each change of each container, in order', async (bench) => {
    const stop = new AbortController();
    const seen: ContainerEvent[][] = [[], []];
    const listening = seen.map(async (events) => {
      for await (const event of bench.runtime.events(stop.signal)) {
        events.push(event);
        if (event.kind === 'deleted') return;
      }
    });
    const sandbox = await bench.sandbox();
    const id = await bench.run(suiteCommands.zero, {}, sandbox);
    await bench.ended(id);
    await bench.runtime.removeContainer(id, bench.signal);
    await Promise.all(listening);
    const podUid = sandbox.config.metadata.uid;
    const expected = ['created', 'started', 'stopped', 'deleted'].map((kind) => ({ kind, containerId: id, podUid }));
    assert.deepEqual(seen, [expected, expected]);
    stop.abort(new Error('done'));
  });

  runtimeTest('listening ends quietly with its signal', async (bench) => {
    const stop = new AbortController();
    const listening = (async () => {
      for await (const event of bench.runtime.events(stop.signal)) assert.fail(event.kind);
    })();
    stop.abort(new Error('done'));
    await listening;
    await bench.run(suiteCommands.zero);
  });
}

function imageTests(runtimeTest: RuntimeTest): void {
  runtimeTest('an image is found by every form of its name, and by its id', async (bench) => {
    const { runtime, signal } = bench;
    const image = await runtime.imageStatus('busybox', signal);
    assert.match(image?.id ?? '', /^sha256:[0-9a-f]{64}$/);
    assert.deepEqual(image?.repoTags, ['docker.io/library/busybox:latest']);
    for (const name of ['busybox:latest', 'library/busybox', 'docker.io/busybox', 'docker.io/library/busybox:latest']) {
      assert.deepEqual(await runtime.imageStatus(name, signal), image, name);
    }
    assert.equal((await runtime.imageStatus(image?.id ?? '', signal))?.id, image?.id);
    assert.ok((await runtime.listImages(signal)).some(({ id }) => id === image?.id));
  });

  runtimeTest('pulling an image that is there gives its id', async (bench) => {
    const pulled = await bench.runtime.pullImage('busybox', bench.signal);
    assert.equal(pulled.id, (await bench.runtime.imageStatus('busybox', bench.signal))?.id);
  });

  runtimeTest('an image that cannot be had is absent, and its pull fails with words for the event', async (bench) => {
    const image = 'does-not-exist.invalid/nope:1';
    assert.equal(await bench.runtime.imageStatus(image, bench.signal), undefined);
    await assert.rejects(bench.runtime.pullImage(image, bench.signal), {
      name: 'StatusError',
      message:
        /^(?:rpc error: code = NotFound desc = )?failed to pull and unpack image "does-not-exist\.invalid\/nope:1": /,
    });
    await assert.rejects(bench.create(await bench.sandbox(), ['true'], { image }), (error) =>
      hasReason(error, 'NotFound'),
    );
  });
}
