/** Against a server in this process: what a real runtime cannot be made to do. Virtual time, real sockets. */
import { create, toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeCri, fakeStates, never, type FakeCriServices } from '../../../test/support/fake-cri.ts';
import { containerConfig, sandboxConfig } from '../../../test/contract/runtime-configs.ts';
import { noLog } from '../../base/log.ts';
import { settle, VirtualClock } from '../../sim/virtual-clock.ts';
import { ExecTimeoutError, podLabels, type ContainerEvent } from '../runtime.ts';
import { configUsesSystemd, slicePath } from './cgroup-parents.ts';
import { ContainerLedger } from './container-ledger.ts';
import { EnvelopeSchema, TaskEventSchema, TaskExitSchema, type Envelope } from './gen/containerd-events_pb.ts';
import { openGrpcRuntime, type GrpcRuntime } from './grpc-runtime.ts';
import { findRuntimeEndpoint } from './runtime-endpoint.ts';

const { signal } = new AbortController();

interface World {
  readonly cri: FakeCri;
  readonly runtime: GrpcRuntime;
  readonly clock: VirtualClock;
  /** Of `promise`, while virtual time goes on. */
  readonly whileTimeGoesOn: <T>(promise: Promise<T>) => Promise<T>;
}

async function withFake(services: FakeCriServices, body: (world: World) => Promise<void>): Promise<void> {
  const clock = new VirtualClock({ epochMs: Date.UTC(2_026, 0, 1) });
  const cri = await FakeCri.start(services);
  const runtime = await openGrpcRuntime({ clock, log: noLog }, cri, signal);
  const whileTimeGoesOn = async <T>(promise: Promise<T>): Promise<T> => {
    let isSettled = false;
    const end = (): void => void (isSettled = true);
    promise.then(end, end);
    for (const endMonoMs = clock.monoMs() + 600_000; !isSettled;) {
      assert.ok(clock.monoMs() < endMonoMs, `nothing happens any more: ${clock.pendingNames().join()}`);
      await clock.advance(10);
      await settle();
    }
    return await promise;
  };
  // Only what comes after the first listing is told.
  while (!clock.pendingNames().includes('cri.events.list')) await settle();
  try {
    await body({ cri, runtime, clock, whileTimeGoesOn });
  } finally {
    await runtime.close();
    await cri.close();
  }
}

/** The next `count` events from now on. */
async function take(events: AsyncIterable<ContainerEvent>, count: number): Promise<string[]> {
  const kinds: string[] = [];
  for await (const { kind, containerId, podUid } of events) {
    kinds.push(`${kind} ${containerId} ${podUid}`);
    if (kinds.length === count) break;
  }
  return kinds;
}

/** A stream of the server whose messages a test sends. */
class Messages<T> {
  readonly #waiting: T[] = [];
  #wake: () => void = () => {};

  send(message: T): void {
    this.#waiting.push(message);
    this.#wake();
  }

