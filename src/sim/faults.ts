import type { Entropy } from '../base/entropy.ts';

/** Named places where something may go wrong: `cri.start.lostReply`. */
export interface Faults {
  /** Whether it goes wrong this time. */
  hit(site: string): boolean;
}

/** Nothing goes wrong. */
export const noFaults: Faults = { hit: () => false };

const armedShare = 0.25; // of the sites, in a run: one kind of noise can hide another bug
const firesShare = 0.25; // of the times that an armed site is passed

/** Each site has a stream of its own, so that taking one out leaves the others as they were. */
export class SeededFaults implements Faults {
  readonly #entropy: Entropy;
  readonly #sites = new Map<string, { readonly isArmed: boolean; readonly entropy: Entropy }>();
  readonly #disarmed: ReadonlySet<string>;
  readonly #fired: string[] = [];
  #isHealed = false;

  /** `disarmed`: sites that stay quiet whatever the seed says, to find the smallest set that still fails. */
  constructor(entropy: Entropy, disarmed: ReadonlySet<string> = new Set()) {
    this.#entropy = entropy;
    this.#disarmed = disarmed;
  }

  hit(site: string): boolean {
    let state = this.#sites.get(site);
    if (state === undefined) {
      const entropy = this.#entropy.fork(site);
      state = { isArmed: entropy.unit() < armedShare, entropy };
      this.#sites.set(site, state);
    }
    const fires = state.isArmed && state.entropy.unit() < firesShare && !this.#isHealed && !this.#disarmed.has(site);
    if (fires) this.#fired.push(site);
    return fires;
  }

  /** From now on nothing goes wrong: the second phase of a run. */
  heal(): void {
    this.#isHealed = true;
  }

  /** Every site passed so far, in the order in which they were first passed. */
  get sites(): readonly { readonly site: string; readonly isArmed: boolean }[] {
    return [...this.#sites].map(([site, { isArmed }]) => ({ site, isArmed }));
  }

  /** The sites that fired, in order, each as often as it did. */
  get fired(): readonly string[] {
    return this.#fired;
  }
}
