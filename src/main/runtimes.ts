import path from 'node:path';
import type { Clock } from '../base/clock.ts';
import type { Entropy } from '../base/entropy.ts';
import type { Log } from '../base/log.ts';
import { ProcessRuntime } from '../cri/process/process-runtime.ts';
import type { ContainerNotice } from '../cri/process/process-runtime.ts';
import type { ContainerRuntime } from '../cri/runtime.ts';
import { packageVersion } from './package-version.ts';

/** A container runtime that is ready for a kubelet, and what its node has to know of it. */
export interface OpenedRuntime {
  readonly runtime: ContainerRuntime;
  /** What its user should know once. Usually empty. */
  readonly notices: readonly string[];
  /** Whether pods share this computer's network, so that two of them cannot listen on one port. */
  readonly sharesHostNetwork: boolean;
  close(): Promise<void>;
}

export interface RuntimeDeps {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
}

export interface RuntimeOptions {
  readonly dataDir: string;
  /** Something in a container's description that is not carried out. */
  readonly onNotice: (notice: ContainerNotice) => void;
}

const imagesDir = path.resolve(import.meta.dirname, '../../images');

/** Local processes. */
export async function openProcessRuntime(
  deps: RuntimeDeps,
  { dataDir, onNotice }: RuntimeOptions,
  signal: AbortSignal,
): Promise<OpenedRuntime> {
  const stateDir = path.join(dataDir, 'runtime');
  const runtime = await ProcessRuntime.open(deps, { stateDir, imagesDir, version: packageVersion(), onNotice }, signal);
  return {
    runtime,
    notices: noticesOf(runtime),
    sharesHostNetwork: runtime.isolation.network === 'host',
    close: () => runtime.close(),
  };
}

function noticesOf(runtime: ProcessRuntime): string[] {
  const { kind, network, reason } = runtime.isolation;
  const notices: string[] = [];
  if (kind === 'none') {
    notices.push(
      `containers are plain process groups, not isolated (${reason}); ` +
        'an app without a SIGTERM handler dies of SIGTERM (143), where in a container it would survive until SIGKILL (137)',
    );
  }
  if (network === 'host') {
    notices.push("pods share this computer's network, so that two of them cannot listen on one port");
  }
  if (kind !== 'none' && network === 'namespace' && reason !== '') notices.push(reason);
  return notices;
}
