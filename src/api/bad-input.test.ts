import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { StatusError } from '../base/status-error.ts';
import { admitPod } from './admission.ts';
import { decodeBody } from './decode-body.ts';
import { applyDefaults } from './defaulting.ts';
import { fieldErrorText, invalidError } from './field-error.ts';
import { resources } from './resources.ts';
import { validateCreate } from './validation/validate.ts';

interface Case {
  readonly case: string;
  readonly manifest: unknown;
  readonly exit: number;
  readonly stderr: string;
}

// What Kubernetes 1.34 and its kubectl answered to each manifest.
const cases = JSON.parse(fs.readFileSync(new URL('testdata/bad-input.json', import.meta.url), 'utf8')) as Case[];

/** kubectl itself refuses these: the server never sees them. */
const refusedByKubectl = new Set(['api-version', 'kind-unknown', 'namespace-missing']);

/** What kubectl prints for the server's answer; `''` when the pod was created. */
function answerTo(manifest: unknown): string {
  try {
    const { object: pod } = decodeBody(resources.pods, JSON.stringify(manifest), 'Strict');
    pod.metadata ??= {};
    pod.metadata.namespace ??= 'gold';
    applyDefaults(resources.pods, pod);
    admitPod(pod);
    const errors = validateCreate(resources.pods, pod);
    if (errors.length === 0) return '';
    const name = pod.metadata.name ?? '';
    const message = invalidError(resources.pods, name, errors).message;
    if (errors.length === 1) return `The ${message}\n`;
    return `The Pod "${name}" is invalid: \n${errors.map((error) => `* ${fieldErrorText(error)}\n`).join('')}`;
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    return `Error from server (${error.reason}): error when creating "STDIN": ${error.message}\n`;
  }
}

for (const one of cases) {
  if (refusedByKubectl.has(one.case)) continue;
  test(`bad input is answered as Kubernetes 1.34 does: ${one.case}`, () => {
    assert.equal(answerTo(one.manifest), one.stderr);
  });
}

test('27 cases are checked, but for the three that kubectl refuses itself', () => {
  assert.equal(cases.length, 27);
  assert.equal(cases.filter((one) => refusedByKubectl.has(one.case)).length, 3);
});
