import type { ConfigMap, ObjectReference } from '../api/gen/types.ts';
import { podNetworksOf, podNetworksRef } from '../api/pod-networks.ts';
import type { PodNetworkOfNode } from '../api/pod-networks.ts';
import { resources } from '../api/resources.ts';
import { Alarm } from '../base/alarm.ts';
import type { Clock } from '../base/clock.ts';
import type { Entropy } from '../base/entropy.ts';
import { formatIpv4, formatIpv4Range, isWithin } from '../base/ipv4-range.ts';
import type { Log } from '../base/log.ts';
import { StatusError } from '../base/status-error.ts';
import { TaskScope } from '../base/task-scope.ts';
import type { Client } from '../client/client.ts';
import type { EventRecorder } from '../client/event-recorder.ts';
import { ListWatchInformer } from '../client/list-watch-informer.ts';
import { machineNetworks, PodRouteTable } from '../cri/process/pod-route-table.ts';
import type { MachineNetwork, PodRoute, RouteFailure } from '../cri/process/pod-route-table.ts';

const lookMs = 30_000; // routes go with an interface, and nobody says so
const clearMsMax = 10_000;

export interface PodRoutesDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
  readonly recorder: EventRecorder;
}

export interface PodRoutesOptions {
  readonly nodeName: string;
  readonly node: ObjectReference;
  /** Where it is remembered that routes were made. */
  readonly stateFile: string;
}

interface Wanted {
  readonly routes: readonly PodRoute[];
  /** Sentences about nodes whose pods are not reached from here. */
  readonly leftOut: readonly string[];
}

/**
 * Which routes this machine needs so that its pods reach those of other nodes, if these are on a network that it is on
 * too. Addresses of its own range that no pod has are unreachable, rather than sent to the default gateway. Pure.
 */
export function podRoutesFor(
  nodeName: string,
  networks: readonly PodNetworkOfNode[],
  machine: readonly MachineNetwork[],
): Wanted {
  const own = networks.find((network) => network.nodeName === nodeName);
  const others = networks.filter((network) => network !== own);
  const routes: PodRoute[] = [];
  const leftOut: string[] = [];
  for (const other of others) {
    // Another node of this machine: its pods have routes of their own here.
    if (machine.some(({ address }) => address === other.nodeIp)) continue;
    const link = machine.find(({ range }) => isWithin(other.nodeIp, range));
    const nodeIp = formatIpv4(other.nodeIp);
    if (link !== undefined) {
      routes.push({ range: other.podCidr, to: { kind: 'via', nodeIp, device: link.device } });
    } else {
      const range = formatIpv4Range(other.podCidr);
      leftOut.push(
        `pods of node ${other.nodeName} (${range}) are not reached from here: ${nodeIp} is on no network of this machine`,
      );
    }
  }
  if (own !== undefined && routes.length > 0) routes.push({ range: own.podCidr, to: { kind: 'unreachable' } });
  return { routes, leftOut };
}

/**
 * Keeps the routes to the pods of other nodes, for as long as `run` is not aborted; then takes back all that it did.
 * Nothing is touched while there is no other node to be reached. Upstream: flannel's `host-gw`.
 */
export class PodRoutes {
  readonly #deps: PodRoutesDeps;
  readonly #options: PodRoutesOptions;
  readonly #table: PodRouteTable;
  readonly #informer: ListWatchInformer<ConfigMap>;
  readonly #alarm: Alarm;
  #told = new Set<string>(); // what was wrong at the last look: said once, until it is right again

  constructor(deps: PodRoutesDeps, options: PodRoutesOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#table = new PodRouteTable(options.stateFile);
    this.#alarm = new Alarm(deps.clock, 'podRoutes.look');
    const { namespace, name } = podNetworksRef;
    const fieldSelector = `metadata.name=${name}`;
    this.#informer = new ListWatchInformer({ ...deps, type: resources.configmaps, namespace, fieldSelector });
    this.#informer.onChange(() => this.#alarm.ring());
  }

  async run(signal: AbortSignal): Promise<void> {
    const scope = new TaskScope(signal);
    scope.start((inner) => this.#informer.run(inner));
    scope.start((inner) => this.#keep(inner));
    try {
      await this.#informer.synced(scope.signal);
      await new Promise<void>((resolve) => scope.signal.addEventListener('abort', () => resolve(), { once: true }));
    } finally {
      try {
        await scope.close(signal.reason);
      } finally {
        await this.#end();
      }
    }
  }

  async #keep(signal: AbortSignal): Promise<void> {
    await this.#informer.synced(signal); // until then what an earlier run has left is all that is known
    for (;;) {
      try {
        await this.#look(signal);
      } catch (error) {
        if (signal.aborted || !(error instanceof StatusError)) throw error;
        this.#tell(new Set([`pods of other nodes are not reached from here: ${error.message}`]));
      }
      await this.#alarm.wait(lookMs, signal);
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { namespace, name } = podNetworksRef;
    const networks = podNetworksOf(this.#informer.get(namespace, name));
    const { routes, leftOut } = podRoutesFor(this.#options.nodeName, networks, machineNetworks());
    if (routes.length === 0 && !this.#table.isTouched) return this.#tell(new Set(leftOut));
    if (await this.#table.claim()) {
      const failures = await (routes.length === 0 ? this.#table.clear(signal) : this.#table.set(routes, signal));
      return this.#tell(new Set([...leftOut, ...failures.map(failureText)]));
    }
    const isKept = await this.#table.has(
      routes.filter(({ to }) => to.kind === 'via'),
      signal,
    );
    this.#tell(new Set(isKept ? leftOut : [...leftOut, otherLivelet]));
  }

  #tell(problems: ReadonlySet<string>): void {
    for (const message of problems) {
      if (this.#told.has(message)) continue;
      this.#deps.log.warn('podsNotReached', { node: this.#options.nodeName, message });
      this.#deps.recorder.event(this.#options.node, 'Warning', 'PodsNotReached', message);
    }
    this.#told = new Set(problems);
  }

  async #end(): Promise<void> {
    const end = new AbortController();
    const limit = new TaskScope();
    limit.start(async (signal) => {
      await this.#deps.clock.sleep(clearMsMax, 'podRoutes.clear', signal);
      end.abort(new StatusError('Timeout', `not done within ${clearMsMax} ms`));
    });
    try {
      if (!this.#table.isTouched || !(await this.#table.claim())) return;
      for (const failure of await this.#table.clear(end.signal)) {
        this.#deps.log.warn('podRouteNotRemoved', { ...failure });
      }
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      this.#deps.log.warn('podRoutesNotRemoved', { error: error.message });
    } finally {
      await this.#table.release();
      await limit.close();
    }
  }
}

const otherLivelet =
  'pods of other nodes are not all reached from here: another livelet keeps the routes of this machine';

function failureText({ what, why }: RouteFailure): string {
  return `pods of other nodes are not all reached from here: ${what}: ${why}`;
}
