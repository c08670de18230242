import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { resources, startCluster, startLoneNode } from './livelet.ts';

const waitMsMax = 20_000;
const pollMs = 20;

/** What `look` finds, as soon as it is something. */
async function until<T>(what: string, look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  for (let waitedMs = 0; waitedMs < waitMsMax; waitedMs += pollMs) {
    const found = await look();
    if (found !== undefined) return found;
    await sleep(pollMs);
  }
  return assert.fail(`not within ${waitMsMax / 1_000} s: ${what}`);
}

function manifestText(words: string): string {
  return `apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: busybox:1.36
      command: [sh, -c, 'trap exit TERM; echo ${words}; sleep 600 & wait']
      livenessProbe: {exec: {command: [test, -e, sick]}, periodSeconds: 1, failureThreshold: 1}
`;
}

const healthy = (text: string): string => text.replace('[test, -e, sick]', '["true"]');

test('a node without a server runs what its manifests say, restarts what is sick, and follows each change', async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-manifests-'));
  const file = path.join(directory, 'web.yaml');
  fs.writeFileSync(file, manifestText('one'));
  const seen: string[] = [];
  const node = await startLoneNode({
    nodeName: 'n1',
    manifests: directory,
    onEvent: ({ object, reason }) => seen.push(`${object.name} ${reason}`),
  });
  try {
    const sick = await until('a restart', () =>
      node.pods().find(({ status }) => (status?.containerStatuses?.[0]?.restartCount ?? 0) > 0),
    );
    assert.deepEqual([sick.metadata?.name, sick.spec?.nodeName], ['web-n1', 'n1']);
    for (const reason of ['Started', 'Unhealthy', 'Killing']) assert.ok(seen.includes(`web-n1 ${reason}`), reason);

    fs.writeFileSync(`${file}.new`, healthy(manifestText('two')));
    fs.renameSync(`${file}.new`, file);
    const well = await until('the new version', () =>
      node.pods().find(({ metadata, status }) => {
        const isNew = metadata?.uid !== sick.metadata?.uid;
        return isNew && status?.containerStatuses?.[0]?.ready === true;
      }),
    );
    const log = path.join(node.logDir, `default_web-n1_${well.metadata?.uid}`, 'main', '0.log');
    assert.match(await until('its log', () => fs.readFileSync(log, 'utf8') || undefined), / stdout F two$/m);

    fs.rmSync(file);
    await until('its end', () => (node.pods().length === 0 ? true : undefined));
  } finally {
    await node.stop(500);
    fs.rmSync(directory, { recursive: true });
  }
});

test('in a cluster a manifest is shown by a mirror, which is made anew when somebody deletes it', async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-manifests-'));
  fs.writeFileSync(path.join(directory, 'web.yaml'), healthy(manifestText('one')));
  const signal = AbortSignal.timeout(2 * waitMsMax);
  const cluster = await startCluster({ nodeName: 'n1', manifests: directory });
  const ref = { namespace: 'default', name: 'web-n1' };
  const ready = (otherThan = ''): ReturnType<typeof until<{ readonly uid: string; readonly containerId: string }>> =>
    until('a ready mirror', async () => {
      const { items } = await cluster.client.list(resources.pods, {}, signal);
      const [pod] = items.filter(({ metadata }) => metadata?.name === ref.name);
      const [status] = pod?.status?.containerStatuses ?? [];
      const uid = pod?.metadata?.uid ?? '';
      if (uid === otherThan || status?.ready !== true) return undefined;
      return { uid, containerId: status.containerID ?? '' };
    });
  try {
    const first = await ready();
    await cluster.client.delete(resources.pods, ref, {}, signal);
    const second = await ready(first.uid);
    assert.equal(second.containerId, first.containerId);
  } finally {
    await cluster.stop(500);
    fs.rmSync(directory, { recursive: true });
  }
});

test('a directory of manifests that is not there is refused', async () => {
  const starting = startLoneNode({ manifests: '/nonexistent/manifests' });
  await assert.rejects(starting, { message: 'the directory of manifests /nonexistent/manifests: there is none' });
});
