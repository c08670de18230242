import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { startCli } from '../../../test/support/cli-run.ts';
import { startTicksOf, writePidFile } from '../livelet-home.ts';

const pod = (name: string, more: object = {}): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: { containers: [{ name: 'c', image: 'busybox' }], ...more },
  });
const configMap = (name: string, data: object): string =>
  JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data });
const done = (stdout: string): object => ({ code: 0, stdout, stderr: '' });
const failed = (stderr: string, stdout = ''): object => ({ code: 1, stdout, stderr });

interface BadInput {
  readonly case: string;
  readonly manifest: unknown;
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}
// Recorded from kubectl and a server of 1.34.
const badInputs = JSON.parse(fs.readFileSync('test/data/goldens/bad-input.json', 'utf8')) as readonly BadInput[];

test('bad input gets the very answers that were recorded', async () => {
  const { cli, close } = await startCli();
  await cli(['create', '-f', '-'], '{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"gold"}}');
  for (const bad of badInputs) {
    const answer = await cli(['create', '--dry-run=server', '-n', 'gold', '-f', '-'], JSON.stringify(bad.manifest));
    assert.deepEqual(
      { case: bad.case, ...answer },
      { case: bad.case, code: bad.exit, stdout: bad.stdout, stderr: bad.stderr },
    );
  }
  await close();
});

test('the two mistakes of the tutorial are refused in the words of 1.34, and nothing is created', async () => {
  const { cli, close } = await startCli();
  for (const [file, golden] of [
    ['bad-kind-and-indentation.yaml', 'err-bad-kind.txt'],
    ['bad-indentation.yaml', 'err-bad-indentation.txt'],
  ] as const) {
    const name = `test/data/manifests/${file}`;
    const wanted = fs.readFileSync(`test/data/goldens/${golden}`, 'utf8').replace(`"${file}"`, `"${name}"`);
    assert.deepEqual(await cli(['create', '-f', name]), failed(wanted));
  }
  assert.deepEqual(await cli(['get', 'po', '-o', 'name']), done(''));
  await close();
});

test('every object of a file is tried, and a second create says of each that it is there', async () => {
  const { cli, close } = await startCli();
  const file = 'test/data/goldens/pods.yaml';
  const read = (name: string): string => fs.readFileSync(`test/data/goldens/${name}`, 'utf8');
  const created = await cli(['create', '-f', file]);
  assert.deepEqual([created.code, created.stderr], [0, '']);
  // The recording left some pods of the file out.
  for (const line of read('create.txt').trim().split('\n')) assert.ok(created.stdout.split('\n').includes(line), line);
  const again = await cli(['create', '-f', file]);
  assert.deepEqual([again.code, again.stdout], [1, '']);
  for (const line of read('err-create-exists.txt').trim().split('\n')) {
    assert.ok(again.stderr.split('\n').includes(line.replace('"pods.yaml"', `"${file}"`)), line);
  }
  await close();
});

test('an object that cannot be used does not keep the others of its file from being created', async () => {
  const { cli, close } = await startCli();
  const list = {
    apiVersion: 'v1',
    kind: 'List',
    items: [
      JSON.parse(configMap('one', {})),
      { apiVersion: 'v1', kind: 'Nope', metadata: { name: 'two' } },
      JSON.parse(configMap('three', {})),
    ],
  };
  assert.deepEqual(
    await cli(['create', '-f', '-'], JSON.stringify(list)),
    failed(
      'error: resource mapping not found for name: "two" namespace: "" from "STDIN": no matches for kind "Nope" in version "v1"\n' +
        'ensure CRDs are installed first\n',
      'configmap/one created\nconfigmap/three created\n',
    ),
  );
  await close();
});

