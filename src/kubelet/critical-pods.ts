/** A critical pod finds no room on this node: who makes it. Pure. Upstream: `CriticalPodAdmissionHandler`. */
import type { Pod } from '../api/gen/types.ts';
import { effectivePodRequests } from '../api/pod-resources.ts';
import { quantityMilliValue, quantityValue } from '../api/quantity.ts';
import { qosClassOf } from '../api/qos.ts';
import type { QosClass } from '../api/qos.ts';
import { refusalOf } from './admission.ts';
import type { AdmissionInput, Refusal, Shortage } from './admission.ts';
import type { Verdict } from './pod-status.ts';
import { isMirrorPod, isStaticPod } from './static-pod.ts';

const criticalPriorityMin = 2_000_000_000;

/** Of a pod that makes room. */
export const preemption: Verdict = {
  reason: 'Preempting',
  message: 'Preempted in order to admit critical pod',
  disruption: 'Pod was preempted by Kubelet to accommodate a critical pod.',
};

export type Admission =
  | { readonly kind: 'welcome' }
  /** It has to wait until `victims`, and those that leave already, are gone. */
  | { readonly kind: 'waits'; readonly victims: readonly Pod[] }
  | ({ readonly kind: 'refused' } & Refusal);

/** `leaving`: those of the other pods that are being ended. */
export function admissionOf(input: AdmissionInput, leaving: readonly Pod[]): Admission {
  const refusal = refusalOf(input);
  if (refusal === undefined) return { kind: 'welcome' };
  if (refusal.shortages === undefined || !isCritical(input.pod)) return { kind: 'refused', ...refusal };
  const left = without(refusal.shortages, leaving);
  if (left.length === 0) return { kind: 'waits', victims: [] };
  const others = input.others.filter((other) => !leaving.includes(other) && mayPreempt(input.pod, other));
  const missing = without(left, others);
  if (missing.length === 0) return { kind: 'waits', victims: victimsFor(left, others) };
  const lacks = missing.map(({ name, amount }) => `(res: ${name}, q: ${amount}), `).join('');
  const why = `no set of running pods found to reclaim resources: [${lacks}]`;
  const what = 'Unexpected error while attempting to recover from admission failure';
  const message = `${what}: preemption: error finding a set of pods to preempt: ${why}`;
  return { kind: 'refused', reason: 'UnexpectedAdmissionError', message };
}

/** Upstream: `IsCriticalPod`. */
export function isCritical(pod: Pod): boolean {
  return isStaticPod(pod) || isMirrorPod(pod) || (pod.spec?.priority ?? 0) >= criticalPriorityMin;
}

function mayPreempt(preemptor: Pod, other: Pod): boolean {
  if (isCritical(preemptor) && !isCritical(other)) return true;
  const [own, its] = [preemptor.spec?.priority, other.spec?.priority];
  return own !== undefined && its !== undefined && own > its;
}

/** As few of each class as may be, and of the better classes only what the others cannot give. */
function victimsFor(shortages: readonly Shortage[], pods: readonly Pod[]): readonly Pod[] {
  const ofClass = (wanted: QosClass): readonly Pod[] =>
    pods.filter(({ spec }) => qosClassOf(spec ?? { containers: [] }) === wanted);
  const [bestEffort, burstable] = [ofClass('BestEffort'), ofClass('Burstable')];
  const guaranteed = nearest(without(shortages, [...bestEffort, ...burstable]), ofClass('Guaranteed'));
  const middle = nearest(without(shortages, [...bestEffort, ...guaranteed]), burstable);
  return [...nearest(without(shortages, [...middle, ...guaranteed]), bestEffort), ...middle, ...guaranteed];
}

/** One after the other the pod that leaves the least to be found, until nothing is missing. */
function nearest(shortages: readonly Shortage[], pods: readonly Pod[]): readonly Pod[] {
  const victims: Pod[] = [];
  let missing = shortages;
  while (missing.length > 0) {
    const [best] = pods
      .filter((pod) => !victims.includes(pod))
      .reverse() // of equals the last one came last
      .sort((a, b) => distance(missing, a) - distance(missing, b) || sizeOrder(a, b));
    if (best === undefined) break;
    victims.push(best);
    missing = without(missing, [best]);
  }
  return victims;
}

function distance(shortages: readonly Shortage[], pod: Pod): number {
  return shortages.reduce((sum, { name, amount }) => {
    const part = Math.max(0, amount - requestOf(pod, name)) / amount;
    return sum + part * part;
  }, 0);
}

function sizeOrder(a: Pod, b: Pod): number {
  return requestOf(a, 'memory') - requestOf(b, 'memory') || requestOf(a, 'cpu') - requestOf(b, 'cpu');
}

/** What is still missing when these pods are gone. */
function without(shortages: readonly Shortage[], pods: readonly Pod[]): readonly Shortage[] {
  return shortages
    .map(({ name, amount }) => ({ name, amount: pods.reduce((left, pod) => left - requestOf(pod, name), amount) }))
    .filter(({ amount }) => amount > 0);
}

function requestOf({ spec }: Pod, name: string): number {
  if (name === 'pods') return 1;
  const quantity = effectivePodRequests(spec ?? { containers: [] }).get(name);
  if (quantity === undefined) return 0;
  return name === 'cpu' ? quantityMilliValue(quantity) : quantityValue(quantity);
}
