import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container } from './gen/types.ts';
import { effectivePodRequests, podLimitsOf, podRequestsOf } from './pod-resources.ts';
import { formatQuantity, type Quantity } from './quantity.ts';

function container(cpu: string, restartPolicy?: string): Container {
  const policy = restartPolicy === undefined ? {} : { restartPolicy };
  return { name: 'c', resources: { requests: { cpu }, limits: { cpu } }, ...policy };
}

function texts(amounts: ReadonlyMap<string, Quantity>): Record<string, string> {
  return Object.fromEntries([...amounts].map(([name, quantity]) => [name, formatQuantity(quantity)]));
}

test('regular containers and sidecars add up', () => {
  const spec = { containers: [container('100m'), container('0.2')], initContainers: [container('1', 'Always')] };
  assert.deepEqual(texts(podRequestsOf(spec)), { cpu: '1300m' });
  assert.deepEqual(texts(podLimitsOf(spec)), { cpu: '1300m' });
});

test('an init container counts with the sidecars that were started before it, if that is more', () => {
  const containers = [container('100m')];
  const before = { containers, initContainers: [container('1', 'Always'), container('2')] };
  assert.deepEqual(texts(podRequestsOf(before)), { cpu: '3' });
  const after = { containers, initContainers: [container('2'), container('1', 'Always')] };
  assert.deepEqual(texts(podRequestsOf(after)), { cpu: '2' });
});

test('what the pod asks for itself comes first, and its overhead is added', () => {
  const spec = { containers: [container('100m')], resources: { requests: { cpu: '1' } }, overhead: { cpu: '10m' } };
  assert.deepEqual(texts(effectivePodRequests(spec)), { cpu: '1010m' });
});