test('create says what is wrong with the command line in the words of kubectl', async () => {
  const { cli, close } = await startCli();
  const cases: readonly (readonly [args: string, stderr: string])[] = [
    ['create', 'error: must specify one of -f and -k\n'],
    ['create -f nosuch.yaml', 'error: the path "nosuch.yaml" does not exist\n'],
    ['create -f - x', "error: Unexpected args: [x]\nSee 'livelet create -h' for help and examples\n"],
    ['create -f - --dry-run=x', 'error: Invalid dry-run value (x). Must be "none", "server", or "client".\n'],
    [
      'create -f - --validate=x',
      'error: invalid - validate option "x"; must be one of: strict (or true), warn, ignore (or false)\n',
    ],
    ['create -f -', 'error: no objects passed to create\n'],
    ['create -f - -f -', 'error: standard input cannot be used for multiple arguments\n'],
  ];
  for (const [args, stderr] of cases) assert.deepEqual(await cli(args.split(' '), '# nothing'), failed(stderr), args);
  await close();
});

test('a warning of the server goes to stderr, and the object is created', async () => {
  const { cli, close } = await startCli();
  const manifest = pod('web', { unknown: 1 });
  assert.deepEqual(await cli(['create', '-f', '-', '--validate=warn'], manifest), {
    code: 0,
    stdout: 'pod/web created\n',
    stderr: 'Warning: unknown field "spec.unknown"\n',
  });
  assert.deepEqual(
    await cli(['create', '-f', '-', '--validate=false', '--dry-run=client'], manifest),
    done('pod/web created (dry run)\n'),
  );
  await close();
});

test('create reads directories, several files and globs', async () => {
  const { cli, close } = await startCli();
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-cli-'));
  fs.mkdirSync(path.join(directory, 'inner'));
  fs.writeFileSync(path.join(directory, 'a.yaml'), configMap('a', {}));
  fs.writeFileSync(path.join(directory, 'b.json'), configMap('b', {}));
  fs.writeFileSync(path.join(directory, 'c.txt'), 'not read');
  fs.writeFileSync(path.join(directory, 'inner', 'd.yml'), configMap('d', {}));
  const dry = ['create', '--dry-run=client', '-o', 'name', '-f'];
  assert.equal((await cli([...dry, directory])).stdout, 'configmap/a\nconfigmap/b\n');
  assert.equal((await cli([...dry, directory, '-R'])).stdout, 'configmap/a\nconfigmap/b\nconfigmap/d\n');
  assert.equal((await cli([...dry, `${directory}/*.json`])).stdout, 'configmap/b\n');
  assert.equal((await cli([...dry, `${directory}/b.json,${directory}/a.yaml`])).stdout, 'configmap/b\nconfigmap/a\n');
  fs.rmSync(path.join(directory, 'a.yaml'));
  fs.rmSync(path.join(directory, 'b.json'));
  assert.deepEqual(
    await cli([...dry, directory]),
    failed(`error: error reading [${directory}]: recognized file extensions are [.json .yaml .yml]\n`),
  );
  fs.rmSync(directory, { recursive: true });
  await close();
});

test('get prints tables, and says where nothing is', async () => {
  const { cli, close } = await startCli();
  await cli(['create', '-f', '-'], pod('web'));
  await cli(['create', '-f', '-'], configMap('settings', { a: '1' }));
  assert.deepEqual(
    await cli(['get', 'po']),
    done('NAME   READY   STATUS    RESTARTS   AGE\nweb    0/1     Pending   0          0s\n'),
  );
  assert.deepEqual(
    await cli(['get', 'pods,cm', '--show-labels']),
    done(
      'NAME      READY   STATUS    RESTARTS   AGE   LABELS\npod/web   0/1     Pending   0          0s    <none>\n\n' +
        'NAME                 DATA   AGE   LABELS\nconfigmap/settings   1      0s    <none>\n',
    ),
  );
  assert.equal((await cli(['get', 'po', '-A', '--no-headers'])).stdout, 'default   web   0/1   Pending   0     0s\n');
  assert.deepEqual(await cli(['get', 'po', '-n', 'other']), {
    code: 0,
    stdout: '',
    stderr: 'No resources found in other namespace.\n',
  });
  assert.deepEqual(await cli(['get', 'secrets', '-A']), { code: 0, stdout: '', stderr: 'No resources found\n' });
  await close();
});

