import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { noLog } from '../base/log.ts';
import { ProcessRuntime } from '../cri/process/process-runtime.ts';
import { HostClock } from '../host/host-clock.ts';
import { HostEntropy } from '../host/host-entropy.ts';
import { criNodeChecks, processNodeChecks } from '../host/node-check.ts';
import type { NodeCheck, ProcessFacts } from '../host/node-check.ts';
import { hostFacts } from '../host/node-facts.ts';
import { packageVersion } from './package-version.ts';
import { endpointOf, imagesDir } from './runtimes.ts';
import type { RuntimeChoice } from './runtime-choice.ts';

export type { NodeCheck } from '../host/node-check.ts';

/**
 * What this machine has of what a node with this runtime needs, one thing each. `directory`: where the node's data
 * would be; its disk is looked at.
 */
export async function checkNode(
  runtime: RuntimeChoice,
  directory: string,
  signal: AbortSignal,
): Promise<readonly NodeCheck[]> {
  const host = hostFacts(directory);
  if (runtime === 'process') return processNodeChecks(host, await processFacts(signal));
  const { criFacts } = await import('../host/cri-facts.ts');
  return criNodeChecks(host, await criFacts(new HostClock(), await endpointOf(runtime), signal));
}

/** What the process runtime finds when it is opened, in a directory that is gone after. */
async function processFacts(signal: AbortSignal): Promise<ProcessFacts> {
  const stateDir = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-check-'));
  try {
    const deps = { clock: new HostClock(), entropy: new HostEntropy(), log: noLog };
    const runtime = await ProcessRuntime.open(deps, { stateDir, imagesDir, version: packageVersion() }, signal);
    const { isolation } = runtime;
    await runtime.close();
    return isolation;
  } finally {
    fs.rmSync(stateDir, { recursive: true, force: true });
  }
}
