import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { HttpClient } from '../client/http/http-client.ts';
import { parseKubeconfig } from '../client/http/kubeconfig.ts';
import { resources, startCluster } from './livelet.ts';
import type { ClusterHandle } from './livelet.ts';

const waitMsMax = 20_000;
const namespace = 'default';

function pod(name: string): object {
  const container = { name: 'c', image: 'busybox:1.36', command: ['sleep', '600'] };
  return { metadata: { name }, spec: { terminationGracePeriodSeconds: 1, containers: [container] } };
}

async function untilReady({ client }: ClusterHandle, name: string, restarts = 0): Promise<void> {
  const signal = AbortSignal.timeout(waitMsMax);
  const options = { namespace, fieldSelector: `metadata.name=${name}` };
  for await (const event of client.watch(resources.pods, options, signal)) {
    if (event.type === 'BOOKMARK') continue;
    const ready = event.object.status?.conditions?.find(({ type }) => type === 'Ready');
    const count = event.object.status?.containerStatuses?.[0]?.restartCount;
    if (ready?.status === 'True' && count === restarts) return;
  }
  assert.fail(`${name} was not Ready within ${waitMsMax} ms`);
}

/** Processes that have the file open, as far as this one may see (Linux). */
function holdersOf(file: string): string[] {
  const orNone = <T>(read: () => T, none: T): T => {
    try {
      return read();
    } catch {
      return none; // closed or ended meanwhile, or somebody else's
    }
  };
  const linksOf = (pid: string): string[] =>
    orNone(() => fs.readdirSync(`/proc/${pid}/fd`), []).map((fd) =>
      orNone(() => fs.readlinkSync(`/proc/${pid}/fd/${fd}`), ''),
    );
  return fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name) && linksOf(name).includes(file));
}

test('two clusters in one process know nothing of each other, and leave nothing behind', async () => {
  const signal = AbortSignal.timeout(waitMsMax);
  const [one, two] = await Promise.all([startCluster({ nodeName: 'one' }), startCluster({ nodeName: 'two' })]);
  await one.client.create(resources.pods, { namespace }, pod('a'), signal);
  await untilReady(one, 'a');
  assert.deepEqual((await two.client.list(resources.pods, { namespace }, signal)).items, []);

  // What it hands out is enough for any other client.
  const access = parseKubeconfig(two.kubeconfig, 'kubeconfig', undefined);
  const http = new HttpClient(access);
  const nodes = await http.list(resources.nodes, {}, signal);
  assert.deepEqual(
    nodes.items.map(({ metadata }) => metadata?.name),
    ['two'],
  );
  http.close();

  await Promise.all([one.stop(), two.stop()]);
  await one.stopped;
  assert.deepEqual([fs.existsSync(one.dataDir), fs.existsSync(two.dataDir)], [false, false]);
  await assert.rejects(one.client.list(resources.nodes, {}, AbortSignal.timeout(waitMsMax)));
});

test('what is in the data directory is there again after a stop, and its pods run again', async () => {
  const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-cluster-'));
  const signal = AbortSignal.timeout(waitMsMax);
  const first = await startCluster({ dataDir });
  await assert.rejects(startCluster({ dataDir }), { reason: 'Conflict', message: /is in use by livelet pid \d+$/ });
  const created = await first.client.create(resources.pods, { namespace }, pod('kept'), signal);
  await untilReady(first, 'kept');
  // LMDB's file is not handed on to containers.
  if (process.platform === 'linux') {
    assert.deepEqual(holdersOf(path.join(fs.realpathSync(dataDir), 'store/data.mdb')), [String(process.pid)]);
  }
  await first.stop();
  const second = await startCluster({ dataDir });
  await untilReady(second, 'kept', 1);
  const again = await second.client.get(resources.pods, { namespace, name: 'kept' }, signal);
  assert.equal(again.metadata?.uid, created.metadata?.uid);
  assert.equal(second.kubeconfig.split('server:')[0], first.kubeconfig.split('server:')[0]); // the same authority
  await second.stop();
  fs.rmSync(dataDir, { recursive: true });
});

test('a cluster that cannot start says why, and leaves nothing open', async () => {
  await assert.rejects(startCluster({ nodeName: 'No_Name' }), {
    reason: 'Invalid',
    message: /^node name "No_Name": a lowercase RFC 1123 subdomain/,
  });
  const running = await startCluster();
  const port = Number(new URL(running.url).port);
  await assert.rejects(startCluster({ port }), { reason: 'Conflict', message: new RegExp(String(port)) });
  await running.stop();
  await running.stop();
});
