import fs from 'node:fs';
import path from 'node:path';
import type { Clock } from '../base/clock.ts';
import { randomHex } from '../base/entropy.ts';
import type { Entropy } from '../base/entropy.ts';
import type { Log } from '../base/log.ts';
import { StatusError } from '../base/status-error.ts';
import { ProcessRuntime } from '../cri/process/process-runtime.ts';
import type { ContainerNotice } from '../cri/process/process-runtime.ts';
import { HostCgroups } from '../host/cgroups.ts';
import type { Cgroups } from '../kubelet/cgroups.ts';
import type { ContainerRuntime } from '../cri/runtime.ts';
import { packageVersion } from './package-version.ts';
import type { RuntimeChoice } from './runtime-choice.ts';

/** A container runtime that is ready for a kubelet, and what its node has to know of it. */
export interface OpenedRuntime {
  readonly runtime: ContainerRuntime;
  /** `process`, or `unix:///...`. */
  readonly name: string;
  /** What its user should know once. Usually empty. */
  readonly notices: readonly string[];
  /** Whether pods share this computer's network, so that two of them cannot listen on one port. */
  readonly sharesHostNetwork: boolean;
  /** Whether pods have addresses that other machines can be sent to over this one, by routes alone. */
  readonly canRoutePods: boolean;
  /** Where pods have control groups, and the one that they lie below: `/livelet-OWNER`. */
  readonly cgroups?: { readonly groups: Cgroups; readonly root: string };
  /** Whether containers run on when this process ends, and the next one takes them over. */
  readonly containersOutlive: boolean;
  /** See `HostNodeFiles`. */
  readonly mountPid?: () => number | undefined;
  close(): Promise<void>;
}

export interface RuntimeDeps {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
}

export interface RuntimeOptions {
  readonly dataDir: string;
  /** Whether a server gives the node the range of its pods' addresses, without which pods have to wait. */
  readonly awaitsPodCidr: boolean;
  /** Something in a container's description that is not carried out. */
  readonly onNotice: (notice: ContainerNotice) => void;
}

/** The images that livelet ships. */
export const imagesDir = path.resolve(import.meta.dirname, '../../images');

/** Errors: `StatusError` whose message says what to do. */
export async function openRuntime(
  choice: RuntimeChoice,
  deps: RuntimeDeps,
  options: RuntimeOptions,
  signal: AbortSignal,
): Promise<OpenedRuntime> {
  if (choice === 'process') return await openProcessRuntime(deps, options, signal);
  return await openCriRuntime(await endpointOf(choice), deps, options, signal);
}

/** The socket that a choice other than `process` means. */
export async function endpointOf(choice: Exclude<RuntimeChoice, 'process'>): Promise<string> {
  if (choice !== 'cri') return choice;
  const { findRuntimeEndpoint, usualEndpoints } = await import('../cri/grpc/runtime-endpoint.ts');
  const found = await findRuntimeEndpoint();
  // Where none is, the first is what one would start.
  return found ?? usualEndpoints[0];
}

/** Real containers. Its libraries are loaded only here: a start with processes does without. */
async function openCriRuntime(
  endpoint: string,
  deps: RuntimeDeps,
  { dataDir }: RuntimeOptions,
  signal: AbortSignal,
): Promise<OpenedRuntime> {
  const { openGrpcRuntime } = await import('../cri/grpc/grpc-runtime.ts');
  try {
    const owner = ownerOf(dataDir, deps.entropy);
    const [runtime, groups] = await Promise.all([
      openGrpcRuntime(deps, { endpoint, owner }, signal),
      HostCgroups.open(),
    ]);
    return {
      runtime,
      name: endpoint,
      ...(groups === undefined ? {} : { cgroups: { groups, root: `/livelet-${owner}` } }),
      notices: [],
      sharesHostNetwork: false,
      canRoutePods: false, // its network is the CNI plugin's business
      containersOutlive: true,
      close: () => runtime.close(),
    };
  } catch (error) {
    if (signal.aborted || !(error instanceof StatusError)) throw error;
    const text = `no container runtime at ${endpoint}: ${error.message}; "livelet node check --runtime ${endpoint}" says what is missing`;
    throw new StatusError(error.reason, text, { cause: error });
  }
}

const ownerFile = 'runtime-owner';

/** Marks what belongs to this data directory in a runtime that others may use too; stays the same for ever. */
function ownerOf(dataDir: string, entropy: Entropy): string {
  const file = path.join(dataDir, ownerFile);
  if (!fs.existsSync(file)) fs.writeFileSync(file, `${randomHex(entropy, 16)}\n`, { mode: 0o600 });
  return fs.readFileSync(file, 'utf8').trim();
}

/** Where the process runtime keeps what it has to remember. */
export function processStateDir(dataDir: string): string {
  return path.join(dataDir, 'runtime');
}

/** Local processes. */
async function openProcessRuntime(
  deps: RuntimeDeps,
  { dataDir, awaitsPodCidr, onNotice }: RuntimeOptions,
  signal: AbortSignal,
): Promise<OpenedRuntime> {
  const stateDir = processStateDir(dataDir);
  const options = { stateDir, imagesDir, version: packageVersion(), awaitsPodCidr, onNotice };
  const runtime = await ProcessRuntime.open(deps, options, signal);
  return {
    runtime,
    name: 'process',
    notices: noticesOf(runtime),
    sharesHostNetwork: runtime.isolation.network === 'host',
    canRoutePods: runtime.isolation.network === 'namespace',
    containersOutlive: false,
    mountPid: () => runtime.mountPid,
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
