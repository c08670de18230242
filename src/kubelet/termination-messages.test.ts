import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container } from '../api/gen/types.ts';
import type { ContainerScript } from '../sim/container-script.ts';
import { containerOf, startKubeletWorld } from '../../test/support/kubelet-world.ts';

const lines = Array.from(
  { length: 200 },
  (_, index) => ({ atMs: 0, stream: 'stdout', text: `line ${index}` }) as const,
);
const failing: ContainerScript = { output: lines, exit: { afterMs: 100, exitCode: 1 } };
const passing: ContainerScript = { output: lines, exit: { afterMs: 100, exitCode: 0 } };

async function lastWords(word: string, more: Partial<Container>, written: string): Promise<string | undefined> {
  const world = await startKubeletWorld('words', { scripts: { failing, passing } });
  const containers = [{ ...containerOf('c', word), ...more }, containerOf('d', 'passing')];
  const pod = await world.create('p', { restartPolicy: 'Never', containers });
  await world.clock.advance(50);
  world.files.append(`/var/lib/kubelet/pods/${pod.metadata?.uid}/containers/c/0`, written);
  await world.clock.advance(1_000);
  const statuses = (await world.pod('p')).status?.containerStatuses ?? [];
  await world.close();
  return statuses.find(({ name }) => name === 'c')?.state?.terminated?.message;
}

test('the last 4,096 bytes of the file are the termination message', async () => {
  assert.equal(await lastWords('failing', {}, 'goodbye'), 'goodbye');
  assert.equal(await lastWords('failing', {}, ''), undefined);
  assert.equal(await lastWords('passing', {}, `${'x'.repeat(1_000)}${'y'.repeat(4_096)}`), 'y'.repeat(4_096));
});

test('without a message, an unhappy end falls back to the end of the log where that is wanted', async () => {
  const policy = { terminationMessagePolicy: 'FallbackToLogsOnError' } as const;
  const text = (await lastWords('failing', policy, '')) ?? '';
  assert.ok(text.endsWith('line 198\nline 199\n'), text.slice(-40));
  assert.equal(text.split('\n').length - 1, 80);
  assert.equal(await lastWords('passing', policy, ''), undefined);
  assert.equal(await lastWords('failing', policy, 'goodbye'), 'goodbye');
});
