import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { WebSocket } from 'ws';
import type { ByteStream } from '../base/byte-stream.ts';
import { byteStreamOf } from '../base/duplex-byte-stream.ts';
import type { HttpResponse } from '../base/http.ts';
import { noLog } from '../base/log.ts';
import { StatusError } from '../base/status-error.ts';
import type { RemoteStreams } from '../cri/runtime.ts';
import type { RemoteCommandOptions, StreamServer } from '../kubelet/stream-server.ts';
import { VirtualClock, settle } from '../sim/virtual-clock.ts';
import { byteStreamPair, textOf } from '../../test/support/byte-stream-pair.ts';
import type { ForwardPort } from './port-forward.ts';
import type { RunCommand } from './remote-command.ts';
import { dialPortForward, dialRemoteCommand } from './spdy-client.ts';
import { SpdyConnection } from './spdy-connection.ts';
import { createStreamServer } from './stream-server.ts';

const never = new AbortController().signal;
const all: RemoteCommandOptions = { stdin: true, stdout: true, stderr: true, tty: false };

/** A server with a real socket, whose timers are virtual. `done` settles as the last connection's `takeOver` does. */
async function serve(
  answer: (streams: StreamServer, request: Parameters<StreamServer['portForward']>[0]) => HttpResponse,
) {
  const clock = new VirtualClock({ epochMs: 0 });
  const streams = createStreamServer({ clock, log: noLog });
  const server = http.createServer();
  const state: { done: Promise<void> } = { done: Promise.resolve() };
  server.on('upgrade', (request, socket: net.Socket) => {
    socket.on('error', () => {});
    const url = new URL(request.url ?? '', 'http://x');
    const headers = request.headers as Record<string, string>; // no set-cookie
    const asked = { method: request.method ?? '', path: url.pathname, query: url.searchParams, headers, body: '' };
    const response = answer(streams, { ...asked, user: undefined });
    if (response.takeOver !== undefined) state.done = response.takeOver(byteStreamOf(socket), never);
    else socket.end(`HTTP/1.1 ${response.status} No\r\ncontent-length: 0\r\n\r\n`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  after(() => server.close());
  const { port } = server.address() as AddressInfo; // it listens on TCP
  return { clock, port, url: `http://127.0.0.1:${port}/x`, state };
}

const command = (options: RemoteCommandOptions, run: RunCommand) =>
  serve((streams, request) => streams.remoteCommand(request, options, run));
const forwarding = (forward: ForwardPort) => serve((streams, request) => streams.portForward(request, forward));

/** As `cat; echo done >&2; exit 7`. */
const cat: RunCommand = async ({ stdin, stdout, stderr }) => {
  for await (const bytes of stdin ?? []) await stdout?.(bytes);
  await stderr?.(Buffer.from('done'));
  return 7;
};

/** A client's end: what was written to its streams. */
function recorder(input: readonly string[] = []) {
  const output = { stdout: '', stderr: '' };
  async function* stdin(): AsyncGenerator<Uint8Array> {
    for (const text of input) yield await Promise.resolve(Buffer.from(text));
  }
  const into = (name: 'stdout' | 'stderr') => (bytes: Uint8Array) => {
    output[name] += Buffer.from(bytes).toString('utf8');
    return Promise.resolve();
  };
  const streams: RemoteStreams = { stdin: stdin(), stdout: into('stdout'), stderr: into('stderr'), resize: undefined };
  return { streams, output };
}

interface Message {
  readonly channel: number;
  readonly text: string;
}

/** A WebSocket client that keeps all that it gets. */
async function dialWebSocket(url: string, protocols: string | string[]) {
  const socket = new WebSocket(url, protocols);
  const messages: Message[] = [];
  socket.on('message', (data: Buffer, isBinary) => {
    const first = data[0] ?? 0;
    const rest = data.subarray(1);
    const text = isBinary ? rest.toString('latin1') : Buffer.from(rest.toString('latin1'), 'base64').toString('latin1');
    messages.push({ channel: isBinary ? first : first - 0x30, text });
  });
  const closed = once(socket, 'close') as Promise<[code: number]>;
  socket.on('error', () => {});
  await once(socket, 'open');
  return { socket, messages, closed };
}

test('SPDY: output and errors apart, input that ends, and the exit code', async () => {
  const { url, state, clock } = await command(all, cat);
  const { streams, output } = recorder(['one ', 'two']);
  assert.equal(await dialRemoteCommand(url, all, streams, never), 7);
  assert.deepEqual(output, { stdout: 'one two', stderr: 'done' });
  await state.done;
  assert.deepEqual(clock.pendingNames(), []);
});

test("SPDY: with a terminal, the sizes of the client's arrive, the newest last, and stderr does not exist", async () => {
  const options = { ...all, tty: true };
  const { url } = await command(options, async ({ stdout, stderr, resize }) => {
    assert.equal(stderr, undefined);
    for await (const { width, height } of resize ?? []) {
      if (height === 0) break;
      await stdout?.(Buffer.from(`${width}x${height}`));
    }
    return 0;
  });
  let wake: () => void = () => {};
  const seen = new Promise<void>((resolve) => (wake = resolve));
  async function* resize() {
    yield { width: 80, height: 24 };
    await seen;
    yield { width: 1, height: 0 };
  }
  let text = '';
  const stdout = (bytes: Uint8Array): Promise<void> => {
    text += Buffer.from(bytes).toString('utf8');
    wake();
    return Promise.resolve();
  };
  const streams = { stdin: undefined, stdout, stderr: undefined, resize: resize() };
  assert.equal(await dialRemoteCommand(url, options, streams, never), 0);
  assert.equal(text, '80x24');
});

test("SPDY: a failure to run is told in the runner's bare words", async () => {
  const { url } = await command(all, () =>
    Promise.reject(new StatusError('NotFound', 'error executing command in container: no such file')),
  );
  await assert.rejects(dialRemoteCommand(url, all, recorder().streams, never), { message: 'no such file' });
});

test('WebSocket v5: channels, a close signal for stdin, the status, and a normal closure', async () => {
  const { url, state, clock } = await command(all, cat);
  const { socket, messages, closed } = await dialWebSocket(url, 'v5.channel.k8s.io');
  socket.send(Buffer.from([0, 0x68, 0x69]));
  socket.send(Buffer.from([9, 1])); // an unknown channel
  socket.send(Buffer.from([])); // nothing
  socket.send(Buffer.from([255, 0]));
  assert.equal((await closed)[0], 1_000);
  const [status, ...rest] = messages.toReversed();
  assert.deepEqual(rest.toReversed(), [
    { channel: 1, text: '' },
    { channel: 1, text: 'hi' },
    { channel: 2, text: 'done' },
  ]);
  assert.equal(status?.channel, 3);
  assert.deepEqual(JSON.parse(status.text), {
    metadata: {},
    status: 'Failure',
    message: 'command terminated with non-zero exit code: command terminated with exit code 7',
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: '7' }] },
  });
  await state.done;
  assert.deepEqual(clock.pendingNames(), []);
});

