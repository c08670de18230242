/**
 * `exec`, `attach` and `portForward`, for every implementation of `ContainerRuntime`: part of `runtimeSuite`, whose
 * runner and commands it uses. What a runner may say besides: `hasTerminals: false` (a simulated runtime), and
 * `echoServer` where busybox' `nc` in the pod's network will not do.
 */
import assert from 'node:assert/strict';
import { hasReason } from '../../src/base/status-error.ts';
import { ForwardedClient, RemoteClient } from './remote-client.ts';
import {
  logTexts,
  suiteBigBytes,
  suiteCommands,
  suiteExecs,
  suitePort,
  type RuntimeBench,
  type RuntimeTest,
} from './runtime-bench.ts';

export function streamTests(runtimeTest: RuntimeTest): void {
  execTests(runtimeTest);
  attachTests(runtimeTest);
  terminalTests(runtimeTest);
  portForwardTests(runtimeTest);
}

function exec(
  bench: RuntimeBench,
  id: string,
  command: readonly string[],
  client: RemoteClient,
  asked: { readonly stdin?: boolean; readonly tty?: boolean } = {},
): Promise<number> {
  const options = { command, tty: asked.tty === true };
  return bench.runtime.exec(id, options, client.streams(asked), bench.signal);
}

function execTests(runtimeTest: RuntimeTest): void {
  runtimeTest('a command’s outputs come apart, and then its exit code', async (bench) => {
    const id = await bench.run(suiteCommands.sleeper);
    const client = new RemoteClient();
    const exitCode = await exec(bench, id, suiteExecs.fails, client);
    assert.deepEqual([exitCode, client.stdout, client.stderr], [5, 'o\n', 'e\n']);
    assert.equal(await exec(bench, id, suiteExecs.dies, new RemoteClient()), 137);
  });

  runtimeTest('a command that does not exist is an error, and nothing of it comes on the streams', async (bench) => {
    const id = await bench.run(suiteCommands.sleeper);
    const client = new RemoteClient();
    await assert.rejects(exec(bench, id, ['foo'], client), {
      name: 'StatusError',
      message:
        /^(?:rpc error: code = Unknown desc = )?failed to exec in container: failed to start exec "[0-9a-f]{64}": OCI runtime exec failed: exec failed: unable to start container process: exec: "foo": executable file not found in \$PATH: unknown$/,
    });
    assert.deepEqual([client.stdout, client.stderr], ['', '']);
  });

  runtimeTest('a command’s input ends when the client ends it, its output goes on', async (bench) => {
    const id = await bench.run(suiteCommands.sleeper);
    const client = new RemoteClient();
    const running = exec(bench, id, suiteExecs.copies, client, { stdin: true });
    client.type('one ');
    await client.sees('one ');
    client.type('two');
    client.endInput();
    assert.deepEqual([await running, client.stdout], [0, 'one two']);
  });

  runtimeTest('a slow client slows the command down, and misses nothing', async (bench) => {
    const id = await bench.run(suiteCommands.sleeper);
    const client = new RemoteClient(2);
    assert.equal(await exec(bench, id, suiteExecs.big, client), 0);
    assert.deepEqual([client.stdout.length, client.hasOverlap], [suiteBigBytes, false]);
  });

  runtimeTest('exec ends with the reason when its client has gone, and the container lives on', async (bench) => {
    const id = await bench.run(suiteCommands.sleeper);
    const client = new RemoteClient();
    const gone = new AbortController();
    const streams = client.streams({ stdin: true });
    const options = { command: suiteExecs.copies, tty: false };
    const running = bench.runtime.exec(id, options, streams, gone.signal);
    client.type('here');
    await client.sees('here');
    const reason = new Error('gone');
    gone.abort(reason);
    await assert.rejects(running, (error) => error === reason);
    client.endInput();
    assert.equal((await bench.status(id)).state, 'running');
    assert.equal(await exec(bench, id, ['true'], new RemoteClient()), 0);
  });

  runtimeTest('streams need a running container', async (bench) => {
    const { runtime, signal } = bench;
    const streams = new RemoteClient().streams();
    const command = { command: ['true'], tty: false };
    await assert.rejects(runtime.exec('none', command, streams, signal), (error) => hasReason(error, 'NotFound'));
    await assert.rejects(runtime.attach('none', { tty: false }, streams, signal), (e) => hasReason(e, 'NotFound'));
    const { stream } = new ForwardedClient();
    await assert.rejects(runtime.portForward('none', 80, stream, signal), (error) => hasReason(error, 'NotFound'));
    const id = await bench.run(suiteCommands.zero);
    await bench.ended(id);
    await assert.rejects(runtime.exec(id, command, streams, signal), (error) => hasReason(error, 'Conflict'));
    await assert.rejects(runtime.attach(id, { tty: false }, streams, signal), (error) => hasReason(error, 'Conflict'));
  });
}

