/**
 * Agents and their server are killed, paused and cut off at random, while a checker reads the API by watch and the
 * machine by /proc. $LIVELET_CHAOS_SECONDS: for how long (150). $LIVELET_CHAOS_SEED: what happens when (4); real
 * processes make no two runs equal.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { ConfigMap, Job, Node, Pod } from '../../src/api/gen/types.ts';
import { resources } from '../../src/api/resources.ts';
import type { Clock } from '../../src/base/clock.ts';
import { StatusError } from '../../src/base/status-error.ts';
import { noLog } from '../../src/base/log.ts';
import { TaskScope } from '../../src/base/task-scope.ts';
import type { Client } from '../../src/client/client.ts';
import { ListWatchInformer } from '../../src/client/list-watch-informer.ts';
import { HostClock } from '../../src/host/host-clock.ts';
import { HostEntropy } from '../../src/host/host-entropy.ts';
import { skipWithoutNetworks } from '../support/node-networks.ts';
import { ChaosChecker, endMsMax } from './chaos-checker.ts';
import { Chaos } from './chaos-faults.ts';
import { jobCompletions, replicas, workloads } from './chaos-workloads.ts';
import { kubectlVersions, runKubectl, sleepMs } from './livelet-up.ts';
import { NodesBed, isReady, nameOf, uidOf, untilNone } from './nodes-bed.ts';
import {
  containerGroups,
  liveContainers,
  remains,
  strangeInterfaces,
  strangeRoutes,
  uptimeMs,
} from './nodes-processes.ts';
import type { ContainerProcess } from './nodes-processes.ts';

const seconds = Number(process.env['LIVELET_CHAOS_SECONDS'] ?? 150);
const seed = process.env['LIVELET_CHAOS_SEED'] ?? '4';
const names = ['n1', 'n2', 'n3'];
const lookMs = 250;
const healMsMax = 240_000; // until all is as it should be, after the last fault; a Job waits long after failures

describe('the checker of chaos finds', () => {
  const live: ContainerProcess = { nodeName: 'n1', podUid: 'u', container: 'c', pid: 7, startedMs: 0 };
  const podOf = (phase = 'Running', nodeName = 'n1', restartCount = 0): Pod => ({
    metadata: { uid: 'u', name: 'p' },
    spec: { nodeName, containers: [] },
    status: { phase, containerStatuses: [{ name: 'c', restartCount, ready: true, image: '', imageID: '' }] },
  });
  const found = (happens: (checker: ChaosChecker) => void): readonly string[] => {
    const checker = new ChaosChecker();
    checker.onPod(podOf(), 'present', 0);
    checker.onNode('n1', true, 0);
    happens(checker);
    return checker.violations;
  };
  const late = endMsMax + 1;

  test('nothing where nothing is wrong', () => {
    const all = found((checker) => {
      checker.onContainers([live, { ...live, container: 'd' }, { ...live, podUid: 'v' }], 1);
      checker.onPod(podOf('Running', 'n1', 1), 'present', 2);
      checker.onPod(podOf('Running', 'n1', 1), 'gone', 3);
      checker.onContainers([live], endMsMax);
      checker.onNode('n1', false, late);
      checker.onContainers([live], late * 2); // nobody could tell the node
      checker.onNode('n1', true, late * 3);
      checker.onContainers([live], late * 3 + 1);
    });
    assert.deepEqual(all, []);
  });

  test('two live instances of one container', () => {
    const [one, ...more] = found((checker) => checker.onContainers([live, { ...live, pid: 8, nodeName: 'n2' }], 1));
    assert.equal(one, 'two live instances of u/c: 7 on n1 and 8 on n2');
    assert.deepEqual(more, ['u/c on n2 runs, and its pod is on n1']);
  });

  test('what the API has no more, or never had', () => {
    const gone = (checker: ChaosChecker): void => checker.onPod(podOf(), 'gone', 0);
    assert.deepEqual(
      found((checker) => {
        gone(checker);
        checker.onContainers([live], late);
      }),
      ['u/c on n1 still runs, and the API has no such pod'],
    );
    assert.deepEqual(
      found((checker) => {
        gone(checker);
        checker.onContainers([{ ...live, startedMs: 10_000 }], 10_001);
      }),
      ['u/c on n1 was started, and the API had no such pod'],
    );
    assert.deepEqual(
      found((checker) => {
        checker.onContainers([{ ...live, podUid: 'x' }], 0);
        checker.onContainers([{ ...live, podUid: 'x' }], late);
      }),
      ['x/c on n1 still runs, and the API has no such pod'],
    );
  });

  test('what ended and runs, and an API that takes something back', () => {
    const then = (next: Pod): readonly string[] => found((checker) => checker.onPod(next, 'present', 1));
    assert.deepEqual(
      found((checker) => {
        checker.onPod(podOf('Failed'), 'present', 1);
        checker.onContainers([live], 2);
      }),
      ['u/c on n1 runs, and its pod is Failed'],
    );
    assert.deepEqual(then(podOf('Running', 'n2')), ['pod p (u) went from n1 to n2']);
    assert.deepEqual(
      found((checker) => {
        checker.onPod(podOf('Failed', 'n1', 2), 'present', 1);
        checker.onPod(podOf('Running', 'n1', 1), 'present', 2);
        checker.onPod(podOf('Running', 'n1', 1), 'gone', 3);
        checker.onPod(podOf('Running', 'n1', 1), 'present', 4);
      }),
      ['pod p (u) was Failed and is Running', 'pod p (u) had 2 restarts of c and has 1', 'pod p (u) came back'],
    );
  });
});

/** Config maps, one after the other; each that was acknowledged has to be there for ever. */
class Writes {
  readonly #acknowledged = new Map<string, string>(); // name -> resourceVersion
  #attempts = 0;