test('WebSocket: older versions, with base64, and with plain text instead of a status', async () => {
  const outcomes: readonly (readonly [protocols: string[], run: RunCommand, last: RegExp])[] = [
    [['v4.channel.k8s.io'], () => Promise.resolve(0), /^\{"metadata":\{\},"status":"Success"\}$/],
    [['v9.x', 'v4.base64.channel.k8s.io'], () => Promise.resolve(3), /"reason":"NonZeroExitCode"/],
    [['channel.k8s.io'], () => Promise.resolve(3), /^command terminated with non-zero exit code: /],
    [[], () => Promise.reject(new StatusError('Timeout', 'late')), /^Internal error occurred: late$/],
    [['base64.channel.k8s.io'], () => Promise.reject(new StatusError('Timeout', 'late')), /^Internal error/],
  ];
  for (const [protocols, run, last] of outcomes) {
    const { url } = await command({ ...all, stdin: false }, run);
    const { messages, closed, socket } = await dialWebSocket(url, protocols);
    await closed;
    assert.equal(socket.protocol, protocols.at(-1) ?? '');
    assert.equal(messages.at(-1)?.channel, 3);
    assert.match(messages.at(-1)?.text ?? '', last);
  }
});

test('what is no upgrade, or asks for a version that nobody speaks, is refused in words', async () => {
  const streams = createStreamServer({ clock: new VirtualClock({ epochMs: 0 }), log: noLog });
  const ask = (headers: Record<string, string>, query = '') => {
    const request = { method: 'GET', path: '/', query: new URLSearchParams(query), headers, body: '', user: undefined };
    const run = streams.remoteCommand(request, all, cat);
    const forward = streams.portForward(request, () => Promise.resolve());
    return [run, forward].map(({ status, body }) => `${status} ${typeof body === 'string' ? body : 'bytes'}`);
  };
  const missing = '400 unable to upgrade: missing upgrade headers in request';
  assert.deepEqual(ask({}), [missing, missing]);
  assert.deepEqual(ask({ upgrade: 'websocket', connection: 'close' }), [missing, missing]);
  assert.deepEqual(ask({ upgrade: 'h2c', connection: 'Upgrade' }), [missing, missing]);
  const spdy = { upgrade: 'SPDY/3.1', connection: 'keep-alive, Upgrade', 'x-stream-protocol-version': 'v9, v10' };
  assert.match(ask(spdy)[0] ?? '', /^403 unable to upgrade: .* client supports \[v9 v10\], server accepts \[v5.chan/);
  assert.match(ask(spdy)[1] ?? '', /^403 .*server accepts \[portforward.k8s.io\]$/);
  const webSocket = { upgrade: 'WebSocket', connection: 'upgrade', 'sec-websocket-protocol': 'v9' };
  assert.match(ask(webSocket)[0] ?? '', /^403 .*client supports \[v9\]/);
  const channels = { ...webSocket, 'sec-websocket-protocol': 'v4.channel.k8s.io' };
  assert.equal(ask(channels)[1], '400 query parameter "port" is required');
  assert.equal(ask(channels, 'port=80,x')[1], '400 unable to parse "x" as a port');
  assert.equal(ask(channels, 'port=0')[1], '400 unable to parse "0" as a port');
});

test('a WebSocket request without a key gets its 400', async () => {
  const { port, state } = await command(all, cat);
  const socket = net.connect(port, '127.0.0.1');
  socket.write('GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n');
  assert.match(await textOf(socket), /^HTTP\/1\.1 400 /);
  await state.done;
});

/** Waits for real I/O that a test has set off, without a clock. */
async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 200_000 && !holds(); i++) await settle();
  assert.ok(holds());
}

