import fc from '../../test/support/property.ts';
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import type { HttpProbeReply } from '../kubelet/probes/probe-transport.ts';
import { transportFailures } from '../kubelet/probes/transport-failures.ts';
import { headBytesMax, Http1ReplyParser } from './probe-transport-http1.ts';

const bodyBytesMax = 16;

/** What is read from these pieces and, unless that was enough, the close after them. */
function read(pieces: readonly Buffer[], end: 'close' | 'break' = 'close'): HttpProbeReply {
  const parser = new Http1ReplyParser(bodyBytesMax);
  // One buffer for all pieces, as the transport has it: nothing may be kept of it.
  const shared = Buffer.alloc(Math.max(1, ...pieces.map((piece) => piece.length)));
  for (const piece of pieces) {
    piece.copy(shared);
    const reply = parser.push(shared, piece.length);
    if (reply !== undefined) return reply;
  }
  const last = end === 'close' ? parser.end() : parser.break(transportFailures.headersTimeout);
  assert.ok(last !== undefined);
  return last;
}

const text = (bytes: string): Buffer => Buffer.from(bytes, 'latin1');
const ok = (body: string, status = 200): HttpProbeReply => ({ kind: 'response', status, location: undefined, body });
const broken = (words: string): HttpProbeReply => ({
  kind: 'failed',
  failure: { kind: 'malformed', detail: `net/http: HTTP/1.x transport connection broken: ${words}` },
});
const bodyFailed = (detail: string): HttpProbeReply => ({
  kind: 'failed',
  failure: { kind: 'body', detail, head: { status: 200, location: undefined } },
});
const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';

const cases: Readonly<Record<string, readonly [bytes: string, reply: HttpProbeReply]>> = {
  'a length': ['HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', ok('ok')],
  'more than the length': ['HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500', ok('ok')],
  'no length: until the close': ['HTTP/1.1 200 OK\r\n\r\nok', ok('ok')],
  'a body cut to the most that is read': ['HTTP/1.1 200 OK\r\n\r\n0123456789abcdefXYZ', ok('0123456789abcdef')],
  'a long body with a length': [
    'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n0123456789abcdefX',
    ok('0123456789abcdef'),
  ],
  'bare line feeds': ['HTTP/1.1 200 OK\nContent-Length: 2\n\nok', ok('ok')],
  'no reason phrase': ['HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n', ok('')],
  'HTTP/1.0': ['HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok', ok('2\r\nok')],
  'no content, whatever the length': ['HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n', ok('', 204)],
  'not modified': ['HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n', ok('', 304)],
  'informational ones first': ['HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 103 H\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n', ok('')],
  'switching protocols is final': ['HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n', ok('', 101)],
  'a folded header': ['HTTP/1.1 200 OK\r\nContent-Length:\r\n 2\r\n\r\nok', ok('ok')],
  'the same length twice': ['HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok', ok('ok')],
  'UTF-8 in the body': ['HTTP/1.1 200 OK\r\n\r\ngr\u00c3\u00bcn', ok('grün')],
  'a location in UTF-8': [
    'HTTP/1.1 302 F\r\nLocation: /gr\u00c3\u00bcn\r\nlocation: /second\r\nContent-Length: 0\r\n\r\n',
    { kind: 'response', status: 302, location: '/grün', body: '' },
  ],
  chunks: [`${chunked}2\r\nok\r\n3;ext=1\r\n ab\r\n0\r\nTrailer: x\r\n\r\n`, ok('ok ab')],
  'chunks up to the most that is read': [`${chunked}ff\r\n0123456789abcdefXYZ`, ok('0123456789abcdef')],
  'chunked wins over a length': [
    'HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\na\r\n0\r\n\r\n',
    ok('a'),
  ],
  'nothing at all': ['', { kind: 'failed', failure: { kind: 'eof', detail: 'EOF' } }],
  'half a status line that could be one': ['HTTP/1.1 200 OK', broken('unexpected EOF')],
  'half a head': ['HTTP/1.1 200 OK\r\nContent-Le', broken('unexpected EOF')],
  'not HTTP': ['hello\r\n', broken('malformed HTTP response "hello"')],
  'not HTTP, and no line': ['hello', broken('malformed HTTP response "hello"')],
  'an empty line': ['\r\nHTTP/1.1 200 OK\r\n\r\n', broken('malformed HTTP response ""')],
  'another protocol': ['SSH-2.0-OpenSSH 8\r\n', broken('malformed HTTP status code "8"')],
  'another protocol, three digits': ['ICY 200 OK\r\n', broken('malformed HTTP version "ICY"')],
  'a status of two digits': ['HTTP/1.1 20 OK\r\n', broken('malformed HTTP status code "20"')],
  'a header without a colon': [
    'HTTP/1.1 200 OK\r\nnocolon\r\nA: b\r\n\r\n',
    broken('malformed MIME header: missing colon: "nocolon"'),
  ],
  'a header with a bad name': ['HTTP/1.1 200 OK\r\na b: c\r\n\r\n', broken('malformed MIME header line: a b: c')],
  'a first header that continues': ['HTTP/1.1 200 OK\r\n x\r\n\r\n', broken('malformed MIME header initial line: x')],
  'two lengths': [
    'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
    broken('http: message cannot contain multiple Content-Length headers; got ["1" "2"]'),
  ],
  'a bad length': ['HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n', broken('bad Content-Length "-1"')],
  'another encoding': [
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n',
    broken('unsupported transfer encoding: "gzip"'),
  ],
  'two encodings': [
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n',
    broken('too many transfer encodings: ["gzip" "chunked"]'),
  ],
  'a body that is too short': ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab', bodyFailed('unexpected EOF')],
  'chunks that end early': [`${chunked}5\r\nab`, bodyFailed('unexpected EOF')],
  'no last chunk': [`${chunked}1\r\na\r\n`, bodyFailed('unexpected EOF')],
  'a trailer that ends early': [`${chunked}0\r\nA: b\r\n`, bodyFailed('http: unexpected EOF reading trailer')],
  'chunked garbage': [`${chunked}zz\r\n`, bodyFailed('invalid byte in chunk length')],
  'an empty chunk size': [`${chunked}\r\n`, bodyFailed('empty hex number for chunk length')],
  'a huge chunk size': [`${chunked}12345678901234567\r\n`, bodyFailed('http chunk length too large')],
  'a chunk without its end': [`${chunked}1\r\nab\r\n`, bodyFailed('malformed chunked encoding')],
  'a chunk with half its end': [`${chunked}1\r\na\rx`, bodyFailed('malformed chunked encoding')],
  'an endless chunk line': [`${chunked}1;${'x'.repeat(5_000)}`, bodyFailed('header line too long')],
};