  async *read(end: AbortSignal): AsyncGenerator<T> {
    end.addEventListener('abort', () => this.#wake(), { once: true });
    while (!end.aborted) {
      const message = this.#waiting.shift();
      if (message === undefined) await new Promise<void>((resolve) => (this.#wake = resolve));
      else yield message;
    }
  }
}

function gate(): { readonly open: () => void; readonly opened: Promise<void> } {
  let open: () => void = () => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { open, opened };
}

test('a call that is not answered in its time fails in upstream’s words, and is cancelled on the other side', async () => {
  const asked = gate();
  const cancelled = gate();
  const status = async (context: Parameters<typeof never>[0]): Promise<never> => {
    context.signal.addEventListener('abort', cancelled.open);
    asked.open();
    return await never(context);
  };
  await withFake({ runtime: { status: (_, context) => status(context) } }, async ({ runtime, clock }) => {
    const call = assert.rejects(runtime.status(signal), {
      name: 'StatusError',
      reason: 'Timeout',
      message: 'rpc error: code = DeadlineExceeded desc = context deadline exceeded',
    });
    await asked.opened;
    await clock.advance(119_999);
    assert.ok(clock.pendingNames().includes('cri.status.deadline'));
    await clock.advance(1);
    await call;
    await cancelled.opened;
    assert.ok(!clock.pendingNames().includes('cri.status.deadline'));
  });
});

test('a stop has its grace period and the time of any call; who stops waiting does not cancel it', async () => {
  const asked = gate();
  const goOn = gate();
  let seconds = 0n;
  const services: FakeCriServices = {
    runtime: {
      async stopContainer({ timeout }, context) {
        seconds = timeout;
        asked.open();
        await goOn.opened;
        assert.equal(context.signal.aborted, false);
        return {};
      },
    },
  };
  await withFake(services, async ({ runtime, clock }) => {
    const impatient = new AbortController();
    const stopping = runtime.stopContainer('a', 30_500, impatient.signal);
    await asked.opened;
    const reason = new Error('enough');
    impatient.abort(reason);
    await assert.rejects(stopping, (error) => error === reason);
    await clock.advance(150_000);
    assert.ok(clock.pendingNames().includes('cri.stopContainer.deadline'));
    assert.equal(seconds, 31n);
    goOn.open();
  });
});

test('a runtime that is gone is told as upstream does, and used again when it is back; nothing is lost meanwhile', async () => {
  await withFake({}, async ({ cri, runtime, whileTimeGoesOn }) => {
    cri.containers.set('a', { state: fakeStates.running, reason: '' });
    const first = runtime.events(signal);
    assert.deepEqual(await whileTimeGoesOn(take(first, 2)), ['created a uid-1', 'started a uid-1']);
    await cri.die();
    const dial = `transport: Error while dialing: dial unix ${cri.endpoint.slice(7)}: connect: no such file or directory`;
    await assert.rejects(runtime.version(signal), {
      name: 'StatusError',
      reason: 'ServiceUnavailable',
      message: `rpc error: code = Unavailable desc = connection error: desc = "${dial}"`,
    });
    const later = take(runtime.events(signal), 1);
    cri.containers.set('a', { state: fakeStates.exited, reason: 'Error' });
    await cri.listen();
    assert.deepEqual(await whileTimeGoesOn(later), ['stopped a uid-1']);
    assert.equal((await runtime.version(signal)).runtimeName, 'fake');
  });
});

test('a call that a dying runtime no longer answers says that the connection went', async () => {
  const asked = gate();
  const services: FakeCriServices = {
    runtime: {
      status(_, context) {
        asked.open();
        return never(context);
      },
    },
  };
  await withFake(services, async ({ cri, runtime }) => {
    const call = assert.rejects(runtime.status(signal), {
      reason: 'ServiceUnavailable',
      message: 'rpc error: code = Unavailable desc = error reading from server: EOF',
    });
    await asked.opened;
    await cri.die();
    await call;
  });
});

test('errors keep their code where upstream shows it, and lose it where it does not', async () => {
  const fail = (code: Code) => (): never => {
    throw new ConnectError('the runtime’s words', code);
  };
  const services: FakeCriServices = {
    runtime: {
      runPodSandbox: fail(Code.Unknown),
      createContainer: fail(Code.Unknown),
      startContainer: fail(Code.Unknown),
      stopContainer: fail(Code.NotFound),
      removePodSandbox: fail(Code.NotFound),
    },
    images: { pullImage: ({ image }) => fail(image?.image === 'gone' ? Code.NotFound : Code.Unknown)() },
  };
  await withFake(services, async ({ runtime }) => {
    const sandbox = { ...sandboxConfig(''), logDirectory: '' };
    const failure = async (call: Promise<unknown>): Promise<unknown> => {
      const error: unknown = await call.catch((thrown: unknown) => thrown);
      return error instanceof Error && 'reason' in error ? [error.reason, error.message] : error;
    };
    const bare = ['InternalError', 'the runtime’s words'];
    const coded = ['InternalError', 'rpc error: code = Unknown desc = the runtime’s words'];
    assert.deepEqual(await failure(runtime.runPodSandbox(sandbox, signal)), coded);
    const config = containerConfig(sandbox, ['true']);
    assert.deepEqual(await failure(runtime.createContainer('box', config, sandbox, signal)), bare);
    assert.deepEqual(await failure(runtime.startContainer('a', signal)), bare);
    assert.deepEqual(await failure(runtime.pullImage('other', signal)), bare);
    const notFound = ['NotFound', 'rpc error: code = NotFound desc = the runtime’s words'];
    assert.deepEqual(await failure(runtime.pullImage('gone', signal)), notFound);
    await runtime.stopContainer('a', 0, signal);
    await runtime.removePodSandbox('a', signal);
    const odd = { ...config, stopSignal: 'SIGODD' };
    const refused = ['BadRequest', 'lifecycle.stopSignal: SIGODD is not a signal of CRI'];
    assert.deepEqual(await failure(runtime.createContainer('box', odd, sandbox, signal)), refused);
  });
});

test('the time of a command in whole seconds is the runtime’s, a part of a second is kept here', async () => {
  const asked: bigint[] = [];
  let wasAsked = gate();
  const services: FakeCriServices = {
    runtime: {
      execSync({ timeout }, context) {
        asked.push(timeout);
        wasAsked.open();
        if (timeout === 2n) throw new ConnectError('timeout 2s exceeded', Code.DeadlineExceeded);
        return never(context);
      },
    },
  };
  await withFake(services, async ({ runtime, clock }) => {
    await assert.rejects(runtime.execSync('a', ['true'], 2_000, signal), ExecTimeoutError);
    wasAsked = gate();
    const call = assert.rejects(runtime.execSync('a', ['true'], 250, signal), ExecTimeoutError);
    await wasAsked.opened;
    await clock.advance(250);
    await call;
    assert.deepEqual(asked, [2n, 1n]);
  });
});

test('without any stream of events deaths are found by a listing each second', async () => {
  await withFake({}, async ({ cri, runtime, whileTimeGoesOn, clock }) => {
    const events = runtime.events(signal);
    cri.containers.set('a', { state: fakeStates.running, reason: '' });
    cri.containers.set('b', { state: fakeStates.created, reason: '' });
    const began = take(events, 3);
    const started = ['created a uid-1', 'started a uid-1', 'created b uid-1'];
    assert.deepEqual(await whileTimeGoesOn(began), started);
    const beganMonoMs = clock.monoMs();
    const ended = take(runtime.events(signal), 2);
    cri.containers.set('a', { state: fakeStates.exited, reason: 'Error' });
    cri.containers.delete('b');
    assert.deepEqual(await whileTimeGoesOn(ended), ['deleted b uid-1', 'stopped a uid-1']);
    assert.ok(clock.monoMs() - beganMonoMs <= 2_000);
  });
});

test('CRI’s own events are used where the runtime has them', async () => {
  const messages = new Messages<{ containerId: string; containerEventType: number; podSandboxStatus?: object }>();
  const podSandboxStatus = { id: 'box', metadata: { name: 'p', uid: 'uid-1', namespace: 'n', attempt: 0 } };
  const services: FakeCriServices = {
    runtime: { getContainerEvents: (_, context) => messages.read(context.signal) },
  };
  await withFake(services, async ({ cri, runtime }) => {
    const events = take(runtime.events(signal), 4);
    const tell = (containerId: string, containerEventType: number): void =>
      messages.send({ containerId, containerEventType, podSandboxStatus });
    tell('box', 0);
    tell('a', 0);
    tell('a', 1);
    cri.containers.set('a', { state: fakeStates.exited, reason: 'Error' });
    tell('a', 2);
    messages.send({ containerId: 'a', containerEventType: 3 });
    const kinds = ['created', 'started', 'stopped', 'deleted'];
    assert.deepEqual(
      await events,
      kinds.map((kind) => `${kind} a uid-1`),
    );
  });
});

test('a death that containerd tells of is passed on once the status shows it, and out of memory with its reason', async () => {
  const messages = new Messages<Envelope>();
  const kindOf: Readonly<Record<string, string>> = { a: 'container', b: 'container', box: 'sandbox' };
  const lookedUp: string[] = [];
  const services: FakeCriServices = {
    events: { subscribe: (_, context) => messages.read(context.signal) },
    containers: {
      get({ id }, context) {
        lookedUp.push(`${context.requestHeader.get('containerd-namespace')} ${id}`);
        const labels = { 'io.cri-containerd.kind': kindOf[id] ?? '', [podLabels.podUid]: 'uid-1' };
        return { container: { id, labels } };
      },
    },
  };
  const tell = (topic: string, value: Uint8Array): void =>
    messages.send(create(EnvelopeSchema, { topic, event: { value } }));
  const exit = (containerId: string, id: string): void =>
    tell('/tasks/exit', toBinary(TaskExitSchema, create(TaskExitSchema, { containerId, id })));
  const task = (topic: string, containerId: string): void =>
    tell(topic, toBinary(TaskEventSchema, create(TaskEventSchema, { containerId })));
  await withFake(services, async ({ cri, runtime, clock, whileTimeGoesOn }) => {
    cri.containers.set('a', { state: fakeStates.running, reason: '' });
    const events = runtime.events(signal);
    const firsts = take(events, 2);
    task('/tasks/start', 'box');
    task('/tasks/start', 'a');
    assert.deepEqual(await whileTimeGoesOn(firsts), ['created a uid-1', 'started a uid-1']);
    exit('box', 'box');
    exit('a', 'some-exec');
    task('/tasks/oom', 'a');
    exit('a', 'a');
    const stopped = take(runtime.events(signal), 1);
    let isTold = false;
    const told = stopped.then(() => (isTold = true));
    while (!clock.pendingNames().includes('cri.events.exitVisible')) await settle();
    cri.containers.set('a', { state: fakeStates.exited, reason: 'Error' });
    for (let i = 0; i < 20; i++) {
      await clock.advance(10);
      await settle();
    }
    assert.equal(isTold, false, 'its reason is not known yet');
    cri.containers.set('a', { state: fakeStates.exited, reason: 'OOMKilled' });
    await whileTimeGoesOn(told);
    assert.deepEqual(await stopped, ['stopped a uid-1']);

    const others = take(runtime.events(signal), 3);
    cri.containers.set('b', { state: fakeStates.exited, reason: 'Error', exitCode: 137 });
    task('/tasks/start', 'b');
    exit('b', 'b');
    let isOtherTold = false;
    const otherTold = others.then(() => (isOtherTold = true));
    const passTime = async (steps: number): Promise<void> => {
      for (let i = 0; i < steps; i++) {
        await clock.advance(10);
        await settle();
      }
    };
    while (!clock.pendingNames().includes('cri.events.exitVisible')) await settle();
    await passTime(3);
    task('/tasks/oom', 'b');
    await passTime(30);
    assert.equal(isOtherTold, false, 'why it was killed may be told after it was killed');
    cri.containers.set('b', { state: fakeStates.exited, reason: 'OOMKilled', exitCode: 137 });
    await whileTimeGoesOn(otherTold);
    assert.deepEqual(await others, ['created b uid-1', 'started b uid-1', 'stopped b uid-1']);
    assert.deepEqual(lookedUp.slice(0, 1), ['k8s.io box']);
  });
});

test('a socket without a runtime, and a runtime without CRI v1, are refused with upstream’s words', async () => {
  const clock = new VirtualClock({ epochMs: 0 });
  const open = (endpoint: string): Promise<GrpcRuntime> => openGrpcRuntime({ clock, log: noLog }, { endpoint }, signal);
  await assert.rejects(open('unix:///nowhere/cri.sock'), {
    reason: 'ServiceUnavailable',
    message:
      'validate CRI v1 runtime API for endpoint "unix:///nowhere/cri.sock": rpc error: code = Unavailable desc = ' +
      'connection error: desc = "transport: Error while dialing: dial unix /nowhere/cri.sock: connect: no such file or directory"',
  });
  await assert.rejects(open('tcp://127.0.0.1:1'), {
    reason: 'BadRequest',
    message: 'container runtime endpoint "tcp://127.0.0.1:1" is not unix:///PATH',
  });
  const old = await FakeCri.start({
    runtime: {
      version() {
        throw new ConnectError('unknown service runtime.v1.RuntimeService', Code.Unimplemented);
      },
    },
  });
  await assert.rejects(open(old.endpoint), {
    message: `validate CRI v1 runtime API for endpoint "${old.endpoint}": rpc error: code = Unimplemented desc = unknown service runtime.v1.RuntimeService`,
  });
  assert.equal(await findRuntimeEndpoint(['unix:///nowhere/cri.sock', old.endpoint]), old.endpoint);
  assert.equal(await findRuntimeEndpoint(['unix:///nowhere/cri.sock']), undefined);
  await old.close();
});

test('what is learnt twice is told once, and a listing that began earlier does not take back what was seen', () => {
  const ledger = new ContainerLedger();
  const kinds = (events: readonly ContainerEvent[]): string[] =>
    events.map((event) => `${event.kind} ${event.containerId}`);
  ledger.listingBegins();
  assert.deepEqual(ledger.listed([{ id: 'old', podUid: 'u', stage: 'running' }]), [], 'the beginning');
  assert.deepEqual(kinds(ledger.reached('a', 'u', 'created')), ['created a']);
  ledger.listingBegins();
  assert.deepEqual(kinds(ledger.reached('a', 'u', 'exited')), ['started a', 'stopped a']);
  assert.deepEqual(kinds(ledger.reached('b', 'u', 'created')), ['created b']);
  assert.deepEqual(kinds(ledger.removed('old')), ['stopped old', 'deleted old']);
  const stale = [
    { id: 'a', podUid: 'u', stage: 'running' },
    { id: 'old', podUid: 'u', stage: 'running' },
  ] as const;
  assert.deepEqual(ledger.listed(stale), []);
  assert.deepEqual(ledger.reached('a', 'u', 'exited'), []);
  ledger.listingBegins();
  const unknown = ['a', 'b'].map((id) => ({ id, podUid: 'u', stage: undefined }));
  assert.deepEqual(ledger.listed(unknown), [], 'the runtime has them still');
  ledger.listingBegins();
  assert.deepEqual(kinds(ledger.listed([{ id: 'c', podUid: 'u', stage: 'running' }])), [
    'deleted a',
    'deleted b',
    'created c',
    'started c',
  ]);
  assert.deepEqual([ledger.podUidOf('c'), ledger.podUidOf('a')], ['u', undefined]);
});

test('a pod’s control group is spelt as a slice where the runtime leaves control groups to systemd', async () => {
  const asked: (string | undefined)[] = [];
  const path = '/kubepods/burstable/pod1-2';
  const slice = '/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice';
  for (const cgroupDriver of [0, 1]) {
    const services: FakeCriServices = {
      runtime: {
        runtimeConfig: () => ({ linux: { cgroupDriver } }),
        runPodSandbox({ config }) {
          asked.push(config?.linux?.cgroupParent);
          return { podSandboxId: 'box' };
        },
      },
    };
    await withFake(services, async ({ runtime }) => {
      await runtime.runPodSandbox({ ...sandboxConfig(''), cgroupParent: path }, signal);
      await runtime.runPodSandbox(sandboxConfig(''), signal);
    });
  }
  assert.deepEqual(asked, [slice, '', path, '']);
  assert.equal(slicePath(path), slice);
  const config = (SystemdCgroup: boolean): string =>
    JSON.stringify({ containerd: { defaultRuntimeName: 'runc', runtimes: { runc: { options: { SystemdCgroup } } } } });
  assert.deepEqual([config(true), config(false), 'null', undefined].map(configUsesSystemd), [
    true,
    false,
    false,
    false,
  ]);
});

test('the range of the node’s pods crosses as CRI has it', async () => {
  const told: (string | undefined)[] = [];
  const services: FakeCriServices = {
    runtime: {
      updateRuntimeConfig({ runtimeConfig }) {
        told.push(runtimeConfig?.networkConfig?.podCidr);
        return {};
      },
    },
  };
  await withFake(services, ({ runtime }) => runtime.updateRuntimeConfig({ podCidr: '10.244.1.0/24' }, signal));
  assert.deepEqual(told, ['10.244.1.0/24']);
});