test('get of what does not exist is an error in the words of kubectl, after what does exist', async () => {
  const { cli, close } = await startCli();
  await cli(['create', '-f', '-'], pod('web'));
  const missing = 'Error from server (NotFound): pods "nosuch" not found\n';
  assert.deepEqual(await cli(['get', 'po', 'nosuch']), failed(missing));
  assert.deepEqual(await cli(['get', 'po', 'nosuch', '--ignore-not-found']), done(''));
  const both = await cli(['get', 'po', 'nosuch', 'web', '-o', 'name']);
  assert.deepEqual(both, failed(missing, 'pod/web\n'));
  assert.deepEqual(await cli(['get', 'nosuch']), failed('error: the server doesn\'t have a resource type "nosuch"\n'));
  assert.deepEqual(
    await cli(['get', 'po', 'x', '-A']),
    failed('error: a resource cannot be retrieved by name across all namespaces\n'),
  );
  assert.deepEqual(
    await cli(['get', 'po/a/b']),
    failed('error: arguments in resource/name form may not have more than one slash\n'),
  );
  await close();
});

test('get -o yaml prints one object bare and several in a List', async () => {
  const { cli, close } = await startCli();
  await cli(['create', '-f', '-'], configMap('a', { key: 'yes' }));
  const bare = await cli(['get', 'cm', 'a', '-o', 'yaml']);
  assert.match(
    bare.stdout,
    /^apiVersion: v1\ndata:\n {2}key: "yes"\nkind: ConfigMap\nmetadata:\n {2}creationTimestamp: "2026-01-01T00:00:00Z"\n/,
  );
  const list = await cli(['get', 'cm', '-l', 'nosuch=1', '-o', 'yaml']);
  assert.deepEqual(list, done('apiVersion: v1\nitems: []\nkind: List\nmetadata:\n  resourceVersion: ""\n'));
  assert.equal((await cli(['get', 'cm', 'a', '-o', 'jsonpath={.data.key}'])).stdout, 'yes');
  await close();
});

test('get -w prints what is there, and then every change under the same columns', async () => {
  const { cli, start, until, close } = await startCli();
  await cli(['create', '-f', '-'], pod('web'));
  const controller = new AbortController();
  const { result, printed } = start(['get', 'po', '-w', '--output-watch-events'], '', controller.signal);
  await until(() => printed().stdout.includes('web'));
  await cli(['create', '-f', '-'], pod('longer-name'));
  await cli(['delete', 'po', 'web', '--wait=false']);
  await until(() => printed().stdout.includes('DELETED'));
  controller.abort(new Error('SIGINT'));
  const { stdout, code } = await result;
  const events = stdout.split('\n').map((line) => line.split(/ +/).slice(0, 2).join(' '));
  assert.deepEqual(
    [events.slice(0, 3), events.at(-2), code],
    [['EVENT NAME', 'ADDED web', 'ADDED longer-name'], 'DELETED web', 130],
  );
  await close();
});

test('delete prints what it deletes, and waits until it is gone', async () => {
  const { cli, close } = await startCli();
  await cli(['create', '-f', '-'], pod('web'));
  await cli(['create', '-f', '-'], configMap('a', {}));
  await cli(['create', '-f', '-'], configMap('b', {}));
  assert.deepEqual(await cli(['delete', 'po', 'web']), done('pod "web" deleted from default namespace\n'));
  assert.deepEqual(await cli(['delete', 'po', 'web']), failed('Error from server (NotFound): pods "web" not found\n'));
  assert.deepEqual(
    await cli(['delete', 'cm/a', '--dry-run=server']),
    done('configmap "a" deleted from default namespace (server dry run)\n'),
  );
  assert.deepEqual(await cli(['delete', 'cm', '--all', '-o', 'name']), done('configmap/a\nconfigmap/b\n'));
  assert.deepEqual(await cli(['delete', 'cm', '-l', 'a=b']), done('No resources found\n'));
  assert.deepEqual(
    await cli(['delete', 'cm']),
    failed('error: resource(s) were provided, but no name was specified\n'),
  );
  await close();
});

