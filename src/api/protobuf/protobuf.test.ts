import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import fc from '../../../test/support/property.ts';
import { StatusError } from '../../base/status-error.ts';
import { decode } from '../decode.ts';
import type { Pod } from '../gen/types.ts';
import { resources } from '../resources.ts';
import { decodeProtobuf, decodeProtobufBody, hasProtobufMagic } from './decode.ts';
import { encodeProtobuf, protobufWatchFrame } from './encode.ts';
import { WireReader } from './wire-reader.ts';
import { WireWriter } from './wire-writer.ts';

// Made by another protobuf library from the .proto files of Kubernetes 1.34.
const vectors = JSON.parse(fs.readFileSync(new URL('../testdata/protobuf.json', import.meta.url), 'utf8')) as Readonly<
  Record<'pod' | 'deleteOptions' | 'status' | 'leaseList', string>
>;

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

test('a pod from a Go client is read', () => {
  const { object } = decodeProtobufBody(resources.pods, bytesOf(vectors.pod));
  assert.deepEqual(object, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'pöd', labels: { a: '1' }, generation: 5_000_000_000 },
    spec: {
      containers: [
        {
          name: 'c',
          image: 'i',
          livenessProbe: { httpGet: { path: '/', port: 'web' }, terminationGracePeriodSeconds: 0 },
          resources: { limits: { cpu: '1500m' } },
        },
      ],
      terminationGracePeriodSeconds: -1,
      volumes: [{ name: 'v', configMap: { name: 'x', defaultMode: 420 } }],
    },
    status: { startTime: '2026-01-02T03:04:05Z' },
  });
});

test('other messages are read, whatever kind is asked for', () => {
  assert.deepEqual(decodeProtobuf('DeleteOptions', bytesOf(vectors.deleteOptions)), {
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    fields: { gracePeriodSeconds: 0, preconditions: { uid: 'u' }, propagationPolicy: 'Background' },
  });
});

test('statuses and lists are written to the byte', () => {
  const status = {
    apiVersion: 'v1',
    kind: 'Status',
    metadata: {},
    status: 'Failure',
    message: 'pods "x" not found',
    reason: 'NotFound',
    details: { name: 'x', kind: 'pods' },
    code: 404,
  };
  assert.equal(hexOf(encodeProtobuf('Status', status)), vectors.status);
  const list = {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'LeaseList',
    metadata: { resourceVersion: '7' },
    items: [{ metadata: { name: 'n' }, spec: { renewTime: '2026-01-02T03:04:05.000006Z' } }],
  };
  assert.equal(hexOf(encodeProtobuf('LeaseList', list)), vectors.leaseList);
});

test('what is written is read back as it was', () => {
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: 'p',
      creationTimestamp: '1969-12-31T23:59:59Z',
      managedFields: [{ manager: 'm', fieldsV1: { 'f:metadata': {} } }],
    },
    spec: {
      hostUsers: false,
      containers: [{ name: 'c', resources: {}, env: [{ name: 'A', value: 'ü😀' }], args: ['', 'x'] }],
      securityContext: { supplementalGroups: [0, 1, 2 ** 40] },
      volumes: [{ name: 'e', emptyDir: { sizeLimit: '1Mi' } }],
    },
    status: { conditions: [{ type: 'Ready', status: 'True', lastProbeTime: null }] },
  };
  assert.deepEqual(decodeProtobufBody(resources.pods, encodeProtobuf('Pod', pod)).object, pod);
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, data: { a: 'AP8=', __proto: '' } };
  assert.deepEqual(decodeProtobufBody(resources.secrets, encodeProtobuf('Secret', secret)).object, secret);
});

test('a watch frame has its length, the type of the event, and the object with its envelope', () => {
  const object = encodeProtobuf('PartialObjectMetadata', {
    apiVersion: 'meta.k8s.io/v1',
    kind: 'PartialObjectMetadata',
  });
  const frame = protobufWatchFrame('ADDED', object);
  assert.equal(new DataView(frame.buffer, frame.byteOffset).getUint32(0), frame.length - 4);
  const reader = new WireReader(frame.subarray(4));
  assert.deepEqual(reader.field(), { tag: 1, wireType: 2 });
  assert.equal(reader.text(), 'ADDED');
  assert.deepEqual(reader.field(), { tag: 2, wireType: 2 });
  const raw = new WireReader(reader.bytes());
  assert.deepEqual(raw.field(), { tag: 1, wireType: 2 });
  assert.equal(hexOf(raw.bytes()), hexOf(object));
  assert.equal(reader.isAtEnd && raw.isAtEnd, true);
});

test('whole numbers of 64 bits are read as they were written', () => {
  const numbers = fc.oneof(
    fc.maxSafeInteger(),
    fc.integer(),
    fc.constantFrom(0, 127, 128, -1, 2 ** 31, -(2 ** 31), 2 ** 32),
  );
  fc.assert(
    fc.property(numbers, (value) => {
      const writer = new WireWriter();
      writer.varint(value);
      assert.equal(new WireReader(writer.finish()).int64(), value);
    }),
  );
});

test('texts of any length and script are written', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 3_000 }), (text) => {
      const writer = new WireWriter();
      writer.text(text);
      assert.equal(Buffer.from(writer.finish()).toString('utf8'), text);
    }),
  );
});

test('bytes that are no protobuf are refused, never a crash', () => {
  const problem = (bytes: Uint8Array): string => {
    try {
      decode('Pod', decodeProtobufBody(resources.pods, bytes).object, 'Ignore');
      return 'no error';
    } catch (error) {
      if (error instanceof StatusError && error.reason === 'BadRequest') return error.message;
      throw error;
    }
  };
  assert.equal(problem(new Uint8Array()), 'empty data');
  assert.equal(
    problem(bytesOf('7b7d')),
    'provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]',
  );
  const whole = bytesOf(vectors.pod);
  assert.equal(hasProtobufMagic(whole), true);
  assert.equal(problem(whole.subarray(0, whole.length - 10)), 'unexpected EOF');
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, byte) => {
      const broken = Uint8Array.from(whole);
      broken[at] = byte;
      assert.equal(typeof problem(broken), 'string');
    }),
    { numRuns: 2_000 },
  );
});
