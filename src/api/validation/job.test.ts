import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode } from '../decode.ts';
import { applyDefaults } from '../defaulting.ts';
import type { Draft } from '../draft.ts';
import { fieldErrorText } from '../field-error.ts';
import type { Job } from '../gen/types.ts';
import { resources } from '../resources.ts';
import { validateCreate, validateUpdate } from './validate.ts';

const containers = [{ name: 'c', image: 'i:1' }];

/** A Job as the server completes it: selected by its UID. */
function madeJob(spec: object, name = 'x'): Draft<Job> {
  const labels = Object.fromEntries(
    ['', 'batch.kubernetes.io/'].flatMap((prefix) => [
      [`${prefix}job-name`, name],
      [`${prefix}controller-uid`, 'u'],
    ]),
  );
  const pods = { metadata: { labels }, spec: { containers, restartPolicy: 'Never' } };
  const byUid = { matchLabels: { 'batch.kubernetes.io/controller-uid': 'u' } };
  const fields = {
    metadata: { name, namespace: 'n', uid: 'u', resourceVersion: '1' },
    spec: { selector: byUid, template: pods, ...spec },
  };
  return applyDefaults(resources.jobs, decode<Job>('Job', fields, 'Strict').object);
}

test('a job runs one pod once, and allows six failures', () => {
  const { template: _template, selector: _selector, ...rest } = madeJob({}).spec ?? {};
  assert.deepEqual(rest, {
    backoffLimit: 6,
    completionMode: 'NonIndexed',
    completions: 1,
    manualSelector: false,
    parallelism: 1,
    podReplacementPolicy: 'TerminatingOrFailed',
    suspend: false,
  });
  assert.equal(madeJob({ parallelism: 2 }).spec?.completions, undefined);
});

test('what a job may not be', () => {
  const of = (spec: object): string[] => validateCreate(resources.jobs, madeJob(spec)).map(fieldErrorText);
  assert.deepEqual(of({}), []);
  assert.deepEqual(of({ parallelism: -1, completionMode: 'Some', managedBy: 'me' }), [
    'spec.parallelism: Invalid value: -1: must be greater than or equal to 0',
    'spec.managedBy: Invalid value: "me": must be a domain-prefixed path (such as "acme.io/foo")',
    'spec.completionMode: Unsupported value: "Some": supported values: "NonIndexed", "Indexed"',
  ]);
  assert.deepEqual(of({ managedBy: `example.com/${'x'.repeat(60)}` }), [
    'spec.managedBy: Too long: may not be more than 63 bytes',
  ]);
  assert.deepEqual(of({ managedBy: 'Example.com/a b' }).length, 2);
  const { template: good } = madeJob({}).spec ?? {};
  const always = { ...good, spec: { containers } };
  assert.deepEqual(of({ template: always }), [
    'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"',
  ]);
  const rules = [
    { action: 'FailJob' },
    { action: 'FailIndex', onExitCodes: { operator: 'In', values: [3, 0, 3], containerName: 'other' } },
    { action: 'Count', onPodConditions: [{ type: 'a b', status: 'Yes' }] },
  ];
  const at = (index: number): string => `spec.podFailurePolicy.rules[${index}]`;
  const [, , , , , , nameText = ''] = of({ podFailurePolicy: { rules } });
  assert.match(nameText, /onPodConditions\[0\]\.type: Invalid value: "a b": name part must consist of alphanumeric/);
  assert.deepEqual(
    of({ podFailurePolicy: { rules } }).filter((text) => text !== nameText),
    [
      `${at(0)}: Invalid value: specifying one of OnExitCodes and OnPodConditions is required`,
      `${at(1)}.action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set`,
      `${at(1)}.onExitCodes.containerName: Invalid value: "other": must be one of the container or initContainer names in the pod template`,
      `${at(1)}.onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator`,
      `${at(1)}.onExitCodes.values[2]: Duplicate value: 3`,
      `${at(1)}.onExitCodes.values: Invalid value: [3,0,3]: must be ordered`,
      `${at(2)}.onPodConditions[0].status: Unsupported value: "Yes": supported values: "False", "True", "Unknown"`,
    ],
  );
  assert.deepEqual(of({ selector: { matchLabels: { a: 'b' } } }), [
    'spec.selector: Invalid value: {"matchLabels":{"a":"b"}}: `selector` not auto-generated',
    'spec.template.metadata.labels: Invalid value: {"batch.kubernetes.io/controller-uid":"u","batch.kubernetes.io/job-name":"x","controller-uid":"u","job-name":"x"}: `selector` does not match template `labels`',
  ]);
});

