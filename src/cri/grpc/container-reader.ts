import { StatusError, hasReason } from '../../base/status-error.ts';
import { podLabels, type PodSandboxStatus, type RuntimeContainerStatus } from '../runtime.ts';
import { containerStatusOf, sandboxStatusOf } from './cri-answers.ts';
import { containerStates, sandboxReady } from './cri-values.ts';
import type { ListedContainer } from './container-ledger.ts';
import type { Container } from './gen/cri_pb.ts';
import { callMs } from './call-deadlines.ts';
import type { RpcConnection } from './rpc-connection.ts';

const statusCallsMax = 16; // at a time, for one listing

interface Known {
  readonly podSandboxId: string;
  /** The last one seen. In one state nothing of it changes, but for `unknown` and what `changed` tells. */
  status: RuntimeContainerStatus | undefined;
}

/**
 * Reads sandboxes and containers. A listing of CRI has only their states: the rest is asked for once for each state of
 * each, so that reading many pods again and again stays cheap.
 */
export class ContainerReader {
  readonly #rpc: RpcConnection;
  readonly #ownLabels: Readonly<Record<string, string>>;
  readonly #containers = new Map<string, Known>();
  readonly #sandboxes = new Map<string, PodSandboxStatus>(); // by id; in one state nothing of it changes

  /** `ownLabels`: what has not all of them is not seen in listings. */
  constructor(rpc: RpcConnection, ownLabels: Readonly<Record<string, string>>) {
    this.#rpc = rpc;
    this.#ownLabels = ownLabels;
  }

  /** Whether what bears these labels is in listings. */
  owns(labels: Readonly<Record<string, string>>): boolean {
    return Object.entries(this.#ownLabels).every(([key, value]) => labels[key] === value);
  }

  /** As the runtime has it now. */
  async container(id: string, signal: AbortSignal): Promise<RuntimeContainerStatus> {
    const podSandboxId = await this.#sandboxOf(id, signal);
    return await this.#readContainer(id, podSandboxId, signal);
  }

  async containers(podUid: string | undefined, signal: AbortSignal): Promise<readonly RuntimeContainerStatus[]> {
    const items = await this.#listContainers({ labelSelector: this.#selectorOf(podUid) }, signal);
    if (podUid === undefined) forgetOthers(this.#containers, items);
    return await forEach(items, async ({ id, state, podSandboxId }) => {
      const known = this.#containers.get(id)?.status;
      if (known !== undefined && known.state === containerStates[state] && known.state !== 'unknown') return known;
      return await this.#readContainer(id, podSandboxId, signal);
    });
  }

  /** Only their states, in one call. */
  async stages(signal: AbortSignal): Promise<readonly ListedContainer[]> {
    const items = await this.#listContainers({ labelSelector: this.#selectorOf(undefined) }, signal);
    return items.map(({ id, state, labels }) => {
      const stage = containerStates[state] ?? 'unknown';
      return { id, podUid: labels[podLabels.podUid] ?? '', stage: stage === 'unknown' ? undefined : stage };
    });
  }

  async sandbox(id: string, signal: AbortSignal): Promise<PodSandboxStatus> {
    const answer = await this.#rpc.call('podSandboxStatus', callMs, signal, (options) =>
      this.#rpc.runtime.podSandboxStatus({ podSandboxId: id }, options),
    );
    if (answer.status === undefined)
      throw new StatusError('InternalError', `the runtime says nothing of sandbox ${id}`);
    const status = this.#withoutOwner(sandboxStatusOf(answer.status));
    // One that has no address yet may get one.
    if (status.state === 'notReady' || status.networkMode === 'node' || status.ips.length > 0) {
      this.#sandboxes.set(id, status);
    }
    return status;
  }

  async sandboxes(podUid: string | undefined, signal: AbortSignal): Promise<readonly PodSandboxStatus[]> {
    const { items } = await this.#rpc.call('listPodSandbox', callMs, signal, (options) =>
      this.#rpc.runtime.listPodSandbox({ filter: { labelSelector: this.#selectorOf(podUid) } }, options),
    );
    if (podUid === undefined) forgetOthers(this.#sandboxes, items);
    return await forEach(items, async ({ id, state }) => {
      const known = this.#sandboxes.get(id);
      if (known?.state === (state === sandboxReady ? 'ready' : 'notReady')) return known;
      return await this.sandbox(id, signal);
    });
  }

  /** A container was made. */
  made(id: string, podSandboxId: string): void {
    this.#containers.set(id, { podSandboxId, status: undefined });
  }

  /** What was seen of it no longer holds, though its state does. */
  changed(id: string): void {
    const known = this.#containers.get(id);
    if (known !== undefined) known.status = undefined;
  }

  /** It was removed. */
  forget(id: string): void {
    this.#containers.delete(id);
    this.#sandboxes.delete(id);
  }

  async #readContainer(id: string, podSandboxId: string, signal: AbortSignal): Promise<RuntimeContainerStatus> {
    const answer = await this.#rpc.call('containerStatus', callMs, signal, (options) =>
      this.#rpc.runtime.containerStatus({ containerId: id }, options),
    );
    if (answer.status === undefined) throw new StatusError('InternalError', `the runtime says nothing of ${id}`);
    const status = this.#withoutOwner(containerStatusOf(answer.status, podSandboxId));
    this.#containers.set(id, { podSandboxId, status });
    return status;
  }

  /** ContainerStatus does not tell it. Empty for an id that nobody knows. */
  async #sandboxOf(id: string, signal: AbortSignal): Promise<string> {
    const known = this.#containers.get(id)?.podSandboxId;
    if (known !== undefined) return known;
    const [item] = await this.#listContainers({ id }, signal);
    return item?.podSandboxId ?? '';
  }

  /** It shows what it was made with. */
  #withoutOwner<T extends { readonly labels: Readonly<Record<string, string>> }>(status: T): T {
    const labels = Object.entries(status.labels).filter(([key]) => this.#ownLabels[key] === undefined);
    return { ...status, labels: Object.fromEntries(labels) };
  }

  #selectorOf(podUid: string | undefined): Record<string, string> {
    return { ...this.#ownLabels, ...(podUid === undefined ? {} : { [podLabels.podUid]: podUid }) };
  }

  async #listContainers(
    filter: { readonly id?: string; readonly labelSelector?: Record<string, string> },
    signal: AbortSignal,
  ): Promise<readonly Container[]> {
    const { containers } = await this.#rpc.call('listContainers', callMs, signal, (options) =>
      this.#rpc.runtime.listContainers({ filter }, options),
    );
    return containers;
  }
}

function forgetOthers(known: Map<string, unknown>, items: readonly { readonly id: string }[]): void {
  const ids = new Set(items.map(({ id }) => id));
  for (const id of known.keys()) if (!ids.has(id)) known.delete(id);
}

/** In the order of `items`, without those that have gone since they were listed. */
async function forEach<I, O>(items: readonly I[], read: (item: I) => Promise<O>): Promise<O[]> {
  const found: O[] = [];
  for (let from = 0; from < items.length; from += statusCallsMax) {
    const batch = await Promise.all(
      items.slice(from, from + statusCallsMax).map(async (item) => {
        try {
          return [await read(item)];
        } catch (error) {
          if (hasReason(error, 'NotFound')) return [];
          throw error;
        }
      }),
    );
    found.push(...batch.flat());
  }
  return found;
}
