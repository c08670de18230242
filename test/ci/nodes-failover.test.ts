/** Nodes that are killed, cut off, paused and starved, as processes: how soon they are replaced, and what they do after. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Lease, Node, Pod } from '../../src/api/gen/types.ts';
import { resources } from '../../src/api/resources.ts';
import type { Client } from '../../src/client/client.ts';
import { skipWithoutNetworks } from '../support/node-networks.ts';
import { kubectlVersions, runKubectl, sleepMs } from './livelet-up.ts';
import { NodesBed, isReady, nameOf, uidOf, until } from './nodes-bed.ts';
import { containerProcesses, uptimeMs } from './nodes-processes.ts';

const manifest = path.resolve(import.meta.dirname, '../data/manifests/kubia-rc.yaml');
const names = ['n1', 'n2', 'n3'];
const promisedSeconds = 10; // of the profile `fast`, on a machine that has time
const slack = 3; // of one that has not

const skip = skipWithoutNetworks() || (kubectlVersions().size === 0 ? 'no kubectl' : false);
let bed: NodesBed;

const others = (name: string): string[] => names.filter((other) => other !== name);
const runsOn = (name: string): string[] =>
  containerProcesses(bed.directory)
    .filter(({ nodeName }) => nodeName === name)
    .map(({ podUid }) => podUid);

/** Spreads the replicas over all three nodes; what was there before has ended. The uids of those on `name`. */
async function spread(name: string): Promise<string[]> {
  await Promise.all(names.map((node) => bed.untilNode(node, true)));
  await bed.kubectl('scale', 'rc', 'kubia', '--replicas=0');
  await until('none is left', async () => ((await bed.read<Pod>('pods')).length === 0 ? true : undefined));
  await bed.kubectl('scale', 'rc', 'kubia', '--replicas=3');
  const byNode = await bed.untilReplicas(3, names);
  const uids = (byNode.get(name) ?? []).map(uidOf);
  assert.equal(uids.length, 1);
  assert.deepEqual(runsOn(name), uids);
  return uids;
}

/** Loses a node, and waits for the replacements; says how long after its last heartbeat they were Ready. */
async function untilReplaced(t: TestContext, name: string, how: string): Promise<void> {
  await bed.untilReplicas(3, others(name));
  const readyMs = Date.now();
  const [lease] = await bed.read<Lease>('lease', '-n', 'kube-node-lease', '--field-selector', `metadata.name=${name}`);
  const seconds = (readyMs - Date.parse(lease?.spec?.renewTime ?? '')) / 1_000;
  t.diagnostic(`${how}: replacements Ready ${seconds.toFixed(1)} s after the last heartbeat`);
  assert.ok(seconds < promisedSeconds * slack, `${seconds} s`);
}

/** The node is back: it has ended what was replaced, and nothing else runs there than what the API has there. */
async function untilClean(name: string, replaced: readonly string[]): Promise<void> {
  await bed.untilNode(name, true);
  await bed.untilNoneEnds();
  await until(`${name} runs what the API has`, async () => {
    const wanted = (await bed.read<Pod>('pods')).filter(({ spec }) => spec?.nodeName === name).map(uidOf);
    const runs = runsOn(name);
    return runs.every((uid) => wanted.includes(uid)) && !runs.some((uid) => replaced.includes(uid)) ? true : undefined;
  });
}

