/** Every kubectl that can be found (1.27 to 1.34), and our own CLI beside the newest one. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { kubectlVersions, sleepMs, startLivelet } from './livelet-up.ts';
import type { CommandResult, RunningLivelet } from './livelet-up.ts';

const data = path.resolve(import.meta.dirname, '../data');
const manifest = (name: string): string => path.join(data, 'manifests', name);

interface BadInput {
  readonly case: string;
  readonly manifest: object;
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

const badInputs = JSON.parse(fs.readFileSync(path.join(data, 'goldens/bad-input.json'), 'utf8')) as BadInput[];

/** A pod that serves nothing and ends at once when asked. */
const quiet = (name: string): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: name } },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [{ name: 'c', image: 'busybox:1.36', command: ['sh', '-c', 'echo hello; exec sleep 600'] }],
    },
  });

async function until(what: string, holds: () => Promise<boolean>, secondsMax = 30): Promise<void> {
  for (let i = 0; i < secondsMax * 5; i++) {
    if (await holds()) return;
    await sleepMs(200);
  }
  assert.fail(`not within ${secondsMax} s: ${what}`);
}

const versions = [...kubectlVersions().keys()];

describe('kubectl', () => {
  let cluster: RunningLivelet;
  before(async () => {
    cluster = await startLivelet();
  });
  after(async () => {
    await cluster.stop();
    cluster.remove();
  });

  test('there are kubectls to test with, 1.34 among them', () => {
    assert.ok(versions.includes('1.34'), `found ${versions.join(', ')}; set LIVELET_TEST_KUBECTL`);
  });

  for (const version of versions) {
    test(`kubectl ${version}: create, get, describe, logs, events, apply, patch, label, delete`, async () => {
      const name = `v${version.replace('.', '-')}`;
      const kubectl = (args: readonly string[], input?: string): Promise<CommandResult> =>
        cluster.kubectl(args, input, version);
      const ok = async (args: readonly string[], input?: string): Promise<string> => {
        const { code, stdout, stderr } = await kubectl(args, input);
        assert.equal(code, 0, `kubectl ${args.join(' ')}: ${stderr}`);
        return stdout;
      };
      assert.equal(await ok(['create', '-f', '-'], quiet(name)), `pod/${name} created\n`);
      await until('ready', async () => (await ok(['get', 'po', name])).includes('1/1     Running'));
      await ok(['wait', '--for=condition=Ready', `pod/${name}`, '--timeout=20s']);
      assert.match(await ok(['get', 'po', name, '-o', 'wide']), /NOMINATED NODE +READINESS GATES\n/);
      assert.match(await ok(['describe', 'po', name]), /Started container c\n$/);
      assert.equal(await ok(['logs', name]), 'hello\n');
      assert.match(await ok(['events', '--for', `pod/${name}`]), /Created container: c/);
      assert.match(await ok(['get', 'events', '--field-selector', `involvedObject.name=${name}`]), /Scheduled/);
      assert.match(await ok(['label', 'po', name, 'tier=test']), /labeled/);
      assert.match(await ok(['annotate', 'po', name, 'note=x']), /annotate/);
      assert.match(await ok(['get', 'po', '-l', 'tier=test', '-o', 'name']), new RegExp(`pod/${name}\n`));
      assert.match(await ok(['patch', 'po', name, '-p', '{"metadata":{"labels":{"tier":"two"}}}']), /patched/);
      const merge = ['--type=merge', '-p', '{"metadata":{"labels":{"tier":null}}}'];
      assert.match(await ok(['patch', 'po', name, ...merge]), /patched/);
      const json = ['--type=json', '-p', '[{"op":"add","path":"/metadata/labels/three","value":"3"}]'];
      assert.match(await ok(['patch', 'po', name, ...json]), /patched/);
      assert.equal(await ok(['get', 'po', name, '-o', 'jsonpath={.metadata.labels}']), `{"app":"${name}","three":"3"}`);
      const applied = JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { a: '1' } });
      assert.match(await ok(['apply', '-f', '-'], applied), /created/);
      assert.match(await ok(['apply', '-f', '-'], applied), /unchanged/);
      assert.match(await ok(['apply', '-f', '-'], applied.replace('"1"', '"2"')), /configured/);
      assert.match(await ok(['create', 'configmap', `${name}-x`, '--from-literal=k=v']), /created/);
      assert.match(await ok(['create', 'namespace', name]), /created/);
      assert.match(await ok(['delete', 'namespace', name]), /deleted/);
      assert.match(await ok(['explain', 'pod.spec.containers']), /KIND: +Pod/);
      assert.match(await ok(['api-resources']), /^pods +po +v1 +true +Pod$/m);
      assert.match(await ok(['version']), /Server Version: .*1\.34/);
      assert.match(await ok(['get', 'nodes']), /worker002 +Ready/);
      assert.match(await ok(['describe', 'node', 'worker002']), /KubeletReady/);
      assert.match(await ok(['delete', 'po', name]), /deleted/);
      const gone = await kubectl(['get', 'po', name]);
      assert.deepEqual([gone.code, gone.stderr], [1, `Error from server (NotFound): pods "${name}" not found\n`]);
    });
  }

  test('bad input gets the answers of 1.34, and nothing is created', async () => {
    await cluster.kubectl(['create', 'namespace', 'gold']);
    const found: string[] = [];
    for (const bad of badInputs) {
      const args = ['create', '--dry-run=server', '-n', 'gold', '-f', '-'];
      const input = JSON.stringify(bad.manifest);
      const theirs = await cluster.kubectl(args, input);
      const ours = await cluster.livelet(args, input);
      for (const [who, answer] of Object.entries({ kubectl: theirs, livelet: ours })) {
        const wanted = { code: bad.exit, stdout: bad.stdout, stderr: bad.stderr };
        if (JSON.stringify(answer) !== JSON.stringify(wanted)) {
          found.push(`${bad.case}, ${who}: ${JSON.stringify(answer)} instead of ${JSON.stringify(wanted)}`);
        }
      }
    }
    assert.deepEqual(found, []);
    assert.equal((await cluster.kubectl(['get', 'po', '-n', 'gold', '-o', 'name'])).stdout, '');
  });

  test('the manifest of the tutorial with its two mistakes is refused as 1.34 does', async () => {
    for (const [file, golden] of [
      ['bad-kind-and-indentation.yaml', 'err-bad-kind.txt'],
      ['bad-indentation.yaml', 'err-bad-indentation.txt'],
    ] as const) {
      const wanted = fs.readFileSync(path.join(data, 'goldens', golden), 'utf8').replace(file, manifest(file));
      for (const run of [cluster.kubectl, cluster.livelet]) {
        const answer = await run(['create', '-f', manifest(file)]);
        assert.deepEqual(answer, { code: 1, stdout: '', stderr: wanted });
      }
    }
  });

  test('a token of a service account lets kubectl in as that, and no further', async () => {
    const { cluster: current } = (
      JSON.parse((await cluster.kubectl(['config', 'view', '--minify', '--raw', '-o', 'json'])).stdout) as {
        readonly clusters: readonly [{ readonly cluster: { readonly server: string } }];
      }
    ).clusters[0];
    const ok = async (args: readonly string[], input?: string): Promise<string> => {
      const { code, stdout, stderr } = await cluster.kubectl(args, input);
      assert.equal(code, 0, `kubectl ${args.join(' ')}: ${stderr}`);
      return stdout;
    };
    assert.equal(await ok(['create', 'sa', 'robot']), 'serviceaccount/robot created\n');
    assert.match(await ok(['get', 'sa', 'robot', '--no-headers']), /^robot +0 +\d+s\n$/);
    const token = (await ok(['create', 'token', 'robot', '--duration=20m'])).trim();
    // The client certificate of the kubeconfig would win over the token, as upstream.
    const as =
      (bearer: string) =>
      (args: readonly string[]): Promise<CommandResult> => {
        const server = [`--server=${current.server}`, '--insecure-skip-tls-verify', `--token=${bearer}`];
        return cluster.kubectl(['--kubeconfig=/dev/null', ...server, ...args]);
      };
    assert.match((await as(token)(['auth', 'whoami'])).stdout, /^Username +system:serviceaccount:default:robot$/m);
    assert.deepEqual(await as(token)(['get', 'pods']), {
      code: 1,
      stdout: '',
      stderr:
        'Error from server (Forbidden): pods is forbidden: User "system:serviceaccount:default:robot" cannot list ' +
        'resource "pods" in API group "" in the namespace "default"\n',
    });
    const nobody = 'error: You must be logged in to the server (Unauthorized)\n';
    assert.equal((await as(`${token}x`)(['get', 'pods'])).stderr, nobody);
    const tooShort = await cluster.kubectl(['create', 'token', 'robot', '--duration=5m']);
    assert.equal(
      tooShort.stderr,
      'error: failed to create token: TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: ' +
        'Invalid value: 300: may not specify a duration less than 10 minutes\n',
    );
    await ok(['delete', 'sa', 'robot']);
    assert.equal((await as(token)(['get', 'pods'])).stderr, nobody);
  });

  test('a pod may use the token in its volume until it is deleted', async () => {
    const mounted = '/var/run/secrets/kubernetes.io/serviceaccount';
    const command = ['sh', '-c', `cd ${mounted}; cat namespace; echo; head -1 ca.crt; cat token; echo; exec sleep 600`];
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'reader' },
      spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'c', image: 'busybox:1.36', command }] },
    };
    await cluster.kubectl(['create', '-f', '-'], JSON.stringify(pod));
    const printed = async (): Promise<string[]> => (await cluster.kubectl(['logs', 'reader'])).stdout.split('\n');
    await until('printed', async () => (await printed()).length > 3);
    const [namespace, certificate, token = ''] = await printed();
    assert.deepEqual([namespace, certificate], ['default', '-----BEGIN CERTIFICATE-----']);
    const review = JSON.stringify({
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token },
    });
    const reviewed = async (): Promise<string> =>
      (await cluster.kubectl(['create', '-f', '-', '-o', 'jsonpath={.status}'], review)).stdout;
    assert.match(await reviewed(), /"authenticated":true.*"username":"system:serviceaccount:default:default"/);
    await cluster.kubectl(['delete', 'po', 'reader', '--now']);
    assert.match(await reviewed(), /service account token has been invalidated/);
  });

  test('an indexed Job: each pod knows its index, those that fail are told, every kubectl describes it', async () => {
    const script = 'echo $(hostname) $JOB_COMPLETION_INDEX; exit $((JOB_COMPLETION_INDEX % 2))';
    const template = {
      metadata: { labels: { job: 'odd' } },
      spec: {
        restartPolicy: 'Never',
        containers: [{ name: 'c', image: 'busybox:1.36', command: ['sh', '-c', script] }],
      },
    };
    const limits = { completions: 4, parallelism: 2, backoffLimitPerIndex: 0 };
    const job = {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name: 'odd' },
      spec: { completionMode: 'Indexed', ...limits, template },
    };
    await cluster.kubectl(['create', '-f', '-'], JSON.stringify(job));
    const waited = await cluster.kubectl(['wait', '--for=condition=Failed', 'job/odd', '--timeout=60s']);
    assert.equal(waited.stdout, 'job.batch/odd condition met\n', waited.stderr);
    const { stdout: logs } = await cluster.kubectl(['logs', '-l', 'job=odd']);
    assert.deepEqual(logs.trim().split('\n').sort(), ['odd-0 0', 'odd-1 1', 'odd-2 2', 'odd-3 3']);
    const status = ['failedIndexes', 'completedIndexes', 'conditions[1].reason'];
    const path = status.map((name) => `{.status.${name}} `).join('');
    const { stdout } = await cluster.kubectl(['get', 'job', 'odd', '-o', `jsonpath=${path}`]);
    assert.equal(stdout, '1,3 0,2 FailedIndexes ');
    for (const version of versions) {
      const described = await cluster.kubectl(['describe', 'job', 'odd'], undefined, version);
      assert.match(described.stdout, /^Completed Indexes: +0,2$/m, version);
    }
    const ours = await cluster.livelet(['describe', 'job', 'odd']);
    assert.match(ours.stdout, /^Completed Indexes: +0,2$/m);
    await cluster.kubectl(['delete', 'job', 'odd']);
  });

  test('our CLI prints what kubectl prints', async () => {
    const name = 'both';
    await cluster.livelet(['create', '-f', '-'], quiet(name));
    await until('ready', async () => (await cluster.kubectl(['get', 'po', name])).stdout.includes('1/1'));
    await sleepMs(1_500); // the last events are written
    const calls: readonly (readonly string[])[] = [
      ['get', 'po', name, '-o', 'yaml'],
      ['get', 'po', name, '-o', 'json'],
      ['get', 'po', name, '-o', 'name'],
      ['get', 'po', name, '--no-headers', '-o', 'name'],
      ['get', 'pods', '-l', `app=${name}`, '-o', 'yaml'],
      ['get', 'ns', '-o', 'name'],
      ['get', 'po', 'nosuch'],
      ['get', 'nosuchkind'],
      ['get', 'po', '-n', 'nosuch'],
      ['logs', name],
      ['logs', name, '--tail=1', '--timestamps'],
      ['logs', name, '--previous'],
      ['logs', 'nosuch'],
      ['logs', name, '-c', 'nope'],
      ['create', '-f', 'nosuch.yaml'],
      ['delete', 'po', 'nosuch'],
      ['delete', 'po', 'nosuch', '--ignore-not-found'],
    ];
    for (const args of calls) {
      assert.deepEqual(await cluster.livelet(args), await cluster.kubectl(args), args.join(' '));
    }
    // Ages may move on by a second between the two.
    const ageless = ({ code, stdout, stderr }: CommandResult): object => ({
      code,
      stderr,
      stdout: stdout.replaceAll(/\b(?:\d+[dhms])+\b(?: +)?/g, 'AGE '),
    });
    for (const args of [
      ['get', 'po'],
      ['get', 'po', '-A', '-o', 'wide'],
      ['get', 'cm', '-n', 'kube-system'],
      ['get', 'sa', '-A'],
      ['get', 'no'],
      ['describe', 'po', name],
      ['describe', 'node', 'worker002'],
      ['events', '--for', `pod/${name}`],
      ['get', 'events'],
    ]) {
      assert.deepEqual(ageless(await cluster.livelet(args)), ageless(await cluster.kubectl(args)), args.join(' '));
    }
    const deleted = await cluster.livelet(['delete', 'po', name]);
    assert.deepEqual(deleted, { code: 0, stdout: `pod "${name}" deleted from default namespace\n`, stderr: '' });
  });
});
