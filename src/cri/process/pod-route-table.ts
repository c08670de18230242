import { execFile } from 'node:child_process';
import fs from 'node:fs';
import type net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { formatIpv4Range, parseIpv4, parseIpv4Range } from '../../base/ipv4-range.ts';
import type { Ipv4Range } from '../../base/ipv4-range.ts';
import { StatusError, messageOf } from '../../base/status-error.ts';
import { claimName, releaseName } from './abstract-claim.ts';
import { systemPath } from './shell-tools.ts';
import { systemErrorsTold } from './system-errors.ts';

/**
 * The routes to pods of other nodes, in the network namespace that this process is in. They bear a protocol number
 * (of those that nobody has, see `/etc/iproute2/rt_protos`) and a metric of their own: no other route is changed, and
 * one that somebody else has made to the same range wins.
 */
const protocol = '76';
const metric = '76';
const ipMsMax = 5_000; // usually 3 ms

export interface PodRoute {
  readonly range: Ipv4Range;
  /** `via`: to a node at this address, on an interface. `unreachable`: nobody has the address, which is said at once. */
  readonly to:
    | { readonly kind: 'via'; readonly nodeIp: string; readonly device: string }
    | { readonly kind: 'unreachable' };
}

/** What could not be done, in `ip`'s words or the kernel's. */
export interface RouteFailure {
  readonly what: string;
  readonly why: string;
}

/** An IPv4 network that this machine is on. */
export interface MachineNetwork {
  readonly device: string;
  readonly address: number;
  readonly range: Ipv4Range;
}

/** Those that other machines can be on. */
export function machineNetworks(): readonly MachineNetwork[] {
  return Object.entries(os.networkInterfaces()).flatMap(([name, addresses = []]) =>
    addresses.flatMap(({ family, cidr, address, internal }) => {
      const [range, own] = [parseIpv4Range(cidr ?? ''), parseIpv4(address)];
      if (family !== 'IPv4' || internal || range === undefined || own === undefined) return [];
      return [{ device: name.replace(/:.*/, ''), address: own, range }]; // eth0:1 is another address of eth0
    }),
  );
}

/**
 * One livelet of a network namespace keeps the routes, whichever is first: those of one cluster need the same ones.
 * `stateFile` remembers that something was changed, and on which interfaces forwarding was switched on, over SIGKILL.
 */
export class PodRouteTable {
  readonly #stateFile: string;
  #claim: net.Server | undefined;

  constructor(stateFile: string) {
    this.#stateFile = stateFile;
  }

  /** Whether an earlier run of this node has left something behind, or this one has made something. */
  get isTouched(): boolean {
    return fs.existsSync(this.#stateFile);
  }

  /** False: another livelet keeps the routes of this machine. */
  async claim(): Promise<boolean> {
    this.#claim ??= await claimName('pod-routes');
    return this.#claim !== undefined;
  }

  async #show(signal: AbortSignal): Promise<readonly string[]> {
    const text = await ip(['route', 'show', 'proto', protocol], signal);
    return text.split('\n').flatMap((line) => keyOfLine(line) ?? []);
  }