describe('nodes that are lost, and come back', { skip }, () => {
  before(async () => {
    bed = await NodesBed.open({ names });
    // A second to end in is enough here: kubia itself takes all that it is given.
    const quick = fs
      .readFileSync(manifest, 'utf8')
      .replace(/^( +)containers:/m, '$1terminationGracePeriodSeconds: 1\n$&');
    const { code, stderr } = await runKubectl(bed.kubeconfigPath, ['create', '-f', '-'], quick);
    assert.equal(code, 0, stderr);
  });
  after(() => bed?.close());

  test('kill -9: replaced within 10 s of the last heartbeat', async (t) => {
    const replaced = await spread('n1');
    bed.signal('n1', 'SIGKILL');
    await untilReplaced(t, 'n1', 'kill -9');
    await until('its containers have ended with it', async () => (runsOn('n1').length === 0 ? true : undefined));
    await bed.launch('n1').ready;
    await untilClean('n1', replaced);
  });

  test('a cut cable: replaced within 10 s of the last heartbeat; its own pods run on until it is back', async (t) => {
    const replaced = await spread('n2');
    bed.computer('n2').setLink('down');
    await untilReplaced(t, 'n2', 'cut off');
    assert.deepEqual(runsOn('n2'), replaced);
    bed.computer('n2').setLink('up');
    await untilClean('n2', replaced);
  });

  test('an agent that is paused is replaced; when it goes on it ends what was replaced, and starts none of it', async (t) => {
    const replaced = await spread('n1');
    const [pod = ''] = (await bed.read<Pod>('pods', '--field-selector', 'spec.nodeName=n1')).map(nameOf);
    bed.signal('n1', 'SIGSTOP');
    await untilReplaced(t, 'n1', 'paused');
    assert.deepEqual(runsOn('n1'), replaced, 'its containers are not paused');
    // Deleted for good meanwhile: the agent still has it on its list when it goes on.
    await bed.kubectl('delete', 'pod', pod, '--force', '--grace-period=0');
    await until('the API has it no more', async () =>
      (await bed.read<Pod>('pods')).some((one) => nameOf(one) === pod) ? undefined : true,
    );
    const resumedMs = uptimeMs();
    bed.signal('n1', 'SIGCONT');
    const startedLate: string[] = [];
    let isOver = false;
    const looking = (async () => {
      while (!isOver) {
        for (const { podUid, startedMs } of containerProcesses(bed.directory)) {
          if (replaced.includes(podUid) && startedMs > resumedMs) startedLate.push(podUid);
        }
        await sleepMs(50);
      }
    })();
    await untilClean('n1', replaced);
    isOver = true;
    await looking;
    assert.deepEqual(startedLate, []);
  });

  test('a node that starves, and answers late, keeps its pods', async () => {
    let kept = await spread('n3');
    const client = bed.client();
    const watching = new AbortController();
    const seen: string[] = [];
    const watchNodes = (async () => {
      for await (const event of client.watch(resources.nodes, {}, watching.signal)) {
        const node: Node = event.object;
        if (event.type === 'MODIFIED' && nameOf(node) === 'n3' && !isReady(node)) seen.push('n3 is NotReady');
      }
    })();
    // Silent for longer than the 4 s after which the server asks; it waits 2.5 s for the answer. A pause that this
    // busy machine made longer than the promise holds for says nothing.
    let pauses = 0;
    for (let tries = 0; pauses < 4 && tries < 20; tries++) {
      const beganMs = performance.now();
      bed.signal('n3', 'SIGSTOP');
      await sleepMs(4_600);
      bed.signal('n3', 'SIGCONT');
      const pausedMs = performance.now() - beganMs;
      await sleepMs(400);
      if (pausedMs < 5_000) {
        pauses++;
        continue;
      }
      pauses = 0;
      kept = await spread('n3');
      seen.length = 0;
    }
    assert.equal(pauses, 4, 'this machine is too busy to tell');
    await sleepMs(2_000);
    watching.abort();
    await watchNodes;
    client.close();
    assert.deepEqual(seen, []);
    const pods = (await bed.read<Pod>('pods')).filter(({ spec }) => spec?.nodeName === 'n3');
    assert.deepEqual(pods.map(uidOf), kept);
    assert.ok(pods.every(isReady));
    assert.deepEqual(runsOn('n3'), kept);
  });

  test('drill node: what it prints is what a watch sees', async () => {
    await spread('n2');
    const container = { name: 'c', image: 'busybox:1.36', command: ['sh', '-c', 'trap exit TERM; sleep 1000 & wait'] };
    const bare = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'bare' },
      spec: { nodeName: 'n2', containers: [container] },
    };
    const { code, stderr } = await runKubectl(bed.kubeconfigPath, ['create', '-f', '-'], JSON.stringify(bare));
    assert.equal(code, 0, stderr);
    await until('the bare pod is Ready', async () => ((await bed.read<Pod>('pods')).every(isReady) ? true : undefined));
    const before = await bed.read<Pod>('pods');
    const lost = before.filter(({ spec }) => spec?.nodeName === 'n2').map(nameOf);
    const refused = await bed.livelet('drill', 'node', 'n2', '--data-dir', bed.dataDirOf('n2'));
    assert.deepEqual([refused.code, /say --yes$/m.test(refused.stderr)], [1, true], refused.stderr);
    const wrong = await bed.livelet('drill', 'node', 'n2', '--yes', '--data-dir', bed.dataDirOf('n1'));
    assert.deepEqual([wrong.code, /name its --data-dir$/m.test(wrong.stderr)], [1, true], wrong.stderr);

    const seen = new Map<string, number>(); // what happened, in the words of the drill -> when
    const client = bed.client();
    const watching = new AbortController();
    const note = (what: string): void => void (seen.has(what) || seen.set(what, performance.now()));
    const watches = [watchNode(client, note, watching.signal), watchPods(client, before, note, watching.signal)];
    const drill = bed.livelet('drill', 'node', 'n2', '--yes', '--data-dir', bed.dataDirOf('n2'));
    await bed.processOf('n2').exited;
    const endedMs = performance.now();
    const result = await drill;
    watching.abort();
    await Promise.all(watches);
    client.close();
    assert.deepEqual([result.code, result.stderr], [0, ''], result.stdout);

    const lines = result.stdout.trimEnd().split('\n');
    assert.equal(lines[0], '    0.0 s  n2 ends, with 2 pods Ready');
    const told = new Map<string, number>();
    for (const line of lines.slice(1)) {
      const [, seconds = '', what = ''] = /^ +(\d+\.\d) s {2}(.*)$/.exec(line) ?? [];
      if (what !== '') told.set(what.replace(/, in place of .*$/, ''), Number(seconds));
    }
    assert.deepEqual([...told.keys()].sort(), [...seen.keys()].sort(), result.stdout);
    for (const [what, atMs] of seen) {
      const apart = Math.abs((atMs - endedMs) / 1_000 - (told.get(what) ?? Number.NaN));
      assert.ok(apart < 2, `${what}: ${apart} s apart\n${result.stdout}`);
    }
    assert.ok(lost.every((name) => told.has(`evicted: default/${name}`)));
    assert.ok(lines.includes('           default/bare has no replacement: nothing controls it'), result.stdout);
    const ready = Math.max(...[...told].filter(([what]) => what.startsWith('Ready')).map(([, seconds]) => seconds));
    assert.equal(lines.at(-1), `outage: ${ready.toFixed(1)} s`);
    await bed.launch('n2').ready;
    await untilClean('n2', []);
  });
});

async function watchNode(client: Client, note: (what: string) => void, signal: AbortSignal): Promise<void> {
  for await (const { type, object } of client.watch(resources.nodes, {}, signal)) {
    if (type === 'MODIFIED' && nameOf(object) === 'n2' && !isReady(object)) note('noticed: n2 is NotReady');
  }
}

async function watchPods(
  client: Client,
  before: readonly Pod[],
  note: (what: string) => void,
  signal: AbortSignal,
): Promise<void> {
  for await (const { type, object } of client.watch(resources.pods, {}, signal)) {
    if (type === 'BOOKMARK') continue;
    const isOld = before.some((pod) => uidOf(pod) === uidOf(object));
    if (isOld && object.metadata?.deletionTimestamp !== undefined) note(`evicted: default/${nameOf(object)}`);
    if (!isOld && isReady(object)) note(`Ready again: default/${nameOf(object)} on ${object.spec?.nodeName}`);
  }
}