  get count(): number {
    return this.#acknowledged.size;
  }

  async run(client: Client, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const name = `ack-${this.#attempts++}`;
      try {
        const body: ConfigMap = { metadata: { name }, data: { name } };
        const made = await client.create<ConfigMap>(resources.configmaps, { namespace: 'default' }, body, signal);
        this.#acknowledged.set(name, made.metadata?.resourceVersion ?? '');
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof StatusError)) throw error; // not acknowledged: it may be there or not
      }
      await sleepMs(100);
    }
  }

  /** What was acknowledged, and is not there as it was. */
  async lost(client: Client, signal: AbortSignal): Promise<readonly string[]> {
    const wanted = [...this.#acknowledged];
    const { items } = await client.list<ConfigMap>(resources.configmaps, { namespace: 'default' }, signal);
    const there = new Map(items.map(({ metadata }) => [metadata?.name ?? '', metadata?.resourceVersion ?? '']));
    return wanted
      .filter(([name, version]) => there.get(name) !== version)
      .map(([name, version]) => `${name} was acknowledged at ${version}, and is ${there.get(name) ?? 'not there'}`);
  }
}

/** What is not yet as it should be; empty: everything is. */
async function amiss(bed: NodesBed, client: Client, signal: AbortSignal): Promise<readonly string[]> {
  const { items: pods } = await client.list<Pod>(resources.pods, { namespace: 'default' }, signal);
  const { items: nodes } = await client.list<Node>(resources.nodes, {}, signal);
  const job = await client.get<Job>(resources.jobs, { namespace: 'default', name: 'job' }, signal);
  const found = nodes.filter((node) => !isReady(node)).map((node) => `node ${nameOf(node)} is not Ready`);
  if (nodes.length !== names.length) found.push(`${nodes.length} nodes`);
  const wanted = { ...replicas, ds: names.length };
  for (const [app, count] of Object.entries(wanted)) {
    const own = pods.filter(({ metadata }) => metadata?.labels?.['app'] === app);
    if (own.length !== count || !own.every(isReady)) {
      found.push(`${app}: ${own.map((pod) => `${nameOf(pod)} ${pod.status?.phase} ${isReady(pod)}`).join(', ')}`);
    }
  }
  for (const { metadata } of pods) {
    if (metadata?.deletionTimestamp !== undefined) found.push(`${metadata.name} is being deleted`);
  }
  if (job.status?.succeeded !== jobCompletions) found.push(`job: ${JSON.stringify(job.status)}`);
  const running = pods.filter(({ status }) => status?.phase === 'Running');
  const [should, does] = [running.map(uidOf), liveContainers(bed.directory).map(({ podUid }) => podUid)];
  if (should.sort(byText).join() !== does.sort(byText).join()) found.push(`runs: ${does.length}, not ${should.length}`);
  for (const name of names) found.push(...keptInVain(bed.dataDirOf(name), pods).map((what) => `${name} keeps ${what}`));
  return found;
}

/** Files in the data directory of a node that are about none of these pods, or are unfinished. */
function keptInVain(dataDir: string, pods: readonly Pod[]): readonly string[] {
  const uids = pods.map(uidOf);
  const ofPods = ['kubelet/pods', 'pods'].flatMap((place) =>
    fs.readdirSync(path.join(dataDir, place)).map((file) => `${place}/${file}`),
  );
  const strange = ofPods.filter((file) => !uids.some((uid) => file.endsWith(uid)));
  const records = ['containers', 'sandboxes'].flatMap((place) => recordsIn(path.join(dataDir, 'runtime', place)));
  for (const { file, text } of records) if (!uids.some((uid) => text.includes(uid))) strange.push(file);
  for (const file of fs.readdirSync(path.join(dataDir, 'runtime'))) if (file.endsWith('.tmp')) strange.push(file);
  return strange;
}