test('a pod that takes its time to end is waited for, and a forced one is warned about', async () => {
  const { api, cli, until, close } = await startCli();
  const manifest = pod('web', { nodeName: 'n' });
  await cli(['create', '-f', '-'], manifest);
  const deleting = cli(['delete', 'po', 'web']);
  await until(() => api.clock.pendingNames().includes('cli.delete.timeout'));
  let isDone = false;
  void deleting.then(() => (isDone = true));
  await api.clock.advance(5_000);
  assert.equal(isDone, false);
  assert.deepEqual(await cli(['delete', 'po', 'web', '--force']), {
    code: 0,
    stdout: 'pod "web" force deleted from default namespace\n',
    stderr:
      'Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. ' +
      'The resource may continue to run on the cluster indefinitely.\n',
  });
  assert.deepEqual(await deleting, done('pod "web" deleted from default namespace\n'));
  await close();
});

test('delete gives up after its timeout', async () => {
  const { api, cli, until, close } = await startCli();
  await cli(['create', '-f', '-'], pod('web', { nodeName: 'n' }));
  const deleting = cli(['delete', 'po', 'web', '--timeout=3s']);
  await until(() => api.clock.pendingNames().includes('cli.delete.timeout'));
  await api.clock.advance(4_000);
  assert.deepEqual(
    await deleting,
    failed('error: timed out waiting for the condition on pods/web\n', 'pod "web" deleted from default namespace\n'),
  );
  await close();
});

test('apply creates, leaves alone, changes and removes', async () => {
  const { cli, close } = await startCli();
  assert.deepEqual(
    await cli(['apply', '-f', '-'], configMap('a', { one: '1', two: '2' })),
    done('configmap/a created\n'),
  );
  assert.deepEqual(
    await cli(['apply', '-f', '-'], configMap('a', { one: '1', two: '2' })),
    done('configmap/a unchanged\n'),
  );
  assert.deepEqual(
    await cli(['apply', '-f', '-'], configMap('a', { one: 'changed' })),
    done('configmap/a configured\n'),
  );
  assert.equal((await cli(['get', 'cm', 'a', '-o', 'jsonpath={.data}'])).stdout, '{"one":"changed"}');
  await close();
});

test('apply warns about an object that was made otherwise, and leaves alone what others have set', async () => {
  const { cli, close } = await startCli();
  await cli(['create', '-f', '-'], configMap('a', { mine: '1', theirs: '2' }));
  const applied = await cli(['apply', '-f', '-'], configMap('a', { mine: '3' }));
  assert.equal(applied.stdout, 'configmap/a configured\n');
  assert.match(
    applied.stderr,
    /^Warning: resource configmaps\/a is missing the kubectl\.kubernetes\.io\/last-applied-configuration annotation /,
  );
  assert.equal((await cli(['get', 'cm', 'a', '-o', 'jsonpath={.data}'])).stdout, '{"mine":"3","theirs":"2"}');
  await close();
});

test('describe takes the beginning of a name, and shows events', async () => {
  const { cli, close } = await startCli();
  await cli(['create', '-f', '-'], pod('web-1'));
  const { stdout, code } = await cli(['describe', 'po', 'web']);
  assert.deepEqual(
    [code, stdout.split('\n')[0], stdout.trimEnd().split('\n').at(-1)],
    [0, 'Name:             web-1', 'Events:                      <none>'],
  );
  assert.deepEqual(
    await cli(['describe', 'po', 'nosuch']),
    failed('Error from server (NotFound): pods "nosuch" not found\n'),
  );
  await close();
});

