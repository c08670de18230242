/** A server and nodes as processes of their own, each node on a computer (network namespace) of its own. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Node, Pod } from '../../src/api/gen/types.ts';
import { HttpClient } from '../../src/client/http/http-client.ts';
import { loadKubeconfig } from '../../src/client/http/kubeconfig.ts';
import { NodeNetworks } from '../support/node-networks.ts';
import type { TestComputer } from '../support/node-networks.ts';
import { liveletBin, runKubectl, runLivelet, sleepMs } from './livelet-up.ts';
import type { CommandResult } from './livelet-up.ts';

const startMsMax = 60_000;
const waitMsMax = 120_000;
const pollMs = 250;

/** A process of livelet. */
export interface Started {
  readonly child: ChildProcess;
  readonly exited: Promise<unknown>;
  /** Resolves when it says so; rejects with what it said if it ends before, or is not within `startMsMax`. */
  readonly ready: Promise<void>;
}

/** `enter`: words before the command. */
export function launch(enter: readonly string[], args: readonly string[]): Started {
  const [command = '', ...words] = [...enter, process.execPath, liveletBin, ...args];
  const child = spawn(command, words, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  child.stderr.on('data', (data: Buffer) => (text += data.toString()));
  const ready = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not ready: ${text}`)), startMsMax);
    child.once('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`ended with ${code}: ${text}`));
    });
    child.stdout.on('data', (data: Buffer) => {
      text += data.toString();
      if (!/is ready/i.test(text)) return;
      clearTimeout(timer);
      resolve();
    });
  });
  ready.catch(() => {}); // who does not wait for it does not mind
  return { child, exited: once(child, 'exit'), ready };
}

export interface BedOptions {
  /** Of the nodes. */
  readonly names: readonly string[];
  /** Those that are behind NAT: the server reaches them through a tunnel only. */
  readonly tunnelled?: readonly string[];
}

/** All of it is gone after `close`. The failover profile is `fast`. */
export class NodesBed {
  readonly directory = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-nodes-'));
  readonly names: readonly string[];
  readonly #tunnelled: readonly string[];
  readonly #networks = new NodeNetworks();
  readonly #computers = new Map<string, TestComputer>();
  readonly #processes = new Map<string, Started>(); // those that were started last
  #join: readonly string[] = [];

  private constructor({ names, tunnelled = [] }: BedOptions) {
    this.names = names;
    this.#tunnelled = tunnelled;
  }

  static async open(options: BedOptions): Promise<NodesBed> {
    const bed = new NodesBed(options);
    try {
      for (const name of bed.names) bed.#computers.set(name, bed.#networks.add());
      await bed.launch('server').ready;
      const { code, stdout, stderr } = await bed.livelet('token', 'create', '--ttl', '1h');
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^livelet node --server https:\S+ --token \S+ --ca-cert-hash sha256:[0-9a-f]{64}\n$/);
      bed.#join = stdout.trim().split(' ').slice(2);
      await Promise.all(bed.names.map((name) => bed.launch(name).ready));
      return bed;
    } catch (error) {
      await bed.close();
      throw error;
    }
  }

  /** What `token create` said, as words: `--server URL --token TOKEN --ca-cert-hash HASH`. */
  get join(): readonly string[] {
    return this.#join;
  }

  get kubeconfigPath(): string {
    return path.join(this.dataDirOf('server'), 'kubeconfig');
  }

  dataDirOf(name: string): string {
    return path.join(this.directory, name);
  }

  computer(name: string): TestComputer {
    const computer = this.#computers.get(name);
    assert.ok(computer !== undefined, name);
    return computer;
  }

  /** The process of the server, or of a node, that was started last. */
  processOf(name: string): Started {
    const started = this.#processes.get(name);
    assert.ok(started !== undefined, name);
    return started;
  }

  kubectl(...args: string[]): Promise<CommandResult> {
    return runKubectl(this.kubeconfigPath, args);
  }

  livelet(...args: string[]): Promise<CommandResult> {
    return runLivelet(args, { KUBECONFIG: this.kubeconfigPath });
  }

  /** As the administrator; to be closed. */
  client(): HttpClient {
    const access = loadKubeconfig({ file: this.kubeconfigPath });
    assert.ok(access !== undefined);
    return new HttpClient(access);
  }

  /** Starts the server or a node, for the first time or once more: the server on the same port, a node without token. */
  launch(name: string): Started {
    const started = name === 'server' ? this.#launchServer() : this.#launchNode(name);
    this.#processes.set(name, started);
    return started;
  }

  #launchServer(): Started {
    const port = this.#join[1] === undefined ? '0' : new URL(this.#join[1]).port;
    const place = ['--data-dir', this.dataDirOf('server'), '--port', port, '--bind', this.#networks.address];
    return launch([], ['server', ...place, '--failover', 'fast']);
  }

  #launchNode(name: string): Started {
    const way = this.#tunnelled.includes(name) ? ['--tunnel'] : ['--node-ip', this.computer(name).address];
    const isKnown = fs.existsSync(path.join(this.dataDirOf(name), 'kubeconfig'));
    const words = isKnown ? this.#join.slice(0, 2) : this.#join;
    const place = ['--node-name', name, '--data-dir', this.dataDirOf(name)];
    return launch(this.computer(name).enter, ['node', ...place, ...way, ...words]);
  }

  signal(name: string, signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): void {
    this.processOf(name).child.kill(signal);
  }

  async read<T>(...args: string[]): Promise<T[]> {
    const { stdout, stderr, code } = await this.kubectl('get', ...args, '-o', 'json');
    assert.equal(code, 0, stderr);
    return (JSON.parse(stdout) as { items: T[] }).items; // a list, as kubectl prints it
  }

  /**
   * Node -> pods, once `count` are Ready, on these nodes only. What is being deleted stays as long as its node cannot
   * say that it has ended.
   */
  untilReplicas(count: number, on: readonly string[]): Promise<ReadonlyMap<string, readonly Pod[]>> {
    return until(`${count} Ready pods on ${on.join(', ')}`, async () => {
      const pods = (await this.read<Pod>('pods')).filter(({ metadata }) => metadata?.deletionTimestamp === undefined);
      const isSettled =
        pods.length === count && pods.every((pod) => isReady(pod) && on.includes(pod.spec?.nodeName ?? ''));
      if (!isSettled) return undefined;
      return new Map(on.map((name) => [name, pods.filter(({ spec }) => spec?.nodeName === name)]));
    });
  }

  untilNoneEnds(): Promise<true> {
    return until('what was replaced has ended', async () => {
      const pods = await this.read<Pod>('pods');
      return pods.every(({ metadata }) => metadata?.deletionTimestamp === undefined) ? true : undefined;
    });
  }

  untilNode(name: string, ready: boolean): Promise<true> {
    return until(`node ${name} is ${ready ? '' : 'not '}Ready`, async () => {
      const node = (await this.read<Node>('nodes')).find(({ metadata }) => metadata?.name === name);
      return node !== undefined && isReady(node) === ready ? true : undefined;
    });
  }

  /** SIGTERM for all that runs (also what stands still), and waits for them. */
  async stop(): Promise<void> {
    const started = [...this.#processes.values()];
    for (const { child } of started) {
      child.kill('SIGCONT');
      child.kill('SIGTERM');
    }
    await Promise.all(started.map(({ exited }) => exited));
  }

  /** After `stop`, or instead of it when a test has failed. */
  async close(): Promise<void> {
    await this.stop();
    this.#networks.remove();
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}

export async function until<T>(what: string, look: () => Promise<T | undefined>, msMax = waitMsMax): Promise<T> {
  const endMs = performance.now() + msMax;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    assert.ok(performance.now() < endMs, `not within ${msMax} ms: ${what}`);
    await sleepMs(pollMs);
  }
}

/** Until `look` finds nothing any more; what it found last before. */
export async function untilNone(
  what: string,
  look: () => readonly string[] | Promise<readonly string[]>,
  msMax = waitMsMax,
): Promise<readonly string[]> {
  const endMs = performance.now() + msMax;
  let last: readonly string[] = [];
  for (;;) {
    const found = await look();
    if (found.length === 0) return last;
    last = found;
    assert.ok(performance.now() < endMs, `after ${msMax} ms still some ${what}:\n${found.join('\n')}`);
    await sleepMs(pollMs);
  }
}

export function isReady({ status }: Node | Pod): boolean {
  const conditions: readonly { readonly type: string; readonly status: string }[] = status?.conditions ?? [];
  return conditions.some(({ type, status: state }) => type === 'Ready' && state === 'True');
}

export function nameOf({ metadata }: Pod | Node): string {
  return metadata?.name ?? '';
}

export function uidOf({ metadata }: Pod | Node): string {
  return metadata?.uid ?? '';
}
