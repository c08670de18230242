import type net from 'node:net';
import { formatIpv4, formatIpv4Range, isWithin, overlaps, parseIpv4Range, rangeSize } from '../../base/ipv4-range.ts';
import type { Ipv4Range } from '../../base/ipv4-range.ts';
import { StatusError } from '../../base/status-error.ts';
import { claimName, releaseName } from './abstract-claim.ts';
import { podInterfacePrefix, readRoutes } from './machine-routes.ts';
import type { MachineRoute } from './machine-routes.ts';

/**
 * The addresses of pods that have a network namespace of their own. They are of the node's range, of which the first
 * address but one is the machine as its pods see it. Every pod has a pair of virtual interfaces and one route; there
 * is no bridge, so all of it goes when the pod's namespace goes.
 *
 * Several livelets on a machine may have one range (each `livelet up` is a cluster of its own, and gives its node the
 * same one): what counts are the routes to single pods, of which the kernel lets each address have one.
 */

/** Of nodes that nobody gives a range: the first of these that nothing else on the machine uses. */
const ownRanges = { first: 0x0a_f4_00_00, bits: 16 } as const; // 10.244.0.0/16, flannel's well-known range
const ownRangeBits = 24;
const clusterRangesMax = 12; // 10.244.0.0/16 to 10.255.0.0/16
const bitsMax = 29; // fewer addresses than 8 leave next to none for pods
const instancesMax = 1_024; // of livelets on a machine
const reservedCount = 3; // the range itself, the machine, and the broadcast address

export interface PodAddress {
  readonly ip: string;
  readonly gateway: string;
  /** The machine's end of the pair; at most 15 characters. */
  readonly hostInterface: string;
}

export interface PodNetworkOptions {
  /** The range, where it is known. Default: `10.244.0.0/24`, or the next one that this machine has no route into. */
  readonly podCidr?: string | undefined;
  /** Whether no pod may have an address before `use` has told the range. */
  readonly awaitsCidr?: boolean | undefined;
}

export class PodNetwork {
  readonly #instance: number;
  readonly #claim: net.Server;
  readonly #used = new Set<string>(); // handed out, not given back
  #range: Ipv4Range;
  #isKnown: boolean;
  #lastIndex = -1; // of the address that was handed out last
  #interfaceCount = 0;

  private constructor(instance: number, claim: net.Server, range: Ipv4Range, isKnown: boolean) {
    this.#instance = instance;
    this.#claim = claim;
    this.#range = range;
    this.#isKnown = isKnown;
  }

  /**
   * With names of interfaces that no other livelet of this machine uses. `undefined`: there are too many of them.
   */
  static async claim({ podCidr, awaitsCidr = false }: PodNetworkOptions = {}): Promise<PodNetwork | undefined> {
    const known = podCidr === undefined ? undefined : rangeOf(podCidr);
    const range = known ?? firstFreeRange(readRoutes());
    for (let instance = 0; instance < instancesMax; instance++) {
      const server = await claimName(`pod-network-${instance}`);
      if (server === undefined) continue;
      return new PodNetwork(instance, server, range, known !== undefined || !awaitsCidr);
    }
    return undefined;
  }

  /** `10.244.0.0/24` */
  get range(): string {
    return formatIpv4Range(this.#range);
  }

  /** New pods have addresses of it from now on. Returns whether that is a change. `Invalid`: it cannot be used. */
  use(podCidr: string): boolean {
    const range = rangeOf(podCidr);
    if (range === undefined) {
      const text = `pod CIDR ${JSON.stringify(podCidr)}: no range of IPv4 addresses of /${bitsMax} or larger`;
      throw new StatusError('Invalid', text);
    }
    this.#isKnown = true;
    if (formatIpv4Range(range) === this.range) return false;
    this.#range = range;
    this.#lastIndex = -1;
    return true;
  }

  /** Why pods can have no address now; `undefined`: they can. */
  problem(): string | undefined {
    if (!this.#isKnown) return 'no range of addresses for pods was assigned to this node yet (spec.podCIDR)';
    const route = readRoutes().find((each) => isForeignInto(each, this.#range));
    if (route === undefined) return undefined;
    return (
      `the pod CIDR ${this.range} of this node is in use on this machine, by ${route.device} ` +
      `(${formatIpv4Range(route.range)}): choose another --cluster-cidr, or remove that`
    );
  }

  /** Addresses go round, so that one just given back is used again as late as possible. */
  take(): PodAddress {
    const routes = readRoutes();
    const count = rangeSize(this.#range) - reservedCount;
    for (let i = 0; i < count; i++) {
      this.#lastIndex = (this.#lastIndex + 1) % count;
      const address = this.#range.first + reservedCount - 1 + this.#lastIndex;
      const ip = formatIpv4(address);
      if (!this.#used.has(ip) && !isTaken(routes, address)) return this.#take(ip);
    }
    throw new StatusError('ServiceUnavailable', `no IP addresses available in range set: ${this.range}`);
  }

  giveBack({ ip }: PodAddress): void {
    this.#used.delete(ip);
  }

  /** Whether another livelet was faster: the address that could not be set up is that of one of its pods. */
  isTakenByAnother({ ip, hostInterface }: PodAddress): boolean {
    return readRoutes().some(({ range, device }) => formatIpv4Range(range) === `${ip}/32` && device !== hostInterface);
  }

  async close(): Promise<void> {
    await releaseName(this.#claim);
  }

  #take(ip: string): PodAddress {
    this.#used.add(ip);
    const hostInterface = `${podInterfacePrefix}${this.#instance.toString(16)}p${(this.#interfaceCount++).toString(36)}`;
    return { ip, gateway: formatIpv4(this.#range.first + 1), hostInterface };
  }
}

/** Of two families the one of IPv4. `undefined`: there is none that can be used. */
function rangeOf(podCidr: string): Ipv4Range | undefined {
  const [range] = podCidr.split(',').flatMap((cidr) => parseIpv4Range(cidr) ?? []);
  return range !== undefined && range.bits <= bitsMax ? range : undefined;
}

function firstFreeRange(routes: readonly MachineRoute[]): Ipv4Range {
  const count = rangeSize(ownRanges) / rangeSize({ bits: ownRangeBits });
  return firstWithoutRoute(ownRangeBits, count, routes);
}

/** For a cluster whose first node is this machine: `10.244.0.0/16`, or the next one that it has no route into. */
export function freeClusterCidr(): string {
  const routes = process.platform === 'linux' ? readRoutes() : [];
  return formatIpv4Range(firstWithoutRoute(ownRanges.bits, clusterRangesMax, routes));
}

/** Of `count` ranges from 10.244.0.0 on; the first of all if there is none. */
function firstWithoutRoute(bits: number, count: number, routes: readonly MachineRoute[]): Ipv4Range {
  for (let index = 0; index < count; index++) {
    const range = { first: ownRanges.first + index * rangeSize({ bits }), bits };
    if (!routes.some((route) => isForeignInto(route, range))) return range;
  }
  return { first: ownRanges.first, bits };
}

/** A route that leads straight to others' interfaces. Broader ones (a VPN's 10.0.0.0/8) say little about ours. */
function isForeignInto({ range, device, isDirect }: MachineRoute, pods: Ipv4Range): boolean {
  return isDirect && range.bits >= 16 && !device.startsWith(podInterfacePrefix) && overlaps(range, pods);
}

function isTaken(routes: readonly MachineRoute[], address: number): boolean {
  return routes.some(({ range }) => range.bits === 32 && isWithin(address, range));
}
