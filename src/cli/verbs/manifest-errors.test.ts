import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startCli } from '../../../test/support/cli-run.ts';

const failed = (stderr: string): object => ({ code: 1, stdout: '', stderr });
const noValidation = 'if you choose to ignore these errors, turn validation off with --validate=false\n';

/** What kubectl 1.34 says of each. */
const unusable: readonly (readonly [manifest: string, why: string])[] = [
  ['{}', '[apiVersion not set, kind not set]'],
  ['kind: Pod', 'apiVersion not set'],
  ['apiVersion: v1', 'kind not set'],
  ['[]', 'invalid object to validate'],
  ['hello', 'invalid object to validate'],
  ['{apiVersion: v1, kind: List, items: [{kind: Pod}]}', 'apiVersion not set'],
];

for (const [manifest, why] of unusable) {
  test(`create and apply refuse as invalid, in the words of kubectl: ${manifest}`, async () => {
    const { cli, close } = await startCli();
    const wanted = failed(`error: error validating "STDIN": error validating data: ${why}; ${noValidation}`);
    assert.deepEqual(await cli(['create', '-f', '-'], manifest), wanted);
    assert.deepEqual(await cli(['apply', '-f', '-'], manifest), wanted);
    await close();
  });
}

const badMetadata: readonly (readonly [metadata: string, why: string])[] = [
  ['{name: 1}', 'cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string'],
  [
    '{name: x, namespace: 5}',
    'cannot unmarshal number into Go struct field ObjectMeta.metadata.namespace of type string',
  ],
  [
    '{name: x, labels: {version: 1}}',
    'cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string',
  ],
  [
    '{name: x, labels: [a]}',
    'cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string',
  ],
  ['foo', 'cannot unmarshal string into Go struct field metadataOnlyObject.metadata of type v1.ObjectMeta'],
];

for (const [metadata, why] of badMetadata) {
  test(`metadata of the wrong type is refused before anything is sent: ${metadata}`, async () => {
    const { cli, close } = await startCli();
    const manifest = `apiVersion: v1\nkind: ConfigMap\nmetadata: ${metadata}\n`;
    assert.deepEqual(
      await cli(['create', '-f', '-'], manifest),
      failed(`error: unable to decode "STDIN": json: ${why}\n`),
    );
    assert.deepEqual(await cli(['get', '-f', '-'], manifest), failed(`unable to decode "STDIN": json: ${why}\n`));
    await close();
  });
}

test('items of a list of a kind have that kind', async () => {
  const { cli, close } = await startCli();
  const manifest =
    '{"apiVersion":"v1","kind":"ConfigMapList","items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}]}';
  const { stdout } = await cli(['create', '-f', '-'], manifest);
  assert.equal(stdout, 'configmap/a created\nconfigmap/b created\n');
  await close();
});

test('an object without a name is not read, deleted or applied', async () => {
  const { cli, close } = await startCli();
  const manifest = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{}}';
  const why = 'resource name may not be empty\n';
  assert.deepEqual(await cli(['delete', '-f', '-'], manifest), failed(`error: error when deleting "STDIN": ${why}`));
  assert.deepEqual(
    await cli(['apply', '-f', '-'], manifest),
    failed(
      'error: error when retrieving current configuration of:\n' +
        'Resource: "/v1, Resource=configmaps", GroupVersionKind: "/v1, Kind=ConfigMap"\n' +
        `Name: "", Namespace: "default"\nfrom server for: "STDIN": ${why}`,
    ),
  );
  await close();
});

test('describe -f of a pod that is gone shows the events that are left', async () => {
  const { cli, close } = await startCli();
  const event = {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'web.1', namespace: 'default' },
    involvedObject: { kind: 'Pod', name: 'web', namespace: 'default' },
    type: 'Normal',
    reason: 'Killing',
    message: 'Stopping container c',
    source: { component: 'kubelet' },
  };
  await cli(['create', '-f', '-'], JSON.stringify(event));
  const pod = (name: string): string => JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name } });
  const { code, stdout } = await cli(['describe', '-f', '-'], pod('web'));
  assert.equal(code, 0);
  assert.match(stdout, /^Pod 'web': error 'pods "web" not found', but found events\.\nEvents:\n/);
  assert.match(stdout, /Normal +Killing .* Stopping container c\n/);
  assert.deepEqual(
    await cli(['describe', '-f', '-'], pod('db')),
    failed('Error from server (NotFound): pods "db" not found\n'),
  );
  await close();
});

/** What kubectl 1.34 says of each. */
const badArguments: readonly (readonly [args: string, why: string])[] = [
  ['get po,', 'the server doesn\'t have a resource type ""'],
  ['get po/ web', 'there is no need to specify a resource type as a separate argument'],
  ['get --raw nope', '--raw must be a valid URL path: parse "nope": invalid URI for request'],
  ['get po -o jsonpath', 'template format specified but no template given'],
  ['get po -o jsonpath=', 'template format specified but no template given'],
  ['get po -o custom-columns', 'custom-columns format specified but no custom columns given'],
  ['get po -o jsonpath-file=/nope', 'error reading --template /nope, open /nope: no such file or directory'],
  ['get po -o custom-columns-file=/nope', 'error reading template /nope, open /nope: no such file or directory'],
];

for (const [args, why] of badArguments) {
  test(`refused in the words of kubectl: ${args}`, async () => {
    const { cli, close } = await startCli();
    const { code, stderr } = await cli(args.split(' '));
    assert.equal(code, 1);
    assert.equal(stderr.slice(0, 'error: '.length + why.length), `error: ${why}`);
    await close();
  });
}
