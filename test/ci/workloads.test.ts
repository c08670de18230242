/** Replication controllers, replica sets and deployments with the oldest and the newest kubectl, and our own CLI. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Deployment, Pod, ReplicaSet, ReplicationController } from '../../src/api/gen/types.ts';
import { kubectlVersions, startLivelet } from './livelet-up.ts';
import type { CommandResult, RunningLivelet } from './livelet-up.ts';

const labelsOf = (name: string) => ({ app: name });
const containers = [{ name: 'c', image: 'luksa/kubia', imagePullPolicy: 'IfNotPresent' }];
const templateOf = (name: string) => ({
  metadata: { labels: labelsOf(name) },
  spec: { terminationGracePeriodSeconds: 0, containers },
});
const deployment = (name: string, replicas: number): Deployment => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name },
  spec: { replicas, selector: { matchLabels: labelsOf(name) }, template: templateOf(name) },
});
const controller = (name: string, replicas: number): ReplicationController => ({
  apiVersion: 'v1',
  kind: 'ReplicationController',
  metadata: { name },
  spec: { replicas, selector: labelsOf(name), template: templateOf(name) },
});

/** One kubectl in one namespace. */
class Workplace {
  readonly #cluster: RunningLivelet;
  readonly #version: string;
  readonly #namespace: string;

  constructor(cluster: RunningLivelet, version: string, namespace: string) {
    this.#cluster = cluster;
    this.#version = version;
    this.#namespace = namespace;
  }