test('logs names the containers that there are, and the pods that there are not', async () => {
  const { cli, close } = await startCli();
  await cli(['create', '-f', '-'], pod('web', { initContainers: [{ name: 'i', image: 'x' }] }));
  assert.deepEqual(await cli(['logs', 'web']), {
    code: 0,
    stdout: '',
    stderr: 'Defaulted container "c" out of: c, i (init)\n',
  });
  assert.deepEqual(
    await cli(['logs', 'web', '-c', 'nope']),
    failed('error: container nope is not valid for pod web\n'),
  );
  assert.deepEqual(
    await cli(['logs', 'nosuch', '-n', 'default']),
    failed('error: error from server (NotFound): pods "nosuch" not found in namespace "default"\n'),
  );
  assert.deepEqual(
    await cli(['logs']),
    failed(
      "error: expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\n" +
        "POD or TYPE/NAME is a required argument for the logs command\nSee 'livelet logs -h' for help and examples\n",
    ),
  );
  await close();
});

test('events says when there are none', async () => {
  const { cli, close } = await startCli();
  assert.deepEqual(await cli(['events']), { code: 0, stdout: '', stderr: 'No events found in default namespace.\n' });
  assert.deepEqual(await cli(['events', '--types=x']), failed('error: valid --types are Normal or Warning\n'));
  await close();
});

test('completion offers verbs, kinds, names and flags', async () => {
  const { cli, close } = await startCli();
  await cli(['create', '-f', '-'], pod('web-1'));
  const complete = async (...words: readonly string[]): Promise<string[]> =>
    (await cli(['__complete', ...words])).stdout.trimEnd().split('\n');
  assert.deepEqual(await complete('de'), ['demo', 'describe', 'delete']);
  assert.deepEqual(await complete('get', 'no'), ['nodes']);
  assert.deepEqual(await complete('get', 'po', 'we'), ['web-1']);
  assert.deepEqual(await complete('describe', 'pod/w'), ['pod/web-1']);
  assert.deepEqual(await complete('logs', ''), ['web-1']);
  assert.deepEqual(await complete('-n', 'default', 'logs', 'w'), ['web-1']);
  assert.deepEqual(await complete('logs', 'web-1', '-c', ''), ['c']);
  assert.deepEqual(await complete('get', 'po', '-n', 'kube-s'), ['kube-system']);
  assert.deepEqual(await complete('get', '--output-'), ['--output-watch-events']);
  await close();
});

test('a replica set is described as kubectl does', async () => {
  const { cli, close } = await startCli();
  await cli(['create', '-f', 'test/data/manifests/replica-set.yaml']);
  const golden = fs.readFileSync('test/data/goldens/describe-replica-set.txt', 'utf8');
  assert.deepEqual(await cli(['describe', 'rs', 'vol']), done(golden));
  await close();
});

test('what keeps pods running is scaled, if it is as it is said to be', async () => {
  const { cli, close } = await startCli();
  await cli(['create', '-f', 'test/data/manifests/kubia-rc.yaml']);
  assert.deepEqual(await cli(['scale', 'rc/kubia', '--replicas=5']), done('replicationcontroller/kubia scaled\n'));
  assert.deepEqual(
    await cli(['scale', 'rc', 'kubia', '--replicas=2', '--current-replicas=3']),
    failed('error: Expected replicas to be 3, was 5\n'),
  );
  const { stdout } = await cli(['get', 'rc', 'kubia', '-o', 'jsonpath={.spec.replicas}']);
  assert.equal(stdout, '5');
  assert.deepEqual(await cli(['scale', 'rc', 'kubia']), failed('error: required flag(s) "replicas" not set\n'));
  assert.deepEqual(
    await cli(['scale', 'rc', 'nosuch', '--replicas=1']),
    failed('error: no objects passed to scale replicationcontrollers "nosuch" not found\n'),
  );
  await close();
});