test('what an indexed job may not be', () => {
  const of = (spec: object, name = 'x'): string[] =>
    validateCreate(resources.jobs, madeJob({ completionMode: 'Indexed', ...spec }, name)).map(fieldErrorText);
  assert.deepEqual(of({ completions: 4, parallelism: 2, backoffLimitPerIndex: 1, maxFailedIndexes: 2 }), []);
  assert.deepEqual(of({ parallelism: 200_000 }), [
    'spec.completions: Required value: when completion mode is Indexed',
    'spec.parallelism: Invalid value: 200000: must be less than or equal to 100000 when completion mode is Indexed',
  ]);
  assert.deepEqual(of({ completions: 1, maxFailedIndexes: 2 }), [
    'spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified',
    'spec.maxFailedIndexes: Invalid value: 2: must be less than or equal to completions',
  ]);
  const many = ' when completions are above 100000 and used with backoff limit per index';
  assert.deepEqual(of({ completions: 100_001, parallelism: 10_001, backoffLimitPerIndex: 1 }), [
    'spec.maxFailedIndexes: Required value: must be specified when completions is above 100000',
    `spec.parallelism: Invalid value: 10001: must be less than or equal to 10000${many}`,
  ]);
  assert.deepEqual(of({ completionMode: 'NonIndexed', backoffLimitPerIndex: 1, maxFailedIndexes: 1 }), [
    'spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode',
    'spec.maxFailedIndexes: Invalid value: 1: requires indexed completion mode',
  ]);
  const long = 'x'.repeat(61);
  assert.deepEqual(of({ completions: 10 }, long), []);
  assert.deepEqual(of({ completions: 11 }, long), [
    `metadata.name: Invalid value: "${long}": will not able to create pod with invalid DNS label: ${long}-10`,
  ]);
});

test('what a success policy may not be', () => {
  const of = (rules: readonly object[], completionMode = 'Indexed'): string[] =>
    validateCreate(resources.jobs, madeJob({ completionMode, completions: 5, successPolicy: { rules } })).map(
      fieldErrorText,
    );
  assert.deepEqual(of([{ succeededIndexes: '0-2,4', succeededCount: 2 }, { succeededCount: 5 }]), []);
  assert.match(
    of([{ succeededCount: 1 }], 'NonIndexed')[0] ?? '',
    /^spec\.successPolicy: .*requires indexed completion/,
  );
  assert.deepEqual(of([]), [
    'spec.successPolicy.rules: Required value: at least one rules must be specified when the successPolicy is specified',
  ]);
  const at = (index: number): string => `spec.successPolicy.rules[${index}]`;
  assert.deepEqual(
    of([{}, { succeededCount: 6 }, { succeededIndexes: '1-2', succeededCount: 3 }, { succeededIndexes: '5' }]),
    [
      `${at(0)}: Required value: at least one of succeededCount or succeededIndexes must be specified`,
      `${at(1)}.succeededCount: Invalid value: 6: must be less than or equal to 5 (the number of specified completions)`,
      `${at(2)}.succeededCount: Invalid value: 3: must be less than or equal to 2 (the number of indexes in the specified succeededIndexes field)`,
      `${at(3)}.succeededIndexes: Invalid value: "5": error parsing succeededIndexes: too large index: "5"`,
    ],
  );
});