test('a client that vanishes ends its input and aborts its command, over both', async () => {
  for (const kind of ['spdy', 'websocket']) {
    const seen: string[] = [];
    const { url, state, clock, port } = await command(all, async ({ stdin }, signal) => {
      seen.push('running');
      signal.addEventListener('abort', () => seen.push('aborted'));
      for await (const bytes of stdin ?? []) seen.push(Buffer.from(bytes).toString('utf8'));
      seen.push('ended');
      throw new StatusError('ServiceUnavailable', 'who listens?');
    });
    if (kind === 'websocket') {
      const { socket } = await dialWebSocket(url, 'v5.channel.k8s.io');
      await until(() => seen.length > 0);
      socket.terminate();
    } else {
      const { socket } = await dialSpdy(port, 'v4.channel.k8s.io', ['error', 'stdin', 'stdout', 'stderr']);
      await until(() => seen.length > 0);
      socket.destroy();
    }
    await state.done;
    assert.deepEqual(seen.toSorted(), ['aborted', 'ended', 'running'], kind);
    assert.deepEqual(clock.pendingNames(), []);
  }
});

/** A SPDY client that opens streams of these types, or with these headers, and no more. */
async function dialSpdy(port: number, protocol: string, types: readonly (string | Record<string, string>)[]) {
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', () => {});
  const lines = ['POST / HTTP/1.1', 'Host: x', 'Connection: Upgrade', 'Upgrade: SPDY/3.1'];
  socket.write(`${lines.join('\r\n')}\r\nX-Stream-Protocol-Version: ${protocol}\r\n\r\n`);
  const [head] = (await once(socket, 'data')) as [Buffer];
  assert.equal(
    head.toString('latin1'),
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n' +
      `X-Stream-Protocol-Version: ${protocol}\r\n\r\n`,
  );
  socket.pause();
  const connection = new SpdyConnection(byteStreamOf(socket), { side: 'client' });
  const ended = connection.run().catch(() => {});
  const streams = [];
  for (const type of types) streams.push(await connection.open(typeof type === 'string' ? { streamtype: type } : type));
  return { socket, connection, streams, ended };
}

