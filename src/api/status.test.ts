import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { StatusError } from '../base/status-error.ts';
import { decodeBody } from './decode-body.ts';
import { invalid, invalidError, required } from './field-error.ts';
import { parseFieldSelector } from './field-selector.ts';
import { resources } from './resources.ts';
import { fromStatus, statusOf, successStatus } from './status.ts';

function golden(name: string): unknown {
  return JSON.parse(fs.readFileSync(new URL(`testdata/statuses/${name}.json`, import.meta.url), 'utf8'));
}

function statusFrom(body: () => unknown): unknown {
  try {
    body();
  } catch (error) {
    if (error instanceof StatusError) return statusOf(error);
    throw error;
  }
  return 'no error';
}

test('errors are written as Kubernetes 1.34 writes them', () => {
  const notFound = new StatusError('NotFound', 'pods "nosuch" not found', {
    details: { name: 'nosuch', kind: 'pods' },
  });
  assert.deepEqual(statusOf(notFound), golden('404'));
  const notAllowed = 'the server does not allow this method on the requested resource';
  assert.deepEqual(statusOf(new StatusError('MethodNotAllowed', notAllowed, { details: {} })), golden('405'));
  assert.deepEqual(
    statusFrom(() => parseFieldSelector(resources.pods, 'spec.foo=x')),
    golden('field-selector'),
  );
  assert.deepEqual(
    statusFrom(() => decodeBody(resources.pods, '{broken', 'Strict')),
    golden('broken-json'),
  );
});

test('an error comes back from its Status as it was', () => {
  const error = invalidError(resources.leases, 'l', [required('spec.a'), invalid('spec.b', 0, 'must be 1')]);
  assert.equal(
    error.message,
    'Lease.coordination.k8s.io "l" is invalid: [spec.a: Required value, spec.b: Invalid value: 0: must be 1]',
  );
  const back = fromStatus(JSON.parse(JSON.stringify(statusOf(error))), 422);
  assert.deepEqual(
    [back.reason, back.message, back.details, back.httpCode],
    [error.reason, error.message, error.details, 422],
  );
  assert.deepEqual(back.details?.causes?.[1], {
    reason: 'FieldValueInvalid',
    message: 'Invalid value: 0: must be 1',
    field: 'spec.b',
  });
});

test('an answer that is no Status becomes an error all the same', () => {
  assert.deepEqual(
    [fromStatus('gateway', 503).reason, fromStatus(undefined, 418).reason],
    ['ServiceUnavailable', 'InternalError'],
  );
  assert.equal(fromStatus({ reason: 'Odd', code: 409, message: 'x' }).reason, 'Conflict');
  assert.deepEqual(successStatus({ name: 'p' }), {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: { name: 'p' },
  });
});

test('a body of another kind is refused with the words of upstream', () => {
  const fails = (body: string): string => {
    const status = statusFrom(() => decodeBody(resources.pods, body, 'Strict'));
    return typeof status === 'object' && status !== null && 'message' in status ? String(status.message) : 'no error';
  };
  const scheme = 'in scheme "k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30"';
  const cannot = 'cannot be handled as a Pod';
  assert.equal(
    fails('{"apiVersion":"v1","kind":"pod"}'),
    `pod in version "v1" ${cannot}: no kind "pod" is registered for version "v1" ${scheme}`,
  );
  assert.equal(
    fails('{"apiVersion":"v2","kind":"Pod"}'),
    `Pod in version "v2" ${cannot}: no kind "Pod" is registered for version "v2" ${scheme}`,
  );
  assert.equal(
    fails('{"apiVersion":"v1","kind":"Node"}'),
    `Node in version "v1" ${cannot}: converting (v1.Node) to (core.Pod): unknown conversion`,
  );
  const unrecognized =
    "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: ";
  assert.equal(fails(''), `${unrecognized}unexpected end of JSON input (<empty>)`);
  assert.equal(fails('nope'), `${unrecognized}invalid character 'o' in literal null (expecting 'u') (6e6f7065)`);
  assert.equal(
    fails('{"kind":1}'),
    `${unrecognized}json: cannot unmarshal number into Go struct field .kind of type string ({"kind":1})`,
  );
  const { object } = decodeBody(resources.pods, '{"metadata":{"name":"p"}}', 'Strict');
  assert.deepEqual([object.kind, object.apiVersion], ['Pod', 'v1']);
});
