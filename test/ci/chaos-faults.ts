import { SeededEntropy } from '../../src/sim/seeded-entropy.ts';
import { sleepMs } from './livelet-up.ts';
import type { NodesBed } from './nodes-bed.ts';

const disturbedMax = 2; // nodes at one time

/** Does harm, by itself, until its time is over; then everything is well again. */
export class Chaos {
  readonly log: string[] = [];
  readonly #bed: NodesBed;
  readonly #entropy: SeededEntropy;
  readonly #disturbed = new Set<string>();
  readonly #beganMs = performance.now();
  #count = 0;
  /** Called when the server is there again after it was killed. */
  readonly #onServer: () => Promise<void>;

  constructor(bed: NodesBed, seed: string, onServer: () => Promise<void>) {
    this.#bed = bed;
    this.#entropy = new SeededEntropy(seed);
    this.#onServer = onServer;
  }

  /** How much harm was done until now. */
  get count(): number {
    return this.#count;
  }

  /** Nothing of ours keeps it from running, or from its server. */
  isUndisturbed(name: string): boolean {
    return !this.#disturbed.has(name) && !this.#disturbed.has('server');
  }

  async run(forMs: number): Promise<void> {
    const running: Promise<void>[] = [];
    const failures: unknown[] = [];
    while (performance.now() - this.#beganMs < forMs && failures.length === 0) {
      const harm = this.#draw();
      if (harm !== undefined) running.push(harm().catch((error: unknown) => void failures.push(error)));
      await sleepMs(500 + this.#entropy.unit() * 4_000);
    }
    await Promise.all(running);
    if (failures.length > 0) throw failures[0];
  }

  #draw(): (() => Promise<void>) | undefined {
    const free = this.#bed.names.filter((name) => !this.#disturbed.has(name));
    const name = free[Math.floor(this.#entropy.unit() * free.length)] ?? '';
    const kind = this.#entropy.unit();
    const forMs = 300 + this.#entropy.unit() ** 2 * 14_000; // often shorter than a node is waited for, at times longer
    if (kind < 0.2) return this.#disturbed.has('server') ? undefined : () => this.#harmServer(kind < 0.13, forMs / 2);
    if (this.#bed.names.length - free.length >= disturbedMax) return undefined;
    if (kind < 0.5) return () => this.#kill(name, forMs);
    if (kind < 0.72) return () => this.#pause(name, forMs);
    if (kind < 0.94) return () => this.#cut(name, forMs);
    return () => this.#forget(name);
  }

  async #disturb(name: string, what: string, forMs: number, body: () => Promise<void>): Promise<void> {
    this.log.push(`${this.#seconds()} ${name} ${what} for ${(forMs / 1_000).toFixed(1)} s`);
    this.#count++;
    this.#disturbed.add(name);
    await body();
    this.#disturbed.delete(name);
    this.log.push(`${this.#seconds()} ${name} is back`);
  }

  #seconds(): string {
    return ((performance.now() - this.#beganMs) / 1_000).toFixed(1);
  }

  #kill(name: string, forMs: number): Promise<void> {
    return this.#disturb(name, 'is killed', forMs, async () => {
      this.#bed.signal(name, 'SIGKILL');
      await this.#bed.processOf(name).exited;
      await sleepMs(forMs);
      await this.#start(name);
    });
  }

  /** Often it is killed once more, or a few times, before it is there. */
  async #start(name: string): Promise<void> {
    while (this.#entropy.unit() < 0.4) {
      const { child, exited } = this.#bed.launch(name);
      await sleepMs(50 + this.#entropy.unit() * 1_500);
      child.kill('SIGKILL');
      await exited;
      this.log.push(`${this.#seconds()} ${name} is killed while it starts`);
    }
    await this.#bed.launch(name).ready;
  }

  #pause(name: string, forMs: number): Promise<void> {
    return this.#disturb(name, 'is paused', forMs, async () => {
      this.#bed.signal(name, 'SIGSTOP');
      await sleepMs(forMs);
      this.#bed.signal(name, 'SIGCONT');
    });
  }

  #cut(name: string, forMs: number): Promise<void> {
    return this.#disturb(name, 'is cut off', forMs, async () => {
      this.#bed.computer(name).setLink('down');
      await sleepMs(forMs);
      this.#bed.computer(name).setLink('up');
    });
  }

  #harmServer(isKilled: boolean, forMs: number): Promise<void> {
    if (!isKilled) return this.#pause('server', forMs);
    return this.#disturb('server', 'is killed', forMs, async () => {
      this.#bed.signal('server', 'SIGKILL');
      await this.#bed.processOf('server').exited;
      await sleepMs(forMs);
      await this.#start('server');
      await this.#onServer();
    });
  }

  /** Its pods are deleted for good, whether it knows or not. */
  #forget(name: string): Promise<void> {
    return this.#disturb(name, 'is cut off, and its pods forgotten,', 3_000, async () => {
      this.#bed.computer(name).setLink('down');
      const { stdout } = await this.#bed.kubectl(
        'get',
        'pods',
        '--field-selector',
        `spec.nodeName=${name}`,
        '-o',
        'name',
      );
      const pods = stdout.split('\n').filter((line) => line !== '');
      if (pods.length > 0) await this.#bed.kubectl('delete', ...pods, '--force', '--grace-period=0', '--wait=false');
      await sleepMs(3_000);
      this.#bed.computer(name).setLink('up');
    });
  }
}