test('deployments and jobs are made by name, and get other images', async () => {
  const { cli, close } = await startCli();
  const image = ['deploy/web', '-o', 'jsonpath={.spec.template.spec.containers[*].image}'];
  assert.deepEqual(
    await cli(['create', 'deployment', 'web', '--image=a/kubia:v1', '--image=side', '--replicas=2']),
    done('deployment.apps/web created\n'),
  );
  const job = ['create', 'job', 'once', '--image=busybox', '--', 'date'];
  assert.deepEqual(await cli(job), done('job.batch/once created\n'));
  assert.deepEqual(await cli(job), failed('error: failed to create job: jobs.batch "once" already exists\n'));
  const set = (...words: readonly string[]): Promise<object> => cli(['set', 'image', ...words]);
  assert.deepEqual(await set('deploy/web', 'kubia=a/kubia:v2'), done('deployment.apps/web image updated\n'));
  assert.equal((await cli(['get', ...image])).stdout, 'a/kubia:v2 side');
  assert.deepEqual(await set('deploy/web', 'kubia=a/kubia:v2'), done(''));
  assert.deepEqual(
    await set('deploy', 'web', 'nope=x', 'side=x'),
    failed('error: unable to find container named "nope"\n', 'deployment.apps/web image updated\n'),
  );
  const local = await cli(['set', 'image', 'deploy', 'web', '*=z', '--dry-run=client', ...image.slice(1)]);
  assert.equal(local.stdout, 'z z');
  assert.equal((await cli(['get', ...image])).stdout, 'a/kubia:v2 x');
  assert.deepEqual(await set('deploy/web'), failed('error: at least one image update is required\n'));
  assert.deepEqual(
    await set('ns/default', 'c=x'),
    failed('error: namespaces/default the object is not a pod or does not have a pod template: *v1.Namespace\n'),
  );
  await close();
});

test('a rollout is paused, resumed and restarted; other kinds have none', async () => {
  const { cli, close } = await startCli();
  const labels = { app: 'web' };
  const template = { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } };
  const spec = { selector: { matchLabels: labels }, template };
  const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web' }, spec };
  await cli(['create', '-f', '-'], JSON.stringify(deployment));
  const paused = ['rollout', 'pause', 'deploy/web'];
  assert.deepEqual(await cli(paused), done('deployment.apps/web paused\n'));
  assert.deepEqual(await cli(paused), failed('error: deployments.apps "web" is already paused\n'));
  assert.deepEqual(
    await cli(['rollout', 'restart', 'deploy/web']),
    failed('error: deployments.apps "web" can\'t restart paused deployment (run rollout resume first)\n'),
  );
  assert.deepEqual(await cli(['rollout', 'resume', 'deploy', 'web']), done('deployment.apps/web resumed\n'));
  assert.deepEqual(await cli(['rollout', 'restart', 'deploy', 'web']), done('deployment.apps/web restarted\n'));
  assert.deepEqual(
    await cli(['rollout', 'undo', 'deploy/web']),
    failed('error: no rollout history found for deployment "web"\n'),
  );
  assert.deepEqual(
    await cli(['rollout', 'status', 'deploy/web', '--watch=false']),
    done('Waiting for deployment spec update to be observed...\n'),
  );
  assert.deepEqual(await cli(['rollout', 'status']), failed('error: required resource not specified\n'));
  await cli(['create', '-f', 'test/data/manifests/kubia-rc.yaml']);
  assert.deepEqual(
    await cli(['rollout', 'history', 'rc/kubia']),
    failed('error: no history viewer has been implemented for "ReplicationController"\n'),
  );
  await close();
});

test('a drill does not end the process that is the API server too', async () => {
  const { cli, close } = await startCli();
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-drill-'));
  const startTicks = startTicksOf(process.pid);
  const said = { startedAt: '', url: '', nodeName: 'n1', runtime: 'process', kubeconfigPath: '' };
  const drill = ['drill', 'node', 'n1', '--yes', '--data-dir', directory];
  writePidFile(directory, { pid: process.pid, startTicks, ...said });
  assert.deepEqual(
    await cli(drill),
    failed(
      `error: process ${process.pid} of node n1 is the API server too: without it nobody would notice the loss; see --simulate\n`,
    ),
  );
  writePidFile(directory, { pid: process.pid, startTicks, ...said, isNodeOnly: true });
  assert.deepEqual(await cli(drill), failed('error: nodes "n1" not found\n'));
  fs.rmSync(directory, { recursive: true });
  await close();
});
