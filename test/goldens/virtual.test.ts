/** The golden pods on the whole stack in virtual time, compared with what a real cluster printed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import type { Pod } from '../../src/api/gen/types.ts';
import { resources } from '../../src/api/resources.ts';
import { describePod } from '../../src/cli/printers/describe-pod.ts';
import { bodyLines } from '../../src/client/answer.ts';
import { never, settled, startSimCluster } from '../support/sim-cluster.ts';
import { differences } from './compare.ts';
import { goldenManifests, goldenPodNames, goldenRecording, volumeLinesOf } from './recording.ts';
import type { Recording, WatchRow } from './recording.ts';

const readAtSeconds = 362;
const kubeletAgeSeconds = 29;
const namespace = 'gold';
type SimCluster = Awaited<ReturnType<typeof startSimCluster>>;

interface TableEvent {
  readonly object: { readonly rows?: readonly { readonly cells: readonly [string, string, string, string] }[] };
}

/** `kubectl get po -w`: the rows of the server's Tables. */
function watchRows(cluster: SimCluster, rows: WatchRow[]): void {
  const beganMs = cluster.clock.monoMs();
  cluster.scope.start(async (signal) => {
    const answer = await cluster.client.request(
      'GET',
      `/api/v1/namespaces/${namespace}/pods`,
      {
        query: new URLSearchParams({ watch: 'true' }),
        headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
      },
      signal,
    );
    for await (const line of bodyLines(answer.body)) {
      const { object } = JSON.parse(line) as TableEvent;
      for (const { cells } of object.rows ?? []) {
        const [pod, ready, status, restarts] = cells;
        const atSeconds = (cluster.clock.monoMs() - beganMs) / 1_000;
        rows.push({ pod, ready, status, restarts: Number.parseInt(restarts, 10), atSeconds });
      }
    }
  });
}

async function logLines(cluster: SimCluster, pod: string, previous: boolean): Promise<string[]> {
  const [chosen, others] = pod === 'init-and-sidecar' ? ['main', ['first (init)', 'side (init)']] : [undefined, []];
  const text = await cluster.logs(namespace, pod, {
    ...(chosen === undefined ? {} : { container: chosen }),
    ...(previous ? { previous: 'true' } : {}),
  });
  // What kubectl adds on its own side.
  const note =
    chosen === undefined ? [] : [`Defaulted container "${chosen}" out of: ${[chosen, ...others].join(', ')}`];
  if (!text.startsWith('{')) return [...note, ...text.split('\n').filter(Boolean)];
  const { reason, message } = JSON.parse(text) as { reason: string; message: string };
  return [...note, `Error from server (${reason}): ${message}`];
}

async function record(seed: string): Promise<Recording> {
  const cluster = await startSimCluster(seed);
  const { clock, client } = cluster;
  await settled(clock, client.create(resources.namespaces, {}, { metadata: { name: namespace } }, never));
  // As on the recorded cluster: soon after the start of a kubelet, probes begin at random moments of their period.
  await clock.advance(kubeletAgeSeconds * 1_000);
  const watch: WatchRow[] = [];
  watchRows(cluster, watch);
  for (const document of parseAllDocuments(goldenManifests())) {
    await settled(clock, client.create(resources.pods, { namespace }, document.toJS() as Pod, never));
  }
  await clock.advance(readAtSeconds * 1_000);
  const pods = await settled(clock, client.list(resources.pods, { namespace }, never));
  const events = await settled(clock, client.list(resources.events, { namespace }, never));
  const logs: Record<string, string[]> = {};
  for (const pod of goldenPodNames) {
    logs[pod] = await logLines(cluster, pod, false);
    logs[`${pod} --previous`] = await logLines(cluster, pod, true);
  }
  const context = { nowMs: clock.wallMs(), zoneMinutesAt: () => 0 };
  const volumes = Object.fromEntries(
    pods.items.map((pod) => [pod.metadata?.name ?? '', volumeLinesOf(describePod(pod, [], context))]),
  );
  await cluster.close();
  return { readAtSeconds, pods: pods.items, events: events.items, watch, logs, volumes };
}

for (const seed of ['1', '2', '3', '4', '5']) {
  test(`for six minutes the golden pods do what they did on a real cluster, seed ${seed}`, async () => {
    assert.deepEqual(differences(goldenRecording(), await record(seed)), []);
  });
}
