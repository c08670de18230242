import type { Container, PodSpec } from './gen/types.ts';
import { addQuantities, compareQuantities, type Quantity, quantityOf } from './quantity.ts';

type Amounts = Map<string, Quantity>;

/** Whether an init container keeps running beside the regular ones. */
export function isSidecar(container: Pick<Container, 'restartPolicy'>): boolean {
  return container.restartPolicy === 'Always';
}

function addAll(target: Amounts, more: Readonly<Record<string, string>> | Amounts | undefined): void {
  if (more === undefined) return;
  const entries = more instanceof Map ? more : Object.entries(more);
  for (const [name, amount] of entries) {
    const quantity = typeof amount === 'string' ? quantityOf(amount) : amount;
    const before = target.get(name);
    target.set(name, before === undefined ? quantity : addQuantities(before, quantity));
  }
}

function keepLarger(target: Amounts, other: Amounts): void {
  for (const [name, quantity] of other) {
    const before = target.get(name);
    if (before === undefined || compareQuantities(quantity, before) > 0) target.set(name, quantity);
  }
}

/**
 * What a pod's containers ask for together: the sum of the regular ones and sidecars, or what an ordinary init
 * container needs beside the sidecars started before it, whichever is more. Upstream: `AggregateContainerRequests`.
 */
export function podRequestsOf(spec: Pick<PodSpec, 'containers' | 'initContainers'>): Amounts {
  return aggregate(spec, 'requests');
}

/** The same for limits. */
export function podLimitsOf(spec: Pick<PodSpec, 'containers' | 'initContainers'>): Amounts {
  return aggregate(spec, 'limits');
}

function aggregate(spec: Pick<PodSpec, 'containers' | 'initContainers'>, kind: 'requests' | 'limits'): Amounts {
  const total: Amounts = new Map();
  for (const container of spec.containers) addAll(total, container.resources?.[kind]);
  const sidecars: Amounts = new Map(); // of those before the init container looked at
  const largestInit: Amounts = new Map();
  for (const container of spec.initContainers ?? []) {
    const own = container.resources?.[kind];
    if (isSidecar(container)) {
      addAll(total, own);
      addAll(sidecars, own);
      keepLarger(largestInit, sidecars);
    } else {
      const needed: Amounts = new Map(sidecars);
      addAll(needed, own);
      keepLarger(largestInit, needed);
    }
  }
  keepLarger(total, largestInit);
  return total;
}

/**
 * What the scheduler must reserve: the pod's own requests where they are set, else those of its containers, and its
 * overhead. Upstream: `resourcehelper.PodRequests`.
 */
export function effectivePodRequests(spec: PodSpec): Amounts {
  const total = podRequestsOf(spec);
  for (const [name, text] of Object.entries(spec.resources?.requests ?? {})) total.set(name, quantityOf(text));
  addAll(total, spec.overhead);
  return total;
}