test('a client that does not open all its streams within 30 s is cut off, and its command is not run', async () => {
  const { port, clock, state } = await command(all, () => assert.fail('it ran'));
  const { ended } = await dialSpdy(port, 'v4.channel.k8s.io', ['error', 'stdout']);
  await clock.advance(29_999);
  assert.ok(clock.pendingNames().includes('streaming.open'));
  await clock.advance(1);
  await ended;
  await state.done;
  assert.deepEqual(clock.pendingNames(), []);
});

test('a session in which nothing happens for 4 h is ended; one whose client pings lives on', async () => {
  let running = 0;
  const idle: RunCommand = (_streams, signal) =>
    new Promise((_resolve, reject) => {
      running += 1;
      signal.addEventListener('abort', () => {
        running -= 1;
        reject(signal.reason);
      });
    });
  const { port, clock, state } = await command({ ...all, stdin: false, stderr: false }, idle);
  const silent = await dialSpdy(port, 'v4.channel.k8s.io', ['error', 'stdout']);
  const [firstDone] = [state.done];
  await until(() => running === 1);
  await clock.advance(2 * 3_600_000);
  const pinging = await dialSpdy(port, 'v4.channel.k8s.io', ['error', 'stdout']);
  await until(() => running === 2);
  await clock.advance(2 * 3_600_000);
  await firstDone;
  await silent.ended;
  assert.equal(running, 1);
  await pinging.connection.ping();
  await assert.rejects(pinging.connection.open({ streamtype: 'x' })); // the answer shows that the ping has arrived
  await clock.advance(3 * 3_600_000); // 5 h since it was opened
  assert.equal(running, 1);
  pinging.socket.destroy();
  await state.done;
  assert.deepEqual(clock.pendingNames(), []);
});

test('a client that does not read holds its command up', async () => {
  let written = 0;
  const { port, state } = await command({ ...all, stdin: false, stderr: false }, async ({ stdout }) => {
    for (;;) {
      await stdout?.(Buffer.alloc(1_048_576));
      written += 1;
    }
  });
  const { socket } = await dialSpdy(port, 'v4.channel.k8s.io', ['error', 'stdout']);
  await until(() => written > 0);
  for (let before = -1; before !== written;) {
    before = written;
    for (let i = 0; i < 2_000; i++) await settle();
  }
  assert.ok(written < 100, `${written} MiB were taken`);
  socket.destroy();
  await state.done;
});

