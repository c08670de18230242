import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '../../api/gen/types.ts';
import { formatTime } from '../../api/time.ts';
import { inDeletionOrder } from './deletion-order.ts';

const nowWallMs = Date.UTC(2026, 0, 1);
const ago = (seconds: number): string => formatTime(nowWallMs - seconds * 1_000);

interface Traits {
  readonly node?: string;
  readonly phase?: string;
  readonly readySeconds?: number;
  readonly cost?: string;
  readonly restarts?: number;
  readonly ageSeconds?: number;
}

function pod(uid: string, traits: Traits = {}): Pod {
  const { node = 'n1', phase = 'Running', readySeconds, cost, restarts = 0, ageSeconds = 1_000 } = traits;
  const ready = readySeconds === undefined ? 'False' : 'True';
  return {
    metadata: {
      uid,
      creationTimestamp: ago(ageSeconds),
      ...(cost === undefined ? {} : { annotations: { 'controller.kubernetes.io/pod-deletion-cost': cost } }),
    },
    spec: { containers: [], ...(node === '' ? {} : { nodeName: node }) },
    status: {
      phase,
      conditions: [{ type: 'Ready', status: ready, lastTransitionTime: ago(readySeconds ?? 0) }],
      containerStatuses: [{ name: 'c', image: '', imageID: '', ready: true, restartCount: restarts }],
    },
  };
}

/** Each pair: the first one goes first. */
const pairs: readonly (readonly [why: string, Traits, Traits])[] = [
  ['without a node', { node: '', readySeconds: 1 }, { phase: 'Pending' }],
  ['pending before unknown', { phase: 'Pending' }, { phase: 'Unknown' }],
  ['unknown before running', { phase: 'Unknown', readySeconds: 1 }, {}],
  ['not ready', { cost: '100' }, { readySeconds: 1, cost: '-100' }],
  ['cheaper', { readySeconds: 900, cost: '-5', node: 'n2' }, { readySeconds: 1 }],
  ['with more siblings', { readySeconds: 900, node: 'n1' }, { readySeconds: 1, node: 'n2' }],
  ['ready for a shorter time', { readySeconds: 10, ageSeconds: 5_000 }, { readySeconds: 100, restarts: 9 }],
  ['more often restarted', { restarts: 2, ageSeconds: 5_000 }, { restarts: 1, ageSeconds: 1 }],
  ['younger', { ageSeconds: 10 }, { ageSeconds: 100 }],
];

test('which of two pods goes first', () => {
  const siblingsOn = (node: string): number => (node === 'n1' ? 2 : 1);
  for (const [why, first, second] of pairs) {
    for (const [a, b] of [
      ['1', '2'],
      ['2', '1'],
    ] as const) {
      const [firstPod, secondPod] = [pod(a, first), pod(b, second)];
      assert.equal(inDeletionOrder([secondPod, firstPod], siblingsOn, nowWallMs)[0], firstPod, why);
      assert.equal(inDeletionOrder([firstPod, secondPod], siblingsOn, nowWallMs)[0], firstPod, why);
    }
  }
});

test('of pods of about the same age the UID decides', () => {
  const [a, b] = [pod('1', { ageSeconds: 1_000 }), pod('2', { ageSeconds: 900 })];
  assert.equal(inDeletionOrder([b, a], () => 1, nowWallMs)[0], a);
});
