import assert from 'node:assert/strict';
import { test } from 'node:test';
import zlib from 'node:zlib';
import type { ByteStream } from '../base/byte-stream.ts';
import { StatusError } from '../base/status-error.ts';
import { settle } from '../sim/virtual-clock.ts';
import { byteStreamPair, bytesOf, textOf } from '../../test/support/byte-stream-pair.ts';
import fc from '../../test/support/property.ts';
import { BytePipe, pipeBytesMax } from './byte-pipe.ts';
import { SpdyConnection, spdyStreamsMax } from './spdy-connection.ts';
import type { SpdyStream } from './spdy-connection.ts';
import { spdyDictionary, spdyDictionaryId } from './spdy-dictionary.ts';
import { SpdyFrameWriter, controlBytesMax, readFrames } from './spdy-frames.ts';
import type { SpdyFrame } from './spdy-frames.ts';

/** What kubectl 1.27.16 sent in `echo hi | kubectl exec -i p -- cat`. */
const fromKubectl =
  '80030001000000290000000100000000000078f9e3c6a7c26260606004a7b392a2d4c45c6851c29a0a0a6800000000ffff' +
  '800300010000001700000003000000000000c22e555c92929907000000ffff' +
  '800300010000001900000005000000000000c22ac5565c92925f5a02000000ffff' +
  '800300010000001500000007000000000000c229975a5404000000ffff' +
  '000000030000000368690a' +
  '0000000301000000' +
  '8003000300000008000000010000000580030003000000080000000500000005' +
  '8003000300000008000000070000000580030007000000080000000000000000';

async function* cut(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    yield await Promise.resolve(bytes.subarray(at, at + size));
    at += size;
  }
}

async function framesOf(bytes: Uint8Array, sizes: readonly number[] = [bytes.length]): Promise<SpdyFrame[]> {
  const frames: SpdyFrame[] = [];
  for await (const frame of readFrames(cut(bytes, sizes))) frames.push(frame);
  return frames;
}

test('the dictionary is the one that zlib streams of SPDY/3 name', () => {
  assert.equal(zlib.deflateSync('', { dictionary: spdyDictionary }).readUInt32BE(2), spdyDictionaryId);
});

test('what kubectl sends is read, wherever it is cut', async () => {
  const syn = (streamId: number, streamtype: string) =>
    ({ kind: 'synStream', streamId, headers: { streamtype }, fin: false }) as const;
  const reset = (streamId: number) => ({ kind: 'rstStream', streamId, status: 5 }) as const;
  const bytes = Buffer.from(fromKubectl, 'hex');
  assert.deepEqual(await framesOf(bytes), [
    syn(1, 'error'),
    syn(3, 'stdin'),
    syn(5, 'stdout'),
    syn(7, 'stderr'),
    { kind: 'data', streamId: 3, bytes: Buffer.from('hi\n'), fin: false },
    { kind: 'data', streamId: 3, bytes: new Uint8Array(0), fin: true },
    reset(1),
    reset(5),
    reset(7),
    { kind: 'goAway' },
  ]);
  const kinds = (await framesOf(bytes, [1])).map(({ kind }) => kind);
  assert.deepEqual(kinds.slice(0, 7), [...Array<string>(4).fill('synStream'), 'data', 'data', 'data']);
});

test('headers and data come back as they were sent, wherever the bytes are cut', async () => {
  const name = fc.stringMatching(/^[a-z][a-z-]{0,20}$/);
  const value = fc.string({ maxLength: 200 }).filter((text) => !text.includes('\0'));
  const headers = fc.uniqueArray(fc.tuple(name, value), { selector: ([key]) => key, maxLength: 8 });
  const lists = fc.array(fc.tuple(headers, fc.uint8Array({ maxLength: 300 })), { minLength: 1, maxLength: 6 });
  const sizes = fc.array(fc.integer({ min: 1, max: 70 }), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(lists, sizes, async (sent, cuts) => {
      const writer = new SpdyFrameWriter();
      const bytes = sent.flatMap(([list, data], index) => [
        writer.synStream(2 * index + 1, Object.fromEntries(list)),
        writer.data(2 * index + 1, data, true),
      ]);
      const frames = await framesOf(Buffer.concat(bytes), cuts);
      const seen = sent.map((_, index) => {
        const mine = frames.filter((frame) => 'streamId' in frame && frame.streamId === 2 * index + 1);
        const data = mine.flatMap((frame) => (frame.kind === 'data' ? [frame.bytes] : []));
        const [first] = mine;
        return [first?.kind === 'synStream' ? first.headers : undefined, Uint8Array.from(Buffer.concat(data))];
      });
      assert.deepEqual(
        seen,
        sent.map(([list, data]) => [Object.fromEntries(list), data]),
      );
    }),
    { numRuns: 60 },
  );
});

