import type { ConfigMap, Node } from '../../api/gen/types.ts';
import { podNetworkAnnotation, podNetworksData, podNetworksRef } from '../../api/pod-networks.ts';
import type { PodNetworkOfNode } from '../../api/pod-networks.ts';
import { resources } from '../../api/resources.ts';
import { isWithin, overlaps, parseIpv4, parseIpv4Range } from '../../base/ipv4-range.ts';
import type { Ipv4Range } from '../../base/ipv4-range.ts';
import type { Outcome, Reconciler } from '../../base/run-reconciler.ts';
import { hasReason } from '../../base/status-error.ts';
import type { TaskScope } from '../../base/task-scope.ts';
import { WorkQueue } from '../../base/work-queue.ts';
import type { Client } from '../../client/client.ts';
import type { Informer } from '../../client/informer.ts';
import { startWorkers } from '../run-controller.ts';
import type { ControllerDeps } from '../run-controller.ts';

const settleMs = 200; // nodes that join together are told of together
const networksMax = 3_000; // 300 bytes each at most: an object may have 1 MiB
const loopback: Ipv4Range = { first: 0x7f_00_00_00, bits: 8 };
const key = 'all';

/**
 * Tells nodes of each other's pod networks, as soon as there are two whose pods can be reached from others. A node
 * may not read other Nodes (upstream's node authorizer), and needs nothing else of them.
 */
export function startPodNetworkPublisher(
  scope: TaskScope,
  deps: ControllerDeps & { readonly nodes: Informer<Node> },
): void {
  const queue = new WorkQueue<string>({ clock: deps.clock, signal: scope.signal });
  deps.nodes.onChange(({ previous, current }) => {
    if (factsOf(previous) !== factsOf(current)) queue.addAfter(key, settleMs);
  });
  startWorkers(scope, deps, new Publisher(deps), queue, { workers: 1, synced: [deps.nodes] });
}

/** Equal as long as nothing changed that counts here; a node whose pods nobody sends to is like none. */
function factsOf(node: Node | undefined): string {
  if (node?.metadata?.annotations?.[podNetworkAnnotation] !== 'routed') return '';
  return JSON.stringify([node.metadata.uid, node.spec?.podCIDRs, node.status?.addresses]);
}

/** Those that can be reached, oldest first: of two with one range (somebody has set them) the younger one cannot. */
export function podNetworksAmong(nodes: readonly Node[]): readonly PodNetworkOfNode[] {
  const ageOf = ({ metadata }: Node): string => `${metadata?.creationTimestamp ?? ''} ${metadata?.name ?? ''}`;
  const found: PodNetworkOfNode[] = [];
  for (const node of [...nodes].sort((a, b) => (ageOf(a) < ageOf(b) ? -1 : 1))) {
    const network = podNetworkOf(node);
    if (network === undefined || found.length >= networksMax) continue;
    const { podCidr } = network;
    if (!found.some((other) => overlaps(other.podCidr, podCidr))) found.push(network);
  }
  return found;
}

function podNetworkOf({ metadata, spec, status }: Node): PodNetworkOfNode | undefined {
  if (metadata?.annotations?.[podNetworkAnnotation] !== 'routed') return undefined;
  const [podCidr] = (spec?.podCIDRs ?? []).flatMap((cidr) => parseIpv4Range(cidr) ?? []);
  const [nodeIp] = (status?.addresses ?? [])
    .filter(({ type }) => type === 'InternalIP')
    .flatMap(({ address }) => parseIpv4(address) ?? []);
  if (podCidr === undefined || nodeIp === undefined || isWithin(nodeIp, loopback)) return undefined;
  return { nodeName: metadata.name ?? '', podCidr, nodeIp };
}

class Publisher implements Reconciler<string> {
  readonly name = 'podNetworkPublisher';
  readonly #deps: { readonly client: Client; readonly nodes: Informer<Node> };

  constructor(deps: { readonly client: Client; readonly nodes: Informer<Node> }) {
    this.#deps = deps;
  }

  async reconcile(_key: string, signal: AbortSignal): Promise<Outcome> {
    const { client, nodes } = this.#deps;
    const { namespace, name } = podNetworksRef;
    const networks = podNetworksAmong(nodes.list());
    const data = podNetworksData(networks);
    const found = await this.#find(signal);
    if (found === undefined) {
      const wanted: ConfigMap = { metadata: { name }, data };
      if (networks.length > 1) await client.create(resources.configmaps, { namespace }, wanted, signal);
    } else if (!isSame(found.data ?? {}, data)) {
      await client.update(resources.configmaps, { namespace, name }, { ...found, data }, signal);
    }
    return { kind: 'settled' };
  }

  async #find(signal: AbortSignal): Promise<ConfigMap | undefined> {
    try {
      return await this.#deps.client.get(resources.configmaps, podNetworksRef, signal);
    } catch (error) {
      if (hasReason(error, 'NotFound')) return undefined;
      throw error;
    }
  }
}

function isSame(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}