test('port-forward: connections side by side, each with its own end, and failures told on their own', async () => {
  const { url, state, clock } = await forwarding(async (port, stream) => {
    if (port === 81) throw new StatusError('ServiceUnavailable', 'error forwarding port 81 to pod p, uid u: refused');
    await stream.write(Buffer.from(`${port}:`));
    for await (const bytes of stream.incoming) await stream.write(bytes);
    await stream.end();
  });
  const ask = async (port: number, text: string): Promise<string> => {
    const [near, far] = byteStreamPair();
    const dialled = dialPortForward(url, port, far, never);
    await near.write(Buffer.from(text));
    await near.end();
    const answer = textOf(near.incoming);
    await dialled;
    return answer;
  };
  assert.deepEqual(await Promise.all([ask(80, 'a'), ask(8_080, 'b')]), ['80:a', '8080:b']);
  await assert.rejects(ask(81, 'x'), { message: 'refused' });
  await state.done;
  assert.deepEqual(clock.pendingNames(), []);
});

test('port-forward: one connection carries many, also from clients that number nothing; half a pair is given up', async () => {
  const { port, clock, state } = await forwarding(async (number, stream) => {
    await stream.write(Buffer.from(String(number)));
    await stream.end();
  });
  const headers = (streamtype: string, to: string, more: object = {}) => ({ streamtype, port: to, ...more });
  const { socket, connection, streams } = await dialSpdy(port, 'portforward.k8s.io', [
    headers('error', '1', { requestid: 'a' }),
    headers('error', '2', { requestid: 'b' }),
    headers('data', '2', { requestid: 'b' }),
    headers('data', '1', { requestid: 'a' }),
    headers('error', '3'),
    headers('data', '3'),
    headers('error', '4', { requestid: 'c' }),
  ]);
  const texts = [3, 2, 5].map((index) => textOf(streams[index]?.incoming ?? assert.fail()));
  assert.deepEqual(await Promise.all(texts), ['1', '2', '3']);
  for (const bad of [headers('data', '0'), headers('data', '70000'), headers('other', '1'), { streamtype: 'data' }]) {
    await assert.rejects(connection.open(bad), /reset/);
  }
  const waiting = textOf(streams[6]?.incoming ?? assert.fail());
  await clock.advance(30_000);
  assert.equal(await waiting, 'timed out waiting for streams');
  socket.destroy();
  await state.done;
  assert.deepEqual(clock.pendingNames(), []);
});

test('port-forward: a client that cuts off one connection keeps the others', async () => {
  const ends: string[] = [];
  const { port, state } = await forwarding(async (number, stream) => {
    try {
      for await (const bytes of stream.incoming) await stream.write(bytes);
      ends.push(`${number} ended`);
      await stream.end();
    } catch {
      ends.push(`${number} broke`);
      throw new StatusError('ServiceUnavailable', 'nobody hears this');
    }
  });
  const pair = (id: string) => [
    { streamtype: 'error', port: id, requestid: id },
    { streamtype: 'data', port: id, requestid: id },
  ];
  const { socket, streams } = await dialSpdy(port, 'portforward.k8s.io', [...pair('1'), ...pair('2')]);
  const [errors, first, , second] = streams;
  assert.ok(errors !== undefined && first !== undefined && second !== undefined);
  first.destroy();
  assert.equal(await textOf(errors.incoming), '');
  await second.write(Buffer.from('still here'));
  await second.end();
  assert.equal(await textOf(second.incoming), 'still here');
  assert.deepEqual(ends, ['1 broke', '2 ended']);
  socket.destroy();
  await state.done;
});

