import type { ProbeResult } from './prober.ts';

/** The stored results of one type of probe, by container id. Upstream: `results.Manager`. */
export class ResultsCache {
  readonly #results = new Map<string, ProbeResult>();

  get(containerId: string): ProbeResult | undefined {
    return this.#results.get(containerId);
  }

  /** Whether this changed anything. */
  set(containerId: string, result: ProbeResult): boolean {
    if (this.#results.get(containerId) === result) return false;
    this.#results.set(containerId, result);
    return true;
  }

  remove(containerId: string): void {
    this.#results.delete(containerId);
  }
}