test('responses are read, and refused, as Go would', () => {
  for (const [name, [bytes, reply]] of Object.entries(cases)) assert.deepEqual(read([text(bytes)]), reply, name);
});

test('it makes no difference how the bytes are cut into pieces', () => {
  const bytes = fc.oneof(
    fc.constantFrom(...Object.values(cases).map(([one]) => one)),
    fc
      .array(
        fc.constantFrom(
          'HTTP/1.1 200 OK',
          '\r\n',
          '\n',
          'Content-Length: 3',
          '\r\n\r\n',
          'Transfer-Encoding: chunked',
          '3',
          'abc',
          '0',
          ' ',
          ':',
        ),
      )
      .map((parts) => parts.join('')),
  );
  const run = (all: string, cuts: readonly number[]): void => {
    const whole = text(all);
    const places = [...new Set(cuts.map((cut) => cut % (whole.length + 1)))].sort((a, b) => a - b);
    const pieces = [0, ...places].map((from, index) => whole.subarray(from, places[index] ?? whole.length));
    assert.deepEqual(read(pieces), read([whole]));
    assert.deepEqual(read(pieces, 'break').kind, read([whole], 'break').kind);
  };
  fc.assert(fc.property(bytes, fc.array(fc.nat(), { maxLength: 12 }), run), { numRuns: 2_000 });
  for (const [all] of Object.values(cases))
    run(
      all,
      Array.from({ length: Math.min(all.length, 300) }, (_, index) => index),
    );
});

test('when the time is up it matters whether the headers were there', () => {
  const timeout = 'context deadline exceeded (Client.Timeout exceeded while awaiting headers)';
  const inHead = { kind: 'failed', failure: { kind: 'timeout', detail: timeout } } as const;
  assert.deepEqual(read([], 'break'), inHead);
  assert.deepEqual(read([text('HTTP/1.1 200 OK\r\nA: b\r\n')], 'break'), inHead);
  assert.deepEqual(
    read([text('HTTP/1.1 200 OK\r\n\r\nsome')], 'break'),
    bodyFailed('context deadline exceeded (Client.Timeout or context cancellation while reading body)'),
  );
});

test('a reset is told apart by how far the response got', () => {
  const after = (bytes: string): HttpProbeReply | undefined => {
    const parser = new Http1ReplyParser(bodyBytesMax);
    parser.push(text(bytes), bytes.length);
    return parser.break(transportFailures.reset('a:1', 'b:2'));
  };
  const words = 'read tcp a:1->b:2: read: connection reset by peer';
  assert.deepEqual(after(''), { kind: 'failed', failure: { kind: 'reset', detail: words } });
  assert.deepEqual(after('HTTP/1.1 2'), broken(words));
  assert.deepEqual(after('HTTP/1.1 200 OK\r\n\r\n'), bodyFailed(words));
});

test('endless headers are cut off, in one response or in many', () => {
  const aborted: HttpProbeReply = {
    kind: 'failed',
    failure: {
      kind: 'malformed',
      detail: `net/http: server response headers exceeded ${headBytesMax} bytes; aborted`,
    },
  };
  const pieces = (piece: string): Buffer[] =>
    Array.from({ length: 40 }, () => text(piece.repeat(Math.ceil(40_000 / piece.length))));
  assert.deepEqual(read([text('HTTP/1.1 200 OK\r\n'), ...pieces('A: b\r\n')]), aborted);
  assert.deepEqual(read(pieces('HTTP/1.1 100 Continue\r\n\r\n')), aborted);
});
