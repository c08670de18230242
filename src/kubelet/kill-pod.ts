import type { Container, Pod } from '../api/gen/types.ts';
import { TaskScope } from '../base/task-scope.ts';
import type { RuntimeContainerStatus } from '../cri/runtime.ts';
import { definitionFromLabels } from './container-labels.ts';
import { killContainer } from './kill-container.ts';
import type { NodeContext } from './node-context.ts';
import { findContainer, isSidecar } from './pod-names.ts';
import { aliveContainers } from './runtime-pod.ts';
import type { RuntimePod } from './runtime-pod.ts';

/**
 * Ends all containers of a pod side by side, sidecars in their order, then its sandboxes. Resolves when nothing of it
 * runs; rejects with the first failure after everything was tried. Upstream: `killPod`.
 */
export async function killPod(
  context: NodeContext,
  pod: Pod,
  runtimePod: RuntimePod,
  graceSeconds: number | undefined,
  signal: AbortSignal,
): Promise<void> {
  const alive = aliveContainers(runtimePod);
  const order = new TerminationOrder(context, pod, alive);
  const kills = alive.map(async (instance) => {
    const { name } = instance.metadata;
    const target = {
      pod,
      container: definitionOf(pod, instance),
      containerId: instance.id,
      podIp: podIpOf(runtimePod),
    };
    try {
      await killContainer(
        context,
        target,
        { message: '', reason: 'other', graceSeconds, waitTurn: order.waitTurnOf(name) },
        signal,
      );
    } finally {
      order.ended(name);
    }
  });
  throwFirst(await Promise.allSettled(kills));
  const stops = runtimePod.sandboxes
    .filter(({ state }) => state === 'ready')
    .map(({ id }) => context.runtime.stopPodSandbox(id, signal));
  throwFirst(await Promise.allSettled(stops));
}

/** The pod's own definition of the container, else as much as is written on the instance. */
export function definitionOf(pod: Pod, instance: RuntimeContainerStatus): Container {
  return findContainer(pod, instance.metadata.name)?.container ?? definitionFromLabels(instance);
}

function podIpOf({ sandboxes }: RuntimePod): string {
  return sandboxes[0]?.ips[0] ?? '';
}

function throwFirst(results: readonly PromiseSettledResult<void>[]): void {
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

/**
 * Who waits for whom at the end of a pod: a sidecar for all regular containers and for the sidecars declared after it.
 * Upstream: `terminationOrdering`.
 */
class TerminationOrder {
  readonly #context: Pick<NodeContext, 'clock'>;
  readonly #waitsFor = new Map<string, readonly string[]>(); // sidecar -> names that run now
  readonly #endings = new Map<string, { readonly promise: Promise<void>; readonly resolve: () => void }>();

  constructor(context: Pick<NodeContext, 'clock'>, pod: Pod, alive: readonly RuntimeContainerStatus[]) {
    this.#context = context;
    const running = new Set(alive.map(({ metadata }) => metadata.name));
    for (const name of running) this.#endings.set(name, ending());
    const sidecars = (pod.spec?.initContainers ?? []).filter(isSidecar).map(({ name }) => name);
    const initNames = new Set((pod.spec?.initContainers ?? []).map(({ name }) => name));
    const others = [...running].filter((name) => !initNames.has(name)); // nobody waits for an ordinary init container
    for (const [index, name] of sidecars.entries()) {
      const later = sidecars.slice(index + 1).filter((other) => running.has(other));
      if (running.has(name)) this.#waitsFor.set(name, [...others, ...later]);
    }
  }

  ended(name: string): void {
    this.#endings.get(name)?.resolve();
  }

  waitTurnOf(name: string): ((timeoutMs: number, signal: AbortSignal) => Promise<void>) | undefined {
    const names = this.#waitsFor.get(name);
    if (names === undefined || names.length === 0) return undefined;
    return async (timeoutMs, signal) => {
      const scope = new TaskScope(signal);
      const limit = this.#context.clock.sleep(timeoutMs, 'kubelet.kill.order', scope.signal);
      try {
        await Promise.race([
          Promise.all(names.map((other) => this.#endings.get(other)?.promise ?? Promise.resolve())),
          limit,
        ]);
      } finally {
        await scope.close();
        await Promise.allSettled([limit]);
      }
    };
  }
}

function ending(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
