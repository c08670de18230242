import { spawnSync } from 'node:child_process';
import type { Pod } from '../src/api/gen/types.ts';
import { resources } from '../src/api/resources.ts';
import type { HttpClient } from '../src/client/http/http-client.ts';
import { percentile, sleepMs, startLivelet } from './livelet-process.ts';
import { pm2CrashMs } from './pm2.ts';
import type { BenchRow } from './row.ts';

const restMs = 3_000; // for the node, after pods were deleted
const podsCount = 20;
const crashImage = 'debian:12';
const crashesCount = 10;
const waitMsMax = 60_000;

export function manifest(name: string, command: readonly string[], image = 'busybox:1.36'): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      containers: [{ name: 'c', image, command }],
      terminationGracePeriodSeconds: 1,
    },
  };
}

/** Resolves with the time at which `holds` was first true of the pod, as a watch delivered it. */
async function watched(client: HttpClient, name: string, holds: (pod: Pod) => boolean): Promise<number> {
  const cancel = new AbortController();
  const timer = setTimeout(() => cancel.abort(new Error(`${name}: not within ${waitMsMax} ms`)), waitMsMax);
  try {
    const options = { namespace: 'default', fieldSelector: `metadata.name=${name}` };
    for await (const event of client.watch(resources.pods, options, cancel.signal)) {
      if (event.type !== 'BOOKMARK' && holds(event.object)) return performance.now();
    }
    throw new Error(`${name}: the watch ended`);
  } finally {
    clearTimeout(timer);
    cancel.abort();
  }
}

export const isReady = (pod: Pod): boolean =>
  pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;

async function logOf(client: HttpClient, name: string, previous: boolean): Promise<string> {
  const path = `/api/v1/namespaces/default/pods/${name}/log`;
  const query = new URLSearchParams({ timestamps: 'true', ...(previous ? { previous: 'true' } : {}) });
  const answer = await client.request('GET', path, { query }, AbortSignal.timeout(waitMsMax));
  if (typeof answer.body === 'string') return answer.body;
  if (answer.body instanceof Uint8Array) return Buffer.from(answer.body).toString();
  let text = '';
  for await (const piece of answer.body) text += typeof piece === 'string' ? piece : Buffer.from(piece).toString();
  return text;
}

/** Of `2026-01-02T03:04:05.123456789Z text`, with its fraction. */
function wallMsOf(line: string | undefined): number {
  const [, seconds, nanos] = /^(\S+)\.(\d{9})Z /.exec(line ?? '') ?? [];
  return Date.parse(`${seconds}Z`) + Number(nanos) / 1e6;
}

/** Milliseconds from each create to Ready, one pod after the other. */
export async function createToReadyMs(client: HttpClient, count: number): Promise<readonly number[]> {
  const { signal } = new AbortController();
  const readyMs: number[] = [];
  for (let i = 0; i < count; i++) {
    const name = `ready-${i}`;
    const ready = watched(client, name, isReady);
    await sleepMs(50); // the watch is open
    const beganMs = performance.now();
    await client.create(resources.pods, { namespace: 'default' }, manifest(name, ['sleep', '600']), signal);
    readyMs.push((await ready) - beganMs);
  }
  await deleteNow(client, 'ready', count);
  return readyMs;
}

/** Milliseconds from the last line of an instance that fails to the first line of the next one. */
export async function crashToNextLineMs(client: HttpClient, count: number, image: string): Promise<readonly number[]> {
  const { signal } = new AbortController();
  const crashMs: number[] = [];
  for (let i = 0; i < count; i++) {
    const name = `crash-${i}`;
    const restarted = watched(client, name, (pod) => {
      const status = pod.status?.containerStatuses?.[0];
      return status?.restartCount === 1 && status.state?.running !== undefined;
    });
    await sleepMs(50);
    // The last thing that an instance does, and the first, is to say so; its log has the time.
    const script = 'if [ -e $M/x ]; then echo up; exec sleep 600; fi; touch $M/x; sleep 0.3; echo crash; exit 1';
    const pod = manifest(name, ['sh', '-c', script], image);
    const container = pod.spec?.containers[0];
    if (container === undefined) throw new Error('no container');
    const env = [{ name: 'M', value: '/m' }];
    const marked: Pod = {
      ...pod,
      spec: {
        ...pod.spec,
        volumes: [{ name: 'm', emptyDir: {} }],
        containers: [{ ...container, env, volumeMounts: [{ name: 'm', mountPath: '/m' }] }],
      },
    };
    await client.create(resources.pods, { namespace: 'default' }, marked, signal);
    await restarted;
    await sleepMs(100); // the line of the second instance is in its log
    const last = (await logOf(client, name, true)).trim().split('\n').at(-1);
    const first = (await logOf(client, name, false)).trim().split('\n')[0];
    crashMs.push(wallMsOf(first) - wallMsOf(last));
  }
  await deleteNow(client, 'crash', count);
  return crashMs;
}

/** At the end: to take a pod down costs as much as to set one up, and the floors do not do it either while they count. */
async function deleteNow(client: HttpClient, prefix: string, count: number): Promise<void> {
  const { signal } = new AbortController();
  for (let i = 0; i < count; i++) {
    const ref = { namespace: 'default', name: `${prefix}-${i}` };
    await client.delete(resources.pods, ref, { gracePeriodSeconds: 0 }, signal);
  }
  await sleepMs(restMs);
}

/** Create to Ready, and crash to the first line of the next instance, with the process runtime. */
export async function benchPods(): Promise<BenchRow[]> {
  const livelet = await startLivelet();
  const readyMs = await createToReadyMs(livelet.client, podsCount);
  const crashMs = await crashToNextLineMs(livelet.client, crashesCount, crashImage);
  await livelet.stop();
  const spawnMs = percentile(
    Array.from({ length: podsCount }, () => {
      const beganMs = performance.now();
      spawnSync('sh', ['-c', 'exit 0']);
      return performance.now() - beganMs;
    }),
    0.5,
  );
  const floor = { floor: spawnMs, floorName: 'sh -c exit' };
  const pm2Ms = await pm2CrashMs();
  return [
    {
      name: 'pod create to Ready, process runtime, p50',
      unit: 'ms',
      ours: percentile(readyMs, 0.5),
      recorded: 870,
      target: 50,
      better: 'lower',
      ...floor,
    },
    {
      name: 'crash to first line of the next process, p50',
      unit: 'ms',
      ours: percentile(crashMs, 0.5),
      recorded: 1_000,
      target: 30,
      better: 'lower',
      ...floor,
      ...(pm2Ms === undefined ? {} : { peer: pm2Ms, peerName: 'pm2' }),
    },
  ];
}
