/** A process that runs the seeds it is told, one after the other, and says what came of each. */
import { runClusterSeed } from './clusters/run-cluster-seed.ts';
import { runSeed } from './run-seed.ts';

Error.stackTraceLimit = 0; // the message says which rule was broken; traces of all that gets lost take time

/** What to run. `nodesMax`: a cluster of several nodes; without it, of one. */
export interface SeedRun {
  readonly seed: string;
  readonly nodesMax?: number;
  /** Fault sites that stay quiet. */
  readonly disarmed?: readonly string[];
}

/** `failure`: the rule that was broken. */
export interface SeedVerdict {
  readonly failure?: string;
  /** What was armed, and how long it took in virtual time. */
  readonly result?: { readonly trace: string };
}

async function verdictOf({ seed, nodesMax, disarmed = [] }: SeedRun): Promise<SeedVerdict> {
  try {
    const quiet = new Set(disarmed);
    if (nodesMax === undefined) return { result: await runSeed(seed, quiet) };
    return { result: await runClusterSeed(seed, { disarmed: quiet, nodesMax }) };
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) };
  }
}

process.on('message', (run: SeedRun) => {
  void verdictOf(run).then((verdict) => process.send?.(verdict));
});
