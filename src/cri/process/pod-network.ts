import fs from 'node:fs';
import net from 'node:net';
import { StatusError } from '../../base/status-error.ts';

/**
 * The addresses of pods that have a network namespace of their own. Each livelet on a machine has one /24 of
 * 10.244.0.0/16 (flannel's well-known range): .1 is the machine as its pods see it, the rest are pods. Every
 * pod has a pair of virtual interfaces and one route; there is no bridge, so all of it goes when the pod's namespace
 * goes.
 */
const rangePrefix = '10.244';
const rangeCount = 256;
const firstHostNumber = 2;
const lastHostNumber = 254;

export interface PodAddress {
  readonly ip: string;
  readonly gateway: string;
  /** The machine's end of the pair; at most 15 characters. */
  readonly hostInterface: string;
}

export class PodNetwork {
  readonly #rangeNumber: number;
  readonly #claim: net.Server;
  readonly #used = new Set<number>(); // host numbers handed out
  #lastHostNumber = firstHostNumber - 1;
  #interfaceCount = 0;

  private constructor(rangeNumber: number, claim: net.Server) {
    this.#rangeNumber = rangeNumber;
    this.#claim = claim;
  }

  /**
   * Takes the first range that neither another livelet nor a route of this machine uses. The claim is a socket in the
   * kernel's abstract name space: it goes with this process, however it ends. `undefined`: no range is free.
   */
  static async claim(): Promise<PodNetwork | undefined> {
    const routes = routesOf(fs.readFileSync('/proc/net/route', 'latin1'));
    for (let number = 0; number < rangeCount; number++) {
      if (routes.some((route) => routeTouches(route, number))) continue;
      const server = await listenAbstract(`\0livelet-pods-${rangePrefix}.${number}`);
      if (server !== undefined) return new PodNetwork(number, server);
    }
    return undefined;
  }

  /** `10.244.0.0/24` */
  get range(): string {
    return `${rangePrefix}.${this.#rangeNumber}.0/24`;
  }

  /** Addresses go round, so that one just given back is used again as late as possible. */
  take(): PodAddress {
    for (let i = 0; i <= lastHostNumber - firstHostNumber; i++) {
      this.#lastHostNumber = this.#lastHostNumber >= lastHostNumber ? firstHostNumber : this.#lastHostNumber + 1;
      if (!this.#used.has(this.#lastHostNumber)) return this.#take(this.#lastHostNumber);
    }
    throw new StatusError('ServiceUnavailable', `no IP addresses available in range set: ${this.range}`);
  }

  giveBack(address: PodAddress): void {
    this.#used.delete(Number(address.ip.slice(address.ip.lastIndexOf('.') + 1)));
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.#claim.close(() => resolve()));
  }

  #take(hostNumber: number): PodAddress {
    this.#used.add(hostNumber);
    const prefix = `${rangePrefix}.${this.#rangeNumber}`;
    const hostInterface = `lv${this.#rangeNumber.toString(16)}n${(this.#interfaceCount++).toString(36)}`;
    return { ip: `${prefix}.${hostNumber}`, gateway: `${prefix}.1`, hostInterface };
  }
}

interface Route {
  readonly destination: number; // network byte order read as little endian, as the kernel prints it
  readonly mask: number;
}

/** The routes of `/proc/net/route` to no more than a /16. */
function routesOf(table: string): Route[] {
  return table
    .split('\n')
    .slice(1)
    .map((line) => line.split('\t'))
    .filter((fields) => fields.length > 7)
    .map((fields) => ({
      destination: Number.parseInt(fields[1] ?? '', 16),
      mask: Number.parseInt(fields[7] ?? '', 16),
    }))
    .filter((route) => (route.mask & 0xffff) === 0xffff); // broader ones (a VPN's 10.0.0.0/8) say little about ours
}

function routeTouches(route: Route, rangeNumber: number): boolean {
  const [a = 0, b = 0] = rangePrefix.split('.').map(Number);
  const range = (a | (b << 8) | (rangeNumber << 16)) >>> 0;
  const mask = (route.mask & 0x00ffffff) >>> 0; // compare no more than 24 bits
  return (route.destination & mask) >>> 0 === (range & mask) >>> 0;
}

function listenAbstract(name: string): Promise<net.Server | undefined> {
  return new Promise((resolve) => {
    const server = net.createServer((socket) => socket.destroy());
    server.once('error', () => resolve(undefined)); // taken
    server.listen(name, () => resolve(server.unref()));
  });
}