/** As kubectl: a subprotocol whose name the library takes for none; each message is one byte. */
async function dialTunnel(port: number): Promise<readonly [ByteStream, hangUp: () => void]> {
  const socket = net.connect(port, '127.0.0.1');
  const name = 'Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io';
  const lines = ['GET / HTTP/1.1', 'Host: x', 'Connection: Upgrade', 'Upgrade: websocket', name];
  lines.push('Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==');
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  const [head] = (await once(socket, 'data')) as [Buffer];
  assert.match(head.toString('latin1'), /^HTTP\/1\.1 101 /);
  assert.ok(head.toString('latin1').includes(`\r\n${name}\r\n`));
  const [near, far] = byteStreamPair();
  const frame = (opcode: number, bytes: Uint8Array) =>
    socket.write(Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | bytes.length, 0, 0, 0, 0]), bytes]));
  let held = Buffer.alloc(0);
  socket.on('data', (data: Buffer) => {
    held = Buffer.concat([held, data]);
    for (let length = held[1]; length !== undefined && held.length >= 2 + length; length = held[1]) {
      assert.ok(length < 126, 'short frames only');
      if (held[0] === 0x82) void far.write(held.subarray(2, 2 + length)); // binary; else the answer to our close
      held = held.subarray(2 + length);
    }
  });
  socket.on('close', () => void far.end());
  void (async () => {
    for await (const bytes of far.incoming) for (const byte of bytes) frame(2, Buffer.from([byte]));
  })();
  return [near, () => frame(8, Buffer.from([3, 232]))];
}

test('port-forward over WebSocket: SPDY in a tunnel, and the older channels', async () => {
  const {
    url,
    state,
    clock,
    port: tunnelPort,
  } = await forwarding(async (port, stream) => {
    if (port === 81) throw new StatusError('ServiceUnavailable', 'refused');
    await stream.write(Buffer.from(`${port}:`));
    for await (const bytes of stream.incoming) {
      await stream.write(bytes);
      break;
    }
    await stream.end();
  });
  const [near, hangUp] = await dialTunnel(tunnelPort);
  const client = new SpdyConnection(near, { side: 'client' });
  const run = client.run();
  const [errors, data] = [
    await client.open({ streamtype: 'error', port: '80', requestid: '0' }),
    await client.open({ streamtype: 'data', port: '80', requestid: '0' }),
  ];
  await data.write(Buffer.from('x'));
  assert.deepEqual([await textOf(data.incoming), await textOf(errors.incoming)], ['80:x', '']);
  hangUp();
  await run;
  await state.done;
  assert.deepEqual(clock.pendingNames(), []);

  const channels = await dialWebSocket(`${url}?port=80&port=81`, 'v4.channel.k8s.io');
  channels.socket.send(Buffer.from([0, 0x79]));
  assert.equal((await channels.closed)[0], 1_000);
  const textsOf = (channel: number) =>
    channels.messages.filter((each) => each.channel === channel).map(({ text }) => text);
  assert.deepEqual([0, 1, 2, 3].map(textsOf), [['P\0', '80:', 'y'], ['P\0'], ['Q\0'], ['Q\0', 'refused']]);
  await state.done;
  assert.deepEqual(clock.pendingNames(), []);
});

test('the client of a server that is not there, refuses or vanishes fails in words', async () => {
  const streams = recorder().streams;
  const refusing = await serve((server, request) =>
    server.remoteCommand({ ...request, headers: {} }, all, () => assert.fail('it ran')),
  );
  await assert.rejects(dialRemoteCommand(refusing.url, all, streams, never), StatusError);
  const vanishing = net.createServer((socket) => {
    socket.once('data', () => socket.end('HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n'));
  });
  vanishing.listen(0, '127.0.0.1');
  await once(vanishing, 'listening');
  const { port } = vanishing.address() as AddressInfo; // it listens on TCP
  await assert.rejects(dialRemoteCommand(`http://127.0.0.1:${port}`, all, streams, never), StatusError);
  vanishing.close();
  await once(vanishing, 'close');
  await assert.rejects(dialRemoteCommand(`http://127.0.0.1:${port}`, all, streams, never), /ECONNREFUSED/);
  const stop = new AbortController();
  const { url, state } = await command(all, (_streams, signal) => {
    stop.abort(new Error('enough'));
    return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  });
  await assert.rejects(dialRemoteCommand(url, all, { ...streams, stdin: undefined }, stop.signal), /enough/);
  await state.done;
});