function attachTests(runtimeTest: RuntimeTest): void {
  runtimeTest('who attaches sees what comes from then on, as do all others and the log', async (bench) => {
    const id = await bench.run(suiteCommands.reader, { stdin: true });
    await bench.said(id, 'before');
    const [one, two] = [new RemoteClient(), new RemoteClient()];
    const attached = [
      bench.runtime.attach(id, { tty: false }, one.streams({ stdin: true }), bench.signal),
      bench.runtime.attach(id, { tty: false }, two.streams(), bench.signal),
    ];
    // Whoever attaches cannot know since when: so the lines go on until both have seen one.
    const seen = Promise.all([one.sees('got hello'), two.sees('got hello')]);
    let haveSeen = false;
    void seen.then(() => (haveSeen = true));
    while (!haveSeen) {
      one.type('hello\n');
      await pause();
    }
    one.type('end\n');
    await Promise.all(attached);
    assert.equal((await bench.ended(id)).exitCode, 4);
    const said = logLines(await bench.log(id), 'stdout');
    const hellos = said.slice(1);
    assert.deepEqual([said[0], new Set(hellos)], ['before', new Set(['got hello'])]);
    const linesOf = (text: string): readonly string[] => text.split('\n').slice(0, -1);
    assert.deepEqual(linesOf(one.stdout), hellos);
    assert.deepEqual(linesOf(two.stdout), hellos.slice(-linesOf(two.stdout).length));
    assert.deepEqual(linesOf(one.stderr), logLines(await bench.log(id), 'stderr'));
  });

  runtimeTest('a container’s input ends with the first client’s if so asked', async (bench) => {
    const id = await bench.run(suiteCommands.copier, { stdin: true, stdinOnce: true });
    const client = new RemoteClient();
    const attached = bench.runtime.attach(id, { tty: false }, client.streams({ stdin: true }), bench.signal);
    client.type('one\n');
    await client.sees('one\n');
    client.type('two\n');
    client.endInput();
    await attached;
    assert.deepEqual([client.stdout, (await bench.ended(id)).exitCode], ['one\ntwo\n', 0]);
    assert.equal(logTexts(await bench.log(id)), 'one\ntwo\n');
  });

  runtimeTest('a client that leaves, leaves the container and its input as they are', async (bench) => {
    const id = await bench.run(suiteCommands.copier, { stdin: true });
    const gone = new AbortController();
    const reason = new Error('gone');
    const first = new RemoteClient();
    const attached = bench.runtime.attach(id, { tty: false }, first.streams({ stdin: true }), gone.signal);
    first.type('one\n');
    await first.sees('one\n');
    gone.abort(reason);
    await assert.rejects(attached, (error) => error === reason);
    first.endInput();
    const second = new RemoteClient();
    const again = bench.runtime.attach(id, { tty: false }, second.streams({ stdin: true }), bench.signal);
    second.type('two\n');
    await second.sees('two\n');
    await bench.runtime.stopContainer(id, 0, bench.signal);
    await again;
    assert.deepEqual([first.stdout, second.stdout], ['one\n', 'two\n']);
  });
}

