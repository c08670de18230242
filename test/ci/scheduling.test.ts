/** Three nodes on one machine, and the real kubectl: what upstream's tests of scheduling, eviction and nodes ask for. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { kubectlVersions, runKubectl, runLivelet, sleepMs } from './livelet-up.ts';

const nodeNames = ['n1', 'n2', 'n3'];
const waitMsMax = 60_000;
const fake = 'example.com/fake';
const skip = kubectlVersions().size === 0 ? 'no kubectl' : false;
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-scheduling-'));
const server = path.join(directory, 'server');
const dataDirs: string[] = [];

async function ok(words: string | readonly string[], input?: string): Promise<string> {
  const args = typeof words === 'string' ? words.split(' ') : words;
  const { code, stdout, stderr } = await runKubectl(path.join(server, 'kubeconfig'), args, input);
  assert.equal(code, 0, `kubectl ${args.join(' ')}: ${stderr}`);
  return stdout;
}

async function fails(words: string, input?: string): Promise<string> {
  const { code, stderr } = await runKubectl(path.join(server, 'kubeconfig'), words.split(' '), input);
  assert.notEqual(code, 0, `kubectl ${words} worked`);
  return stderr;
}

async function until(words: string, pattern: RegExp): Promise<string> {
  for (let waitedMs = 0; ; waitedMs += 200) {
    const text = await ok(words);
    if (pattern.test(text)) return text;
    assert.ok(waitedMs < waitMsMax, `kubectl ${words}: ${text}`);
    await sleepMs(200);
  }
}

function podText(name: string, spec: object = {}, labels: object = {}): string {
  const container = { name: 'c', image: 'busybox', command: ['sleep', '1000'] };
  const pod = { terminationGracePeriodSeconds: 1, containers: [container], ...spec };
  return JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name, labels }, spec: pod });
}

function asking(amount: string): object {
  const amounts = { [fake]: amount };
  const resources = { requests: amounts, limits: amounts };
  return { containers: [{ name: 'c', image: 'busybox', command: ['sleep', '1000'], resources }] };
}

const create = (text: string): Promise<string> => ok('create -f -', text);
const phase = (name: string, text: string): Promise<string> =>
  until(`get pod ${name} -o jsonpath={.status.phase}`, new RegExp(`^${text}$`));

describe('scheduling', { skip }, () => {
  before(async () => {
    const run = async (args: readonly string[]): Promise<string> => {
      const { code, stdout, stderr } = await runLivelet(args, { KUBECONFIG: path.join(server, 'kubeconfig') });
      assert.equal(code, 0, `livelet ${args.join(' ')}: ${stderr}`);
      return stdout;
    };
    dataDirs.push(server);
    await run(['server', '--detach', '--data-dir', server, '--port', '0']);
    const join = (await run(['token', 'create'])).trim().split(' ').slice(1);
    for (const name of nodeNames) {
      const dataDir = path.join(directory, name);
      dataDirs.push(dataDir);
      await run([...join, '--detach', '--data-dir', dataDir, '--node-name', name]);
    }
  });
  after(async () => {
    for (const dataDir of dataDirs.reverse()) await runLivelet(['down', '--data-dir', dataDir]);
    fs.rmSync(directory, { recursive: true, force: true });
  });

  test('nodes of one machine are domains of their own, and own their leases', async () => {
    const labels = '{.items[*].metadata.labels.kubernetes\\.io/hostname}';
    assert.equal(await ok(['get', 'nodes', '-o', `jsonpath=${labels}`]), 'n1 n2 n3');
    const owners = await ok([
      'get',
      'leases',
      '-n',
      'kube-node-lease',
      '-o',
      'jsonpath={.items[*].metadata.ownerReferences[0].name}',
    ]);
    assert.equal(owners, 'n1 n2 n3');
    const far = {
      topologyKey: 'kubernetes.io/hostname',
      labelSelector: { matchLabels: { app: 'far' } },
    };
    const affinity = { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [far] } };
    for (const number of [1, 2, 3]) await create(podText(`far-${number}`, { affinity }, { app: 'far' }));
    for (const number of [1, 2, 3]) await phase(`far-${number}`, 'Running');
    await create(podText('far-4', { affinity }, { app: 'far' }));
    await until(
      'get events --field-selector involvedObject.name=far-4 -o jsonpath={.items[*].message}',
      /0\/3 nodes are available: 3 node\(s\) didn't match pod anti-affinity rules\. .*preemption: 0\/3 nodes are available: 3 No preemption victims found for incoming pod\./,
    );
    await ok('delete pods --all --now');
  });

  test('what is put into the capacity of nodes becomes allocatable, and is fought for by priority', async () => {
    const patch = JSON.stringify({ status: { capacity: { [fake]: '3' } } });
    for (const name of nodeNames) await ok(['patch', 'node', name, '--subresource=status', '-p', patch]);
    await ok('create priorityclass low --value=1');
    await ok('create priorityclass high --value=1000');
    for (const name of nodeNames) {
      await create(podText(`low-${name}`, { ...asking('2'), priorityClassName: 'low' }));
    }
    for (const name of nodeNames) await phase(`low-${name}`, 'Running');
    await create(podText('high', { ...asking('2'), priorityClassName: 'high' }));
    await phase('high', 'Running');
    const events = await until('get events', /Preempted/);
    assert.match(events, /Normal +Preempted +pod\/low-n\d +Preempted by pod [-0-9a-f]{36} on node n\d/);
    assert.equal((await ok('get pods --no-headers')).trim().split('\n').length, 3);
    assert.match(await fails('delete priorityclass system-node-critical'), /is a system priority class and cannot be/);
    await ok('delete pods --all --now');
  });

  test('a NoExecute taint ends what does not tolerate it, at once or when its seconds are over', async () => {
    const tolerating = (tolerationSeconds: number): object => ({
      nodeName: 'n1',
      tolerations: [{ key: 'gone', operator: 'Exists', effect: 'NoExecute', tolerationSeconds }],
    });
    await create(podText('plain', { nodeName: 'n1' }));
    await create(podText('soon', tolerating(3)));
    await create(podText('later', tolerating(600)));
    for (const name of ['plain', 'soon', 'later']) await phase(name, 'Running');
    await ok('taint node n1 gone=yes:NoExecute');
    await ok('wait pod/plain pod/soon --for=delete --timeout=30s');
    await ok('taint node n1 gone-');
    const events = await until('get events', /Cancelling deletion of Pod default\/later/);
    assert.match(events, /TaintManagerEviction +pod\/plain +Marking for deletion Pod default\/plain/);
    assert.match(await ok('get pods --no-headers'), /^later +1\/1 +Running/);
    await ok('delete pods --all --now');
  });

  test('drain asks the disruption budget, waits for it, and leaves daemons where they are', async () => {
    await create(JSON.stringify(workload('Deployment', 'web', { replicas: 3 })));
    await create(JSON.stringify(workload('DaemonSet', 'agent', {})));
    await ok('rollout status deployment/web --timeout=60s');
    await ok('rollout status daemonset/agent --timeout=60s');
    await ok('create pdb web --selector=app=web --min-available=3');
    await until('get pdb web --no-headers', /^web +3 +N\/A +0 /);
    const [node = ''] = (await ok('get pods -l app=web -o jsonpath={.items[0].spec.nodeName}')).split(' ');
    const refusal = await fails(`drain ${node} --ignore-daemonsets --timeout=2s`);
    assert.match(refusal, /Cannot evict pod as it would violate the pod's disruption budget\./);
    await ok(['patch', 'pdb', 'web', '-p', '{"spec":{"minAvailable":2}}']);
    await until('get pdb web --no-headers', /^web +2 +N\/A +1 /);
    assert.match(await ok(`drain ${node} --ignore-daemonsets --timeout=60s`), /drained/);
    await until('get pods -l app=web --no-headers', /^(?:web\S+ +1\/1 +Running .*\n){3}$/);
    const nodes = await ok('get pods -l app=web -o jsonpath={.items[*].spec.nodeName}');
    assert.ok(!nodes.includes(node), nodes);
    assert.match(await ok('get nodes'), new RegExp(`^${node} +Ready,SchedulingDisabled`, 'm'));
    await ok(`uncordon ${node}`);
    await ok('delete deployment/web daemonset/agent pdb/web --cascade=foreground');
  });

  test('who acts as a node has the rights of a node', async () => {
    const as = '--as=system:node:n1 --as-group=system:nodes';
    await ok('create secret generic mine --from-literal=a=b');
    assert.match(await fails(`get secret mine ${as}`), /no relationship found between node 'n1' and this object/);
    await create(podText('user', { nodeName: 'n1', volumes: [{ name: 'v', secret: { secretName: 'mine' } }] }));
    assert.match(await ok(`get secret mine ${as}`), /^mine +Opaque/m);
    assert.match(await fails(`delete node n2 ${as}`), /Forbidden/);
    assert.match(await fails(`taint node n1 a=b:NoSchedule ${as}`), /is not allowed to modify taints/);
    assert.equal((await fails(`get pods ${as}`)).includes('spec.nodeName field selector'), true);
    await ok('delete pod user --now');
  });
});

function workload(kind: string, name: string, spec: object): object {
  const labels = { app: name };
  const containers = [{ name: 'c', image: 'busybox', command: ['sleep', '1000'] }];
  const template = { metadata: { labels }, spec: { terminationGracePeriodSeconds: 1, containers } };
  return {
    apiVersion: 'apps/v1',
    kind,
    metadata: { name },
    spec: { selector: { matchLabels: labels }, template, ...spec },
  };
}