const control = (type: number, payload: Uint8Array, version = 3): Buffer => {
  const head = Buffer.alloc(8);
  head.writeUInt16BE(0x8000 | version, 0);
  head.writeUInt16BE(type, 2);
  head.writeUIntBE(payload.length, 5, 3);
  return Buffer.concat([head, payload]);
};

test('what is no SPDY, too large or cut short is an error, and nothing worse', async () => {
  const syn = Buffer.from(fromKubectl.slice(0, 98), 'hex');
  const bomb = zlib.deflateSync(Buffer.alloc(8 * controlBytesMax), {
    dictionary: spdyDictionary,
    finishFlush: zlib.constants.Z_SYNC_FLUSH,
  });
  const bad: readonly (readonly [what: string, bytes: Buffer, error: RegExp])[] = [
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'), /ended in the middle/],
    ['version', control(6, Buffer.alloc(4), 2), /version 2/],
    ['length', control(1, Buffer.alloc(controlBytesMax + 1)), /control frame of 65537 bytes/],
    ['cut head', syn.subarray(0, 5), /ended in the middle/],
    ['cut payload', syn.subarray(0, 30), /ended in the middle/],
    ['cut data', Buffer.from('000000030000000a6869', 'hex'), /ended in the middle/],
    ['no zlib', control(1, Buffer.alloc(30, 7)), /cannot be inflated/],
    ['bomb', control(1, Buffer.concat([Buffer.alloc(10), bomb])), /more than 65536 bytes/],
    ['short', control(3, Buffer.alloc(3)), /cut short/],
    ['stream 0', Buffer.from('0000000000000001ff', 'hex'), /stream 0/],
  ];
  for (const [what, bytes, error] of bad) {
    const thrown = await framesOf(bytes).catch((failure: unknown) => failure);
    assert.ok(thrown instanceof StatusError, `${what}: ${JSON.stringify(thrown)}`);
    assert.match(thrown.message, error, what);
  }
  assert.deepEqual(await framesOf(control(9, Buffer.alloc(8))), [{ kind: 'ignored' }]);
});

test('random bytes are frames or a StatusError', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.nat(300), async (noise, at) => {
      const bytes = Buffer.from(fromKubectl, 'hex');
      bytes.set(noise.subarray(0, Math.max(0, bytes.length - at)), Math.min(at, bytes.length));
      try {
        await framesOf(bytes);
      } catch (error) {
        assert.ok(error instanceof StatusError, String(error));
      }
    }),
    { numRuns: 200 },
  );
});

function connected(onStream: (stream: SpdyStream) => void, mayOpen: () => boolean = () => true) {
  const [near, far] = byteStreamPair();
  const client = new SpdyConnection(near, { side: 'client' });
  const server = new SpdyConnection(far, { side: 'server', mayOpen, onStream });
  const runs = [client.run(), server.run()].map((run) => run.catch((error: unknown) => error));
  const close = async (): Promise<unknown[]> => {
    near.destroy();
    far.destroy();
    return Promise.all(runs);
  };
  return { client, server, near, far, close };
}

async function echo(stream: ByteStream): Promise<void> {
  for await (const bytes of stream.incoming) await stream.write(bytes);
  await stream.end();
}

test('each direction of a stream ends by itself, and streams do not mix', async () => {
  const echoes: Promise<void>[] = [];
  const { client, close } = connected((stream) => echoes.push(echo(stream)));
  const streams = await Promise.all(['a', 'b', 'c'].map((name) => client.open({ name })));
  const large = Buffer.alloc(3 * pipeBytesMax, 'x');
  const answers = streams.map(({ incoming }) => bytesOf(incoming));
  await Promise.all(
    streams.map(async (stream, index) => {
      await stream.write(Buffer.from(`${index}`));
      await stream.write(large);
      await stream.end();
    }),
  );
  for (const [index, answer] of (await Promise.all(answers)).entries()) {
    assert.equal(answer.subarray(0, 1).toString(), String(index));
    assert.equal(answer.length, large.length + 1);
  }
  await Promise.all(echoes);
  await close();
});