function terminalTests(runtimeTest: RuntimeTest): void {
  const isSized = (width: number, height: number): string =>
    `until [ "$(stty size 2>/dev/null)" = "${height} ${width}" ]; do sleep 0.02; done; echo is ${width}`;

  runtimeTest('a command on a terminal has the size of the client’s window, whenever that changes', async (bench) => {
    if (bench.opened.hasTerminals === false) return;
    const id = await bench.run(suiteCommands.sleeper);
    const client = new RemoteClient();
    client.resize(100, 33);
    const script = `${isSized(100, 33)}; ${isSized(71, 29)}; echo e >&2; echo $TERM; exit 6`;
    const running = exec(bench, id, ['sh', '-c', script], client, { stdin: true, tty: true });
    await client.sees('is 100');
    client.resize(71, 29);
    const exitCode = await running;
    assert.deepEqual([exitCode, client.stdout], [6, 'is 100\r\nis 71\r\ne\r\nxterm\r\n']);
  });

  runtimeTest('a terminal is the controlling one: ^C interrupts, and what was said last is not lost', async (bench) => {
    if (bench.opened.hasTerminals === false) return;
    const id = await bench.run(suiteCommands.sleeper);
    const client = new RemoteClient();
    const script = 'trap "yes | head -c 60000; exit 8" INT; echo up; while true; do sleep 0.02; done';
    const running = exec(bench, id, ['sh', '-c', script], client, { stdin: true, tty: true });
    await client.sees('up');
    client.type('\u0003');
    assert.equal(await running, 8);
    assert.equal(client.stdout.replace(/^up\r\n(?:\^C)?/, '').length, 90_000);
  });

  runtimeTest('a container on a terminal takes what is typed, and its log has what was seen', async (bench) => {
    if (bench.opened.hasTerminals === false) return;
    const script = 'echo up; read x; echo "$((x + 1))"; exit 9';
    const id = await bench.run(['sh', '-c', script], { stdin: true, stdinOnce: true, tty: true });
    await bench.said(id, 'up');
    const client = new RemoteClient();
    const attached = bench.runtime.attach(id, { tty: true }, client.streams({ stdin: true, tty: true }), bench.signal);
    client.type('41\n');
    await attached;
    assert.equal((await bench.ended(id)).exitCode, 9);
    assert.ok(client.stdout.endsWith('42\r\n'), client.stdout);
    assert.ok((await bench.log(id)).includes(' stdout F 42'));
  });
}

function portForwardTests(runtimeTest: RuntimeTest): void {
  runtimeTest('a forwarded connection reaches the pod’s loopback, each direction ends by itself', async (bench) => {
    const sandboxId = await echoPod(bench);
    for (const text of ['first', 'second']) {
      const client = new ForwardedClient();
      const forwarding = bench.runtime.portForward(sandboxId, suitePort, client.stream, bench.signal);
      client.send(text);
      await client.sees(text);
      client.endInput();
      await forwarding;
      assert.deepEqual([client.received, client.isEnded], [text, true]);
    }
  });

  runtimeTest('a port where nobody listens is refused in containerd’s words', async (bench) => {
    const { id } = await bench.sandbox();
    const { stream } = new ForwardedClient();
    await assert.rejects(bench.runtime.portForward(id, 1, stream, bench.signal), {
      name: 'StatusError',
      message:
        /failed to connect to localhost:1 inside namespace "[^"]+", IPv4: dial tcp4 127\.0\.0\.1:1: connect: connection refused IPv6:? dial tcp6:? /,
    });
  });

  runtimeTest('a forwarded connection ends with its client', async (bench) => {
    const sandboxId = await echoPod(bench);
    const gone = new AbortController();
    const client = new ForwardedClient();
    const running = bench.runtime.portForward(sandboxId, suitePort, client.stream, gone.signal);
    client.send('here');
    await client.sees('here');
    const reason = new Error('gone');
    gone.abort(reason);
    await assert.rejects(running, (error) => error === reason);
  });
}

/** The id of a sandbox in which the server listens. */
async function echoPod(bench: RuntimeBench): Promise<string> {
  const sandbox = await bench.sandbox();
  await bench.run(bench.opened.echoServer ?? suiteCommands.echoServer, {}, sandbox);
  for (;;) {
    const probe = new ForwardedClient();
    probe.endInput();
    try {
      await bench.runtime.portForward(sandbox.id, suitePort, probe.stream, bench.signal);
      return sandbox.id;
    } catch (error) {
      if (!(error instanceof Error && error.message.includes('connection refused'))) throw error;
      await pause(); // not yet up
    }
  }
}

function logLines(log: string, stream: 'stdout' | 'stderr'): readonly string[] {
  const lines = log.split('\n').filter((line) => line.includes(` ${stream} F `));
  return lines.map((line) => logTexts(line));
}

function pause(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 10);
  });
}
