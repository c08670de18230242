import { nodeCidrBits } from '../../api/cluster-cidr.ts';
import type { Node } from '../../api/gen/types.ts';
import { resources } from '../../api/resources.ts';
import { formatIpv4Range, parseIpv4Range, rangeSize } from '../../base/ipv4-range.ts';
import type { Ipv4Range } from '../../base/ipv4-range.ts';
import type { Log } from '../../base/log.ts';
import type { Outcome, Reconciler } from '../../base/run-reconciler.ts';
import { hasReason } from '../../base/status-error.ts';
import type { TaskScope } from '../../base/task-scope.ts';
import { WorkQueue } from '../../base/work-queue.ts';
import type { Client } from '../../client/client.ts';
import { CorrelatingEventRecorder } from '../../client/correlating-event-recorder.ts';
import type { EventRecorder } from '../../client/event-recorder.ts';
import type { Informer } from '../../client/informer.ts';
import { startWorkers } from '../run-controller.ts';
import type { ControllerDeps } from '../run-controller.ts';

const workers = 5;
const failuresTold = 3; // in a row, upstream: cidrUpdateRetries

/**
 * Gives each node a range of the cluster's for its pods (`spec.podCIDR`), for as long as the Node is there. What a node
 * has already it keeps, whatever the cluster's range is now. Upstream: the range allocator of
 * `--allocate-node-cidrs`, with `--node-cidr-mask-size 24`.
 */
export function startNodeIpam(
  scope: TaskScope,
  deps: ControllerDeps & { readonly nodes: Informer<Node> },
  clusterCidr: Ipv4Range,
): void {
  const events = new CorrelatingEventRecorder({ ...deps, source: { component: 'cidrAllocator' } });
  const queue = new WorkQueue<string>({ clock: deps.clock, signal: scope.signal });
  const again = (names: Iterable<string>): void => {
    for (const name of names) queue.add(name);
  };
  const reconciler = new NodeIpam({ ...deps, events, again }, clusterCidr);
  deps.nodes.onChange(({ previous, current }) => {
    const isKnown = previous?.metadata?.uid === current?.metadata?.uid;
    const hasChanged = !isKnown || podCidrsOf(previous).length !== podCidrsOf(current).length;
    if (hasChanged) queue.add((current ?? previous)?.metadata?.name ?? '');
    if (!isKnown && previous !== undefined) reconciler.onFreed();
  });
  scope.start((signal) => events.run(signal));
  startWorkers(scope, deps, reconciler, queue, { workers, synced: [deps.nodes] });
}

export function podCidrsOf(node: Node | undefined): readonly string[] {
  return node?.spec?.podCIDRs ?? [];
}

interface NodeIpamDeps {
  readonly client: Client;
  readonly log: Log;
  readonly nodes: Informer<Node>;
  readonly events: EventRecorder;
  readonly again: (names: Iterable<string>) => void;
}

interface Given {
  readonly uid: string;
  readonly range: Ipv4Range;
  failures: number; // in a row, to write it to the node
}

class NodeIpam implements Reconciler<string> {
  readonly name = 'nodeIpam';
  readonly #deps: NodeIpamDeps;
  readonly #clusterCidr: Ipv4Range;
  readonly #rangeCount: number;
  // By node name, from the choice on until the cache shows it, or that the node is gone: an answer that was lost may
  // have been a yes, so that nothing else may be tried for this node, and nobody else may get the range.
  readonly #given = new Map<string, Given>();
  #waiting = new Set<string>(); // names of nodes for which none was left
  #nextIndex = 0; // goes round, so that one that was just freed is given as late as possible

  constructor(deps: NodeIpamDeps, clusterCidr: Ipv4Range) {
    this.#deps = deps;
    this.#clusterCidr = clusterCidr;
    this.#rangeCount = 2 ** (nodeCidrBits - clusterCidr.bits);
  }

  /** A range may be free that was not: who waits for one may try. */
  onFreed(): void {
    const waiting = this.#waiting;
    this.#waiting = new Set();
    this.#deps.again(waiting);
  }

  async reconcile(name: string, signal: AbortSignal): Promise<Outcome> {
    const node = this.#deps.nodes.get('', name);
    const uid = node?.metadata?.uid ?? '';
    const isSet = podCidrsOf(node).length > 0;
    if ((this.#given.get(name)?.uid !== uid || isSet) && this.#given.delete(name)) this.onFreed();
    if (node === undefined || isSet) return { kind: 'settled' };
    const given = this.#given.get(name) ?? this.#give(name, uid);
    if (given === undefined) {
      this.#waiting.add(name);
      this.#say(name, uid, 'CIDRNotAvailable');
      this.#deps.log.warn('podCidrNotAvailable', { node: name, clusterCidr: formatIpv4Range(this.#clusterCidr) });
      return { kind: 'settled' };
    }
    await this.#write(name, given, signal);
    return { kind: 'settled' };
  }

  async #write(name: string, given: Given, signal: AbortSignal): Promise<void> {
    const podCIDR = formatIpv4Range(given.range);
    // With the uid: another node of this name is refused.
    const body = { metadata: { uid: given.uid }, spec: { podCIDR, podCIDRs: [podCIDR] } };
    try {
      await this.#deps.client.patch(resources.nodes, { name }, { type: 'strategic', body }, signal);
    } catch (error) {
      given.failures++;
      const isGone = hasReason(error, 'NotFound', 'Conflict');
      if (!signal.aborted && !isGone && given.failures === failuresTold) {
        this.#say(name, given.uid, 'CIDRAssignmentFailed');
      }
      throw error;
    }
  }

  #give(name: string, uid: string): Given | undefined {
    const used = this.#usedIndexes();
    for (let i = 0; i < this.#rangeCount; i++) {
      const index = (this.#nextIndex + i) % this.#rangeCount;
      if (used.has(index)) continue;
      this.#nextIndex = index + 1;
      const first = this.#clusterCidr.first + index * rangeSize({ bits: nodeCidrBits });
      const given = { uid, range: { first, bits: nodeCidrBits }, failures: 0 };
      this.#given.set(name, given);
      return given;
    }
    return undefined;
  }

  /** The numbers of the cluster's ranges of which a node has something. */
  #usedIndexes(): ReadonlySet<number> {
    const used = new Set<number>();
    const size = rangeSize({ bits: nodeCidrBits });
    const add = ({ first, bits }: Ipv4Range): void => {
      const offset = first - this.#clusterCidr.first;
      const from = Math.max(0, Math.floor(offset / size));
      const to = Math.min(this.#rangeCount, Math.ceil((offset + rangeSize({ bits })) / size));
      for (let index = from; index < to; index++) used.add(index);
    };
    for (const node of this.#deps.nodes.list()) {
      for (const cidr of podCidrsOf(node)) {
        const range = parseIpv4Range(cidr);
        if (range !== undefined) add(range);
      }
    }
    for (const { range } of this.#given.values()) add(range);
    return used;
  }

  /** In upstream's words. */
  #say(name: string, uid: string, reason: string): void {
    const node = { apiVersion: 'v1', kind: 'Node', name, uid };
    this.#deps.events.event(node, 'Normal', reason, `Node ${name} status is now: ${reason}`);
  }
}
