import { Code } from '@connectrpc/connect';
import { callMs } from './call-deadlines.ts';
import type { RpcConnection } from './rpc-connection.ts';
import { RpcError } from './rpc-errors.ts';

const systemdDriver = 0; // of CRI's enum CgroupDriver

/** Spells a sandbox's `cgroupParent` as the runtime wants it. */
export class CgroupParents {
  readonly #rpc: RpcConnection;
  #isSystemd: boolean | undefined; // once it is known: no runtime changes it while containers run

  constructor(rpc: RpcConnection) {
    this.#rpc = rpc;
  }

  /** `path`: as the cgroup file system has it. */
  async spell(path: string, signal: AbortSignal): Promise<string> {
    this.#isSystemd ??= await this.#usesSystemd(signal);
    return this.#isSystemd ? slicePath(path) : path;
  }

  async #usesSystemd(signal: AbortSignal): Promise<boolean> {
    const { runtime } = this.#rpc;
    try {
      const { linux } = await this.#rpc.call('runtimeConfig', callMs, signal, (options) =>
        runtime.runtimeConfig({}, options),
      );
      return linux?.cgroupDriver === systemdDriver;
    } catch (error) {
      // Before containerd 2.0; it shows its configuration instead.
      if (!(error instanceof RpcError) || error.code !== Code.Unimplemented) throw error;
    }
    const { info } = await this.#rpc.call('status', callMs, signal, (options) =>
      runtime.status({ verbose: true }, options),
    );
    return configUsesSystemd(info['config']);
  }
}

/** `/kubepods/burstable/podA-B` is `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podA_B.slice`. */
export function slicePath(path: string): string {
  const names = path
    .split('/')
    .filter((name) => name !== '')
    .map((name) => name.replaceAll('-', '_'));
  return names.map((_, index) => `/${names.slice(0, index + 1).join('-')}.slice`).join('');
}

/** `json`: what containerd says of its CRI part. Others say nothing of the kind, and have the other driver. */
export function configUsesSystemd(json: string | undefined): boolean {
  let config: unknown;
  try {
    config = JSON.parse(json ?? '');
  } catch {
    return false; // no containerd
  }
  const containerd = fieldOf(config, 'containerd');
  const runtime = fieldOf(fieldOf(containerd, 'runtimes'), String(fieldOf(containerd, 'defaultRuntimeName')));
  return fieldOf(fieldOf(runtime, 'options'), 'SystemdCgroup') === true;
}

function fieldOf(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null
    ? new Map<string, unknown>(Object.entries(value)).get(key)
    : undefined;
}