  /** Whether all of these are there, whoever made them. */
  async has(routes: readonly PodRoute[], signal: AbortSignal): Promise<boolean> {
    const found = new Set(await this.#show(signal));
    return routes.every((route) => found.has(keyOf(route)));
  }

  /** Makes them the only ones of ours. What fails is told, and all else is done. */
  set(routes: readonly PodRoute[], signal: AbortSignal): Promise<readonly RouteFailure[]> {
    return systemErrorsTold(() => this.#set(routes, signal));
  }

  async #set(routes: readonly PodRoute[], signal: AbortSignal): Promise<readonly RouteFailure[]> {
    const failures: RouteFailure[] = [];
    const attempt = async (what: string, words: readonly string[]): Promise<void> => {
      try {
        await ip(words, signal);
      } catch (error) {
        if (signal.aborted) throw error;
        failures.push({ what, why: messageOf(error) });
      }
    };
    if (routes.length > 0) this.#remember(this.#forwarding());
    const found = await this.#show(signal);
    const wanted = new Set(routes.map(keyOf));
    for (const key of found) {
      if (!wanted.has(key)) await attempt(key, ['route', 'del', ...key.split(' '), ...marks]);
    }
    for (const route of routes) {
      const key = keyOf(route);
      if (!found.includes(key)) await attempt(key, ['route', 'add', ...key.split(' '), ...marks]);
    }
    const devices = routes.flatMap(({ to }) => (to.kind === 'via' ? [to.device] : []));
    failures.push(...this.#forward(new Set(devices)));
    return failures;
  }

  /** Takes back all that was changed. */
  async clear(signal: AbortSignal): Promise<readonly RouteFailure[]> {
    const failures = await this.set([], signal);
    if (failures.length === 0) fs.rmSync(this.#stateFile, { force: true });
    return failures;
  }

  async release(): Promise<void> {
    const claim = this.#claim;
    this.#claim = undefined;
    if (claim !== undefined) await releaseName(claim);
  }

  /** What comes in on these interfaces is passed on to pods; on those where that is not needed any more it is not. */
  #forward(devices: ReadonlySet<string>): RouteFailure[] {
    const failures: RouteFailure[] = [];
    const write = (device: string, value: '0' | '1'): void => {
      try {
        fs.writeFileSync(forwardingFile(device), value);
      } catch (error) {
        // An interface that has gone needs nothing.
        if (value === '1') failures.push({ what: `forwarding on ${device}`, why: messageOf(error) });
      }
    };
    const switchedOn = new Set(this.#forwarding());
    for (const device of devices) {
      if (switchedOn.has(device) || readForwarding(device) !== '0') continue;
      switchedOn.add(device);
      this.#remember([...switchedOn]); // before: who is killed in between has to know it
      write(device, '1');
    }
    for (const device of switchedOn) {
      if (devices.has(device)) continue;
      write(device, '0');
      switchedOn.delete(device);
    }
    if (this.isTouched) this.#remember([...switchedOn]);
    return failures;
  }

  /** The interfaces on which it was off before. */
  #forwarding(): readonly string[] {
    try {
      const devices: unknown = JSON.parse(fs.readFileSync(this.#stateFile, 'utf8'));
      return Array.isArray(devices) ? devices.filter((device) => typeof device === 'string') : [];
    } catch {
      return []; // not there, or cut off by a power failure, after which forwarding is off anyway
    }
  }

  #remember(devices: readonly string[]): void {
    const text = JSON.stringify(devices);
    if (this.isTouched && fs.readFileSync(this.#stateFile, 'utf8') === text) return;
    fs.writeFileSync(this.#stateFile, text, { mode: 0o600 });
  }
}

const marks = ['proto', protocol, 'metric', metric] as const;

/** As the words of `ip route` for it. */
function keyOf({ range, to }: PodRoute): string {
  const text = formatIpv4Range(range);
  return to.kind === 'via' ? `${text} via ${to.nodeIp} dev ${to.device}` : `unreachable ${text}`;
}

/** The same of a line of `ip route show`; `undefined`: it is none that we make. */
function keyOfLine(line: string): string | undefined {
  return /^(?:unreachable \S+|\S+ via \S+ dev \S+)/.exec(line)?.[0];
}

function forwardingFile(device: string): string {
  return path.join('/proc/sys/net/ipv4/conf', device, 'forwarding');
}

function readForwarding(device: string): string {
  try {
    return fs.readFileSync(forwardingFile(device), 'utf8').trim();
  } catch {
    return ''; // the interface has gone
  }
}

function ip(words: readonly string[], signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { env: { PATH: systemPath }, timeout: ipMsMax, signal } as const;
    execFile('ip', ['-4', ...words], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else if (signal.aborted) reject(signal.reason as Error); // unwrapped
      else reject(new StatusError('InternalError', `ip ${words.join(' ')}: ${stderr.trim() || error.message}`));
    });
  });
}
