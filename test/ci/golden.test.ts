/** The golden pods in real time: real processes and real containers, the real kubectl, compared with what a real cluster printed. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { Event, Pod } from '../../src/api/gen/types.ts';
import { differences } from '../goldens/compare.ts';
import {
  goldenManifests,
  goldenPodNames,
  goldenRecording,
  parseWatchLine,
  volumeLinesOf,
} from '../goldens/recording.ts';
import type { Recording } from '../goldens/recording.ts';
import { skipWithoutContainerd, startContainerd } from '../support/containerd.ts';
import { kubectlVersions, sleepMs, startLivelet } from './livelet-up.ts';
import type { RunningLivelet } from './livelet-up.ts';

const kubeletAgeSeconds = 29;
const readAtSeconds = 362; // 6m2s after the create, as the recording

async function read<T>(cluster: RunningLivelet, resource: string): Promise<readonly T[]> {
  const { stdout, stderr, code } = await cluster.kubectl(['get', resource, '-n', 'gold', '-o', 'json']);
  assert.equal(code, 0, stderr);
  return (JSON.parse(stdout) as { items: T[] }).items;
}

/** stdout and stderr of `kubectl logs`, as the recording has them. */
async function logsOf(cluster: RunningLivelet): Promise<Record<string, string[]>> {
  const logs: Record<string, string[]> = {};
  for (const pod of goldenPodNames) {
    for (const flags of [[], ['--previous']]) {
      const { stdout, stderr } = await cluster.kubectl(['logs', '-n', 'gold', pod, ...flags]);
      logs[[pod, ...flags].join(' ')] = (stderr + stdout).split('\n').filter(Boolean);
    }
  }
  return logs;
}

async function volumesOf(cluster: RunningLivelet): Promise<Record<string, string[]>> {
  const volumes: Record<string, string[]> = {};
  for (const pod of goldenPodNames) {
    volumes[pod] = volumeLinesOf((await cluster.kubectl(['describe', 'po', '-n', 'gold', pod])).stdout);
  }
  return volumes;
}

/** Runs the golden pods for six minutes on this cluster; what differs from the recording. */
async function goldenDifferences(cluster: RunningLivelet): Promise<readonly string[]> {
  // As on the recorded cluster: soon after the start of a kubelet, probes begin at random moments of their period.
  await sleepMs(kubeletAgeSeconds * 1_000);
  const namespace = JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'gold' } });
  assert.equal((await cluster.kubectl(['create', '-f', '-'], namespace)).stderr, '');
  let watchText = '';
  const watching = spawn([...kubectlVersions().values()].at(-1) ?? 'kubectl', ['get', 'po', '-w', '-n', 'gold'], {
    env: { ...process.env, KUBECONFIG: cluster.kubeconfigPath },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    watching.stdout.on('data', (data: Buffer) => {
      watchText += data.toString();
    });
    const created = await cluster.kubectl(['create', '-n', 'gold', '-f', '-'], goldenManifests());
    assert.equal(created.stdout, expectedCreates);
    const createdMs = performance.now();
    await sleepMs(readAtSeconds * 1_000 - (performance.now() - createdMs));
    const ours: Recording = {
      readAtSeconds,
      pods: await read<Pod>(cluster, 'pods'),
      events: await read<Event>(cluster, 'events'),
      watch: watchText.split('\n').flatMap((line) => parseWatchLine(line) ?? []),
      logs: await logsOf(cluster),
      volumes: await volumesOf(cluster),
    };
    return differences(goldenRecording(), ours);
  } finally {
    watching.kill();
  }
}

// At the same time: they mostly wait.
describe('the golden pods do what a real cluster did with them, for six minutes', { concurrency: 2 }, () => {
  test('as processes', async () => {
    const cluster = await startLivelet();
    try {
      assert.deepEqual(await goldenDifferences(cluster), []);
    } finally {
      await cluster.stop();
      cluster.remove();
    }
  });

  test('on containerd', { skip: skipWithoutContainerd() }, async () => {
    const containerd = await startContainerd();
    try {
      const dataDir = fs.mkdtempSync(path.join(containerd.directory, 'livelet-'));
      const cluster = await startLivelet({ dataDir, runtime: containerd.endpoint });
      try {
        assert.deepEqual(await goldenDifferences(cluster), []);
      } finally {
        await cluster.livelet(['down', '--containers', '--data-dir', dataDir]);
      }
    } finally {
      await containerd.stop();
    }
  });
});

const expectedCreates = `pod/kubia-liveness created
pod/kubia-liveness-delay created
pod/tcp-liveness created
pod/crasher created
pod/no-image created
pod/not-ready created
pod/slow-start created
pod/missing-binary created
pod/init-and-sidecar created
`;
