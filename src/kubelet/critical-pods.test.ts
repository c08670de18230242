import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '../api/gen/types.ts';
import { admissionOf } from './critical-pods.ts';

const allocatable = { cpu: '4', memory: '4Gi', pods: '5' };

function podOf(name: string, priority: number, requests: Readonly<Record<string, string>>, isGuaranteed = false): Pod {
  const resources = isGuaranteed ? { requests, limits: requests } : { requests };
  return { metadata: { name, uid: name }, spec: { priority, containers: [{ name: 'c', resources }] } };
}

/** `welcome`, `waits: VICTIM VICTIM`, or the reason. */
function answer(pod: Pod, others: readonly Pod[], leaving: readonly Pod[] = []): string {
  const admission = admissionOf({ pod, others: [...others, ...leaving], allocatable, node: undefined }, leaving);
  if (admission.kind === 'refused') return `${admission.reason}: ${admission.message}`;
  return admission.kind === 'welcome'
    ? 'welcome'
    : `waits: ${admission.victims.map((v) => v.metadata?.name).join(' ')}`;
}

const critical = (cpu: string): Pod => podOf('critical', 2_000_000_000, { cpu });
const guaranteed = podOf('guaranteed', 5, { cpu: '1', memory: '1Gi' }, true);
const small = podOf('small', 5, { cpu: '500m' });
const large = podOf('large', 5, { cpu: '2' });
const idle = podOf('idle', 5, {});

test('a critical pod ends others, those that promise the least first, and no more than it must', () => {
  const full = [guaranteed, small, large, idle]; // half a cpu is free
  assert.equal(answer(critical('500m'), full), 'welcome');
  assert.equal(answer(critical('1'), full), 'waits: small');
  assert.equal(answer(critical('2'), full), 'waits: large');
  assert.equal(answer(critical('3'), full), 'waits: large small');
  assert.equal(answer(critical('4'), full), 'waits: large small guaranteed');
  assert.equal(answer(critical('100m'), [...full, { ...idle, metadata: { name: 'more' } }]), 'waits: more');
});

test('it waits for those that leave already, and is refused if nobody can make room', () => {
  assert.equal(answer(critical('3'), [small], [large]), 'waits: ');
  const peer = podOf('peer', 2_000_000_000, { cpu: '3' });
  const why = 'preemption: error finding a set of pods to preempt: no set of running pods found to reclaim resources: ';
  assert.equal(
    answer(critical('2'), [peer, small]),
    `UnexpectedAdmissionError: Unexpected error while attempting to recover from admission failure: ${why}[(res: cpu, q: 1000), ]`,
  );
  assert.match(answer(podOf('plain', 9, { cpu: '3' }), [large]), /^OutOfcpu: /);
});