  run(words: string, input?: object): Promise<CommandResult> {
    const args = ['-n', this.#namespace, ...words.split(' ')];
    return this.#cluster.kubectl(args, input === undefined ? undefined : JSON.stringify(input), this.#version);
  }

  async ok(words: string, input?: object): Promise<string> {
    const { code, stdout, stderr } = await this.run(words, input);
    assert.equal(code, 0, `kubectl ${words}: ${stderr}`);
    return stdout;
  }

  async fails(words: string): Promise<string> {
    const { code, stderr } = await this.run(words);
    assert.notEqual(code, 0, words);
    return stderr;
  }

  async get<T>(words: string): Promise<T> {
    return JSON.parse(await this.ok(`get ${words} -o json`)) as T;
  }

  async list<T>(words: string): Promise<readonly T[]> {
    return (await this.get<{ readonly items: readonly T[] }>(words)).items;
  }
}

const ownersOf = ({ metadata }: Pod | ReplicaSet): readonly string[] =>
  (metadata?.ownerReferences ?? []).map(({ kind, name }) => `${kind}/${name}`);

const found = [...kubectlVersions().keys()];
const versions = [...new Set([found[0], found.at(-1)])].filter((version) => version !== undefined);

describe('workloads', () => {
  let cluster: RunningLivelet;
  before(async () => {
    cluster = await startLivelet();
  });
  after(async () => {
    await cluster.stop();
    cluster.remove();
  });

  const workplace = async (version: string, purpose: string): Promise<Workplace> => {
    const namespace = `${purpose}-${version.replace('.', '-')}`;
    await cluster.kubectl(['create', 'namespace', namespace]);
    return new Workplace(cluster, version, namespace);
  };

  for (const version of versions) {
    test(`kubectl ${version}: a deployment is rolled out, back, held, let go, restarted and scaled`, async () => {
      const { ok, fails, get } = bound(await workplace(version, 'deploy'));
      const image = (): Promise<string> => ok('get deploy web -o jsonpath={.spec.template.spec.containers[0].image}');
      const rolledOut = async (): Promise<void> =>
        assert.match(
          await ok('rollout status deploy/web --timeout=60s'),
          /^deployment "web" successfully rolled out$/m,
        );
      assert.equal(await ok('apply -f -', deployment('web', 3)), 'deployment.apps/web created\n');
      await rolledOut();
      await ok('wait --for=condition=Available deploy/web --timeout=10s');
      assert.match(await ok('get deploy web'), /^web +3\/3 +3 +3 +\d+s$/m);
      assert.equal(await ok('set image deploy/web c=luksa/kubia:v2'), 'deployment.apps/web image updated\n');
      await rolledOut();
      assert.match(await ok('rollout history deploy/web'), /^REVISION +CHANGE-CAUSE\n1 +<none>\n2 +<none>\n/m);
      assert.match(await ok('rollout history deploy/web --revision=2'), /Image:\s+luksa\/kubia:v2/);
      assert.equal(await ok('rollout undo deploy/web'), 'deployment.apps/web rolled back\n');
      await rolledOut();
      assert.equal(await image(), 'luksa/kubia');
      assert.match(await fails('rollout undo deploy/web --to-revision=1'), /unable to find specified revision 1/);
      await ok('rollout pause deploy/web');
      await ok('set env deploy/web A=1');
      await ok('set resources deploy/web --requests=cpu=10m');
      const { spec } = await get<Deployment>('deploy web');
      const [container] = spec?.template?.spec?.containers ?? [];
      assert.deepEqual(
        [container?.env, container?.resources],
        [[{ name: 'A', value: '1' }], { requests: { cpu: '10m' } }],
      );
      assert.equal((await ok('get rs -o name')).split('\n').length, 3); // nothing new while it is held
      assert.match(await fails('rollout restart deploy/web'), /can't restart paused deployment/);
      await ok('rollout resume deploy/web');
      await rolledOut();
      await ok('rollout restart deploy/web');
      await rolledOut();
      assert.match(await ok('rollout status deploy/web --revision=5'), /successfully rolled out/);
      assert.match(
        await fails('scale deploy/web --current-replicas=7 --replicas=1'),
        /Expected replicas to be 7, was 3/,
      );
      await ok('scale deploy/web --current-replicas=3 --replicas=5');
      await ok('wait --for=jsonpath={.status.readyReplicas}=5 deploy/web --timeout=30s');
      assert.match(await ok('describe deploy web'), /Replicas: +5 desired \| 5 updated \| 5 total \| 5 available/);
      assert.match(await ok('describe deploy web'), /ScalingReplicaSet .* Scaled up replica set \S+ from 0 to 3$/m);
      assert.match(await fails('autoscale deploy web --max=2'), /error: |Error from server/);
      assert.match(await fails('expose deploy web --port=80'), /Service/);
    });

    test(`kubectl ${version}: edit, patch, diff, replace and delete of workloads`, async () => {
      const { ok, fails, run, get } = bound(await workplace(version, 'edit'));
      await ok('apply -f -', deployment('web', 2));
      assert.equal((await run('diff -f -', deployment('web', 2))).code, 0);
      const changed = await run('diff -f -', deployment('web', 4));
      assert.equal(changed.code, 1);
      assert.match(changed.stdout, /^- {2}replicas: 2\n\+ {2}replicas: 4$/m);
      process.env['KUBE_EDITOR'] = 'sed -i s/replicas:.2/replicas:\\ 3/';
      assert.match(await ok('edit deploy web'), /deployment\.apps\/web edited/);
      process.env['KUBE_EDITOR'] = 'true';
      assert.match((await run('edit deploy web')).stderr, /Edit cancelled, no changes made/);
      delete process.env['KUBE_EDITOR'];
      assert.equal((await get<Deployment>('deploy web')).spec?.replicas, 3);
      await ok(
        'patch deploy web -p {"spec":{"template":{"spec":{"containers":[{"name":"c","command":["sleep","9"]}]}}}}',
      );
      await ok('patch deploy web --type=merge -p {"spec":{"minReadySeconds":1}}');
      await ok('patch deploy web --type=json -p [{"op":"remove","path":"/spec/minReadySeconds"}]');
      await ok('patch deploy web --subresource=scale --type=merge -p {"spec":{"replicas":1}}');
      const { spec } = await get<Deployment>('deploy web');
      assert.deepEqual([spec?.replicas, spec?.minReadySeconds], [1, undefined]);
      assert.match(
        await fails('patch deploy web --type=merge -p {"spec":{"selector":{"matchLabels":{"app":"x"}}}}'),
        /\* spec\.selector: Invalid value: .*: field is immutable\n/,
      );
      await ok('label deploy web tier=front');
      assert.match(await ok('get deploy -l tier=front -L tier'), /^web .* front$/m);
      const before = await get<Deployment>('deploy web');
      assert.match(
        await ok('replace --force -f -', deployment('web', 1)),
        /"web" deleted[^]*deployment\.apps\/web replaced/,
      );
      assert.notEqual((await get<Deployment>('deploy web')).metadata?.uid, before.metadata?.uid);
      await ok('delete deploy web --cascade=foreground');
      assert.equal(await ok('get rs,po -o name'), ''); // what it owned went first
    });

    test(`kubectl ${version}: pods are orphaned, adopted, released and replaced`, async () => {
      const { ok, get, list } = bound(await workplace(version, 'own'));
      await ok('create -f -', controller('rc', 3));
      await ok('wait --for=jsonpath={.status.readyReplicas}=3 rc/rc --timeout=30s');
      assert.match(await ok('get rc'), /^rc +3 +3 +3 +\d+s$/m);
      assert.match(await ok('describe rc rc'), /Pods Status: +3 Running \/ 0 Waiting \/ 0 Succeeded \/ 0 Failed/);
      for (const { metadata } of await list<Pod>('po')) {
        const { name = '', namespace = '' } = metadata ?? {};
        const served = await ok(`get --raw /api/v1/namespaces/${namespace}/pods/${name}:8080/proxy/`);
        assert.equal(served, `You've hit ${name}\n`);
      }
      await ok('delete rc rc --cascade=orphan');
      assert.deepEqual((await list<Pod>('po')).map(ownersOf), [[], [], []]);
      await ok('create -f -', controller('next', 3));
      const patch = '{"spec":{"selector":{"app":"rc"},"replicas":2,"template":{"metadata":{"labels":{"app":"rc"}}}}}';
      await ok('scale rc next --replicas=0');
      await ok('wait --for=jsonpath={.status.replicas}=0 rc/next --timeout=30s');
      await ok(`patch rc next -p ${patch.replace('"app":"rc"},', '"app":"rc","$patch":"replace"},')}`);
      await ok('wait --for=jsonpath={.status.replicas}=2 rc/next --timeout=30s');
      const adopted = (await list<Pod>('po -l app=rc')).filter(
        ({ metadata }) => metadata?.deletionTimestamp === undefined,
      );
      assert.deepEqual(adopted.map(ownersOf), [['ReplicationController/next'], ['ReplicationController/next']]);
      const released = adopted[0]?.metadata?.name ?? '';
      await ok(`label po ${released} app=free --overwrite`);
      await ok('wait --for=jsonpath={.status.readyReplicas}=2 rc/next --timeout=30s');
      await ok(`wait --for=jsonpath={.metadata.labels.app}=free po/${released} --timeout=10s`);
      assert.deepEqual(ownersOf(await get<Pod>(`po ${released}`)), []);
      const [replaced = ''] = (await ok('get po -l app=rc -o name')).split('\n');
      await ok(`delete ${replaced}`);
      await ok('wait --for=jsonpath={.status.readyReplicas}=2 rc/next --timeout=30s');
      await ok('apply -f -', deployment('web', 2));
      await ok('rollout status deploy/web --timeout=30s');
      await ok('delete deploy web --cascade=orphan');
      const [set] = await list<ReplicaSet>('rs');
      assert.deepEqual(ownersOf(set ?? {}), []);
      await ok('apply -f -', deployment('web', 2));
      await ok('rollout status deploy/web --timeout=30s');
      assert.deepEqual(
        (await list<ReplicaSet>('rs')).map(({ metadata }) => metadata?.name),
        [set?.metadata?.name],
      );
      await ok('delete all --all');
      await ok('wait --for=delete po --all --timeout=30s');
    });
  }

  test('our CLI does and prints what kubectl does and prints', async () => {
    for (const namespace of ['theirs', 'ours']) await cluster.kubectl(['create', 'namespace', namespace]);
    const script = fs.readFileSync(path.resolve(import.meta.dirname, '../data/workload-commands.txt'), 'utf8');
    for (const line of script.split('\n').filter((text) => text !== '' && !text.startsWith('#'))) {
      const args = line.split(' ');
      const [theirs, ours] = await Promise.all([
        cluster.kubectl(['-n', 'theirs', ...args]),
        cluster.livelet(['-n', 'ours', ...args]),
      ]);
      assert.deepEqual(plain(ours), plain(theirs), line);
    }
  });
});

/** Its methods as functions. */
function bound(place: Workplace): Pick<Workplace, 'run' | 'ok' | 'fails' | 'get' | 'list'> {
  return {
    run: (words, input) => place.run(words, input),
    ok: (words, input) => place.ok(words, input),
    fails: (words) => place.fails(words),
    get: (words) => place.get(words),
    list: (words) => place.list(words),
  };
}

/** Without what differs between two namespaces, two programs and two moments. */
function plain({ code, stdout, stderr }: CommandResult): object {
  const masked = (text: string): string =>
    text
      .replaceAll(/\b(?:theirs|ours)\b/g, 'NS')
      .replaceAll(/\b(?:kubectl|livelet)\b/g, 'CLI')
      .replaceAll(/-[bcdfghjklmnpqrstvwxz2-9]{5}\b/g, '-xxxxx')
      .replaceAll(/\b[\da-f]{8}-[\da-f-]{27}\b/g, 'UID') // first: a part of one may look like an age
      .replaceAll(/\b(?:\d+[dhms])+\b(?: +)?/g, 'AGE ')
      .replaceAll(/(resourceVersion: |was )"?\d+"?/g, '$1RV')
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:]+Z|\w{3}, \d\d \w{3} \d{4} [\d:]+ [+-]\d{4}/g, 'TIME');
  // How far a rollout had come when it was looked at is chance.
  const isSettled = (text: string): boolean => !text.startsWith('Waiting for ');
  return { code, stdout: masked(stdout).split('\n').filter(isSettled).join('\n'), stderr: masked(stderr) };
}