test('of a job only how it runs can change; where, only before it has started', () => {
  const update = (before: object, after: object): string[] =>
    validateUpdate(resources.jobs, madeJob(after), madeJob(before), '').map(
      ({ field, detail }) => `${field}: ${detail}`,
    );
  assert.deepEqual(update({}, { parallelism: 3, completions: 1, backoffLimit: 1, suspend: true }), []);
  const { template: good } = madeJob({}).spec ?? {};
  const pinned = { ...good, spec: { ...good?.spec, nodeSelector: { disk: 'ssd' } } };
  assert.deepEqual(update({}, { completions: 2, template: pinned }), [
    'spec.completions: field is immutable',
    'spec.template: field is immutable',
  ]);
  assert.deepEqual(update({ suspend: true }, { suspend: true, template: pinned }), []);
  const indexed = { completionMode: 'Indexed', completions: 3, parallelism: 3 };
  assert.deepEqual(update(indexed, { ...indexed, completions: 5, parallelism: 5 }), []);
  assert.deepEqual(
    update(indexed, { ...indexed, completions: 5, managedBy: 'example.com/a', backoffLimitPerIndex: 1 }),
    [
      'spec.completions: can only be modified in tandem with spec.parallelism',
      'spec.backoffLimitPerIndex: field is immutable',
      'spec.managedBy: field is immutable',
    ],
  );
});

test('the status of a job is sound, and what has happened stays so', () => {
  const start = '2026-01-01T00:00:00Z';
  const condition = (type: string): object => ({ type, status: 'True' });
  const problems = (before: object, after: object, spec: object = {}): string[] => {
    const [current, next] = [before, after].map((status) => ({ ...madeJob(spec), status }));
    return validateUpdate(resources.jobs, next ?? {}, current ?? {}, 'status').map(fieldErrorText);
  };
  const finished = {
    startTime: start,
    completionTime: start,
    conditions: [condition('SuccessCriteriaMet'), condition('Complete')],
  };
  assert.deepEqual(problems({ startTime: start, succeeded: 1 }, { ...finished, succeeded: 1 }), []);
  assert.deepEqual(problems({}, { conditions: [condition('Complete'), condition('Failed')], active: 1, ready: 2 }), [
    'status.conditions: Invalid value: cannot set Complete=True and Failed=true conditions',
    'status.completionTime: Required value: completionTime is required for Complete jobs',
    'status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition',
    'status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition',
    'status.active: Invalid value: 1: active>0 is invalid for finished job',
    'status.startTime: Required value: startTime is required for finished job',
    'status.ready: Invalid value: 2: cannot set more ready pods than active',
  ]);
  assert.deepEqual(problems({ ...finished, failed: 2, succeeded: 2 }, { startTime: start, failed: 1, succeeded: 1 }), [
    'status.conditions: Invalid value: cannot disable the terminal Complete=True condition',
    'status.failed: Invalid value: 1: cannot decrease the failed counter',
    'status.succeeded: Invalid value: 1: cannot decrease the succeeded counter',
    'status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition',
  ]);
  assert.deepEqual(problems({}, { completedIndexes: '0', failedIndexes: '1' }), [
    'status.completedIndexes: Invalid value: "0": cannot set non-empty completedIndexes when non-indexed completion mode',
    'status.failedIndexes: Invalid value: "1": cannot set non-null failedIndexes when backoffLimitPerIndex is null',
  ]);
  const indexed = { completionMode: 'Indexed', completions: 5, backoffLimitPerIndex: 1 };
  assert.deepEqual(problems({}, { completedIndexes: '0-3', failedIndexes: '2,5' }, indexed), [
    'status.failedIndexes: Invalid value: "2,5": error parsing failedIndexes: too large index: "5"',
    'status.failedIndexes: Invalid value: "2,5": failedIndexes and completedIndexes overlap at index: 2',
  ]);
  const later = '2026-01-01T00:01:00Z';
  assert.deepEqual(problems({ startTime: start }, { startTime: later }), [
    'status.startTime: Required value: startTime cannot be removed for unsuspended job',
  ]);
  assert.deepEqual(problems({ startTime: start, conditions: [condition('Suspended')] }, { startTime: later }), []);
});