function recordsIn(directory: string): readonly { readonly file: string; readonly text: string }[] {
  return fs.readdirSync(directory).flatMap((name) => {
    const file = path.join(directory, name);
    try {
      return name.endsWith('.resolv.conf') ? [] : [{ file, text: fs.readFileSync(file, 'utf8') }];
    } catch {
      return []; // removed just now
    }
  });
}

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const skip = skipWithoutNetworks() || (kubectlVersions().size === 0 ? 'no kubectl' : false);

test('nodes and their server die at random: nothing runs twice, is lost or is left', { skip }, async (t) => {
  t.diagnostic(`seed ${seed}, ${seconds} s`);
  const groupsBefore = containerGroups();
  const bed = await NodesBed.open({ names, tunnelled: ['n3'] });
  const scope = new TaskScope();
  const client = bed.client();
  const checker = new ChaosChecker();
  const writes = new Writes();
  const chaos = new Chaos(bed, seed, async () => assert.deepEqual(await writes.lost(client, scope.signal), []));
  try {
    for (const workload of workloads) {
      const { code, stderr } = await runKubectl(bed.kubeconfigPath, ['create', '-f', '-'], JSON.stringify(workload));
      assert.equal(code, 0, stderr);
    }
    scope.start((signal) => writes.run(client, signal));
    const looks = startLooking(scope, bed, chaos, checker, client);
    await chaos.run(seconds * 1_000);
    assert.deepEqual(checker.violations, []);
    const endedMs = performance.now();
    const last = await untilNone('thing amiss', () => amiss(bed, client, scope.signal), healMsMax);
    const healSeconds = (performance.now() - endedMs) / 1_000;
    t.diagnostic(`${chaos.count} faults, ${looks()} looks, ${writes.count} acknowledged writes`);
    t.diagnostic(
      `all well ${healSeconds.toFixed(1)} s after the last fault; last was: ${last.join('; ') || 'nothing'}`,
    );
    const isEnough = chaos.count >= seconds / 10 && looks() >= seconds && writes.count >= seconds;
    assert.ok(isEnough, 'too little happened to tell');
    assert.deepEqual(await writes.lost(client, scope.signal), []);
    await scope.close();
    assert.deepEqual(checker.violations, []);
    client.close();
    await bed.stop();
    // The kernel takes namespaces down at its leisure, and their interfaces with them.
    await untilNone('process or mount', () => remains(bed.directory));
    for (const { enter } of names.map((name) => bed.computer(name))) {
      await untilNone('interface or route', () => [...strangeInterfaces(enter), ...strangeRoutes(enter)]);
    }
    await untilNone('control group', () => containerGroups().filter((group) => !groupsBefore.includes(group)));
  } catch (error) {
    t.diagnostic(chaos.log.join('\n'));
    t.diagnostic(checker.violations.join('\n'));
    throw error;
  } finally {
    await scope.close().catch(() => {}); // told above, or by what it interrupts
    client.close();
    await bed.close();
  }
});

/** Who looks may not be blind for long after many faults, as an informer is that waits longer each time. */
class ImpatientClock implements Clock {
  readonly #clock = new HostClock();
  readonly monoMs = (): number => this.#clock.monoMs();
  readonly wallMs = (): number => this.#clock.wallMs();

  sleep(delayMs: number, name: string, signal: AbortSignal): Promise<void> {
    return this.#clock.sleep(Math.min(delayMs, lookMs), name, signal);
  }
}

/** The checker sees what there is from now on; how often it has looked at the machine. */
function startLooking(
  scope: TaskScope,
  bed: NodesBed,
  chaos: Chaos,
  checker: ChaosChecker,
  client: Client,
): () => number {
  const deps = { client, clock: new ImpatientClock(), entropy: new HostEntropy(), log: noLog };
  const pods = new ListWatchInformer<Pod>({ ...deps, type: resources.pods, namespace: 'default' });
  const nodes = new ListWatchInformer<Node>({ ...deps, type: resources.nodes });
  pods.onChange(({ previous, current }) => {
    const pod = current ?? previous;
    if (pod !== undefined) checker.onPod(pod, current === undefined ? 'gone' : 'present', uptimeMs());
  });
  for (const informer of [pods, nodes]) scope.start((signal) => informer.run(signal));
  let looks = 0;
  scope.start(async (signal) => {
    await pods.synced(signal);
    for (; !signal.aborted; looks++) {
      for (const name of names) {
        const node = nodes.get('', name);
        checker.onNode(name, chaos.isUndisturbed(name) && node !== undefined && isReady(node), uptimeMs());
      }
      checker.onContainers(liveContainers(bed.directory), uptimeMs());
      await sleepMs(lookMs);
    }
  });
  return () => looks;
}