test('a reset before the end is an error for reader and writer; after our end it is just the end', async () => {
  const opened: SpdyStream[] = [];
  const { client, close } = connected((stream) => opened.push(stream));
  const [early, late] = [await client.open({}), await client.open({})];
  const [theirEarly, theirLate] = opened;
  assert.ok(theirEarly !== undefined && theirLate !== undefined);
  early.destroy();
  await assert.rejects(textOf(theirEarly.incoming), /the stream was reset/);
  await assert.rejects(theirEarly.write(Buffer.from('x')), /the stream was reset/);
  await theirLate.write(Buffer.from('all'));
  await theirLate.end();
  assert.equal(await textOf(late.incoming), 'all');
  late.destroy();
  assert.equal(await textOf(theirLate.incoming), '');
  await close();
});

test('a writer waits for the reader of its stream, and what comes for a reader that left is dropped', async () => {
  const opened: SpdyStream[] = [];
  const { client, close } = connected((stream) => opened.push(stream));
  const [slow, next] = [await client.open({}), await client.open({})];
  let written = 0;
  const writing = (async () => {
    for (let i = 0; i < 40; i++) {
      await slow.write(Buffer.alloc(pipeBytesMax / 4));
      written += 1;
    }
    await next.write(Buffer.from('through'));
    await next.end();
  })();
  for (let i = 0; i < 50; i++) await settle();
  assert.ok(written < 20, `${written} pieces of ${pipeBytesMax / 4} bytes were taken`);
  opened[0]?.incoming.discard();
  assert.ok(opened[1] !== undefined);
  assert.equal(await textOf(opened[1].incoming), 'through');
  await writing;
  await close();
});

test('streams over the limit, and those that are not wanted, are refused; the others live on', async () => {
  let allowed = true;
  const { client, close } = connected(
    (stream) => void echo(stream).catch(() => {}), // those that are open at the end are cut off
    () => allowed,
  );
  const first = await client.open({});
  allowed = false;
  await assert.rejects(client.open({}), /the stream was reset/);
  allowed = true;
  const more = Array.from({ length: spdyStreamsMax - 1 }, () => client.open({}));
  await Promise.all(more);
  await assert.rejects(client.open({}), /the stream was reset/);
  await first.write(Buffer.from('hi'));
  await first.end();
  assert.equal(await textOf(first.incoming), 'hi');
  await client.open({}); // there is room again
  await close();
});

test('a lost connection ends everything on it with an error; one that ends, ends what is read', async () => {
  const opened: SpdyStream[] = [];
  const { client, near, far, close } = connected((stream) => opened.push(stream));
  const stream = await client.open({});
  far.destroy();
  await assert.rejects(textOf(stream.incoming), /the connection was lost/);
  await assert.rejects(stream.write(Buffer.from('x')), StatusError);
  await assert.rejects(client.open({}), StatusError);
  near.destroy();
  await close();
  await assert.rejects(opened[0]?.write(Buffer.from('x')) ?? Promise.resolve(), /the connection was closed/);
});

test('pings are answered, and our own are not taken for signs of life', async () => {
  const [near, far] = byteStreamPair();
  let activityCount = 0;
  const server = new SpdyConnection(far, { side: 'server', onActivity: () => (activityCount += 1) });
  const run = server.run();
  const writer = new SpdyFrameWriter();
  await near.write(writer.ping(1)); // a client's
  await server.ping();
  await near.write(writer.ping(2)); // the answer to it
  await near.end();
  await run;
  await far.end();
  assert.deepEqual(await framesOf(await bytesOf(near.incoming)), [
    { kind: 'ping', id: 2 },
    { kind: 'ping', id: 1 },
  ]);
  assert.equal(activityCount, 1);
});

test('a pipe gives what was written before its failure, and forgets all when nobody reads', async () => {
  const pipe = new BytePipe();
  await pipe.push(Buffer.from('a'));
  pipe.fail(new StatusError('Timeout', 'late'));
  const reader = pipe[Symbol.asyncIterator]();
  assert.deepEqual((await reader.next()).value, Buffer.from('a'));
  await assert.rejects(reader.next(), /late/);
  const full = new BytePipe();
  const pushed = full.push(Buffer.alloc(pipeBytesMax + 1));
  full.discard();
  await pushed;
  await full.push(Buffer.alloc(pipeBytesMax + 1));
});
