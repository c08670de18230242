import path from 'node:path';
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import { StatusError } from '../../base/status-error.ts';
import { GroupLauncher } from './group-launcher.ts';
import type { Launcher } from './launcher.ts';
import { rememberLauncher } from './leftovers.ts';
import { NamespaceLauncher } from './namespace-launcher.ts';
import { PodNetwork } from './pod-network.ts';

export interface LauncherChoice {
  readonly stateDir: string;
  /** `auto`: the best that this machine permits. Others: that, or an error. Default `auto`. */
  readonly isolation?: 'auto' | 'root' | 'user' | 'none' | undefined;
  /** Whether pods have no addresses before the node's range is known. Default: no, there is a default for it. */
  readonly awaitsPodCidr?: boolean | undefined;
  /** `auto`: an address for each pod when root and possible. `namespace`: that, or an error. Default `auto`. */
  readonly network?: 'auto' | 'host' | 'namespace' | undefined;
}

/** `podCidr`: the range of pods' addresses, where it is known. Finds out what this machine permits by doing it: the first attempt that works is kept. Some 20 ms. */
export async function openLauncher(
  deps: { readonly clock: Clock; readonly log: Log },
  choice: LauncherChoice,
  podCidr: string | undefined,
): Promise<Launcher> {
  const isolation = choice.isolation ?? 'auto';
  const directory = path.join(choice.stateDir, 'run');
  let reason = isolation === 'none' ? 'asked for' : 'only Linux has namespaces';
  if (process.platform === 'linux' && isolation !== 'none') {
    if (directory.includes('\n')) throw new StatusError('BadRequest', 'the state directory has a newline in its name');
    const isRoot = process.getuid?.() === 0;
    const ways = isolation === 'auto' ? (isRoot ? (['root', 'user'] as const) : (['user'] as const)) : [isolation];
    for (const way of ways) {
      const opened = await openNamespaces(deps, directory, way, choice, podCidr);
      if (typeof opened !== 'string') return opened;
      reason = opened;
    }
  }
  if ((isolation !== 'auto' && isolation !== 'none') || choice.network === 'namespace') {
    throw new StatusError('ServiceUnavailable', `containers cannot be isolated as asked for: ${reason}`);
  }
  return await GroupLauncher.open(deps, { directory, reason });
}

async function openNamespaces(
  deps: { readonly clock: Clock; readonly log: Log },
  directory: string,
  way: 'root' | 'user',
  choice: LauncherChoice,
  podCidr: string | undefined,
): Promise<Launcher | string> {
  const wantsNetwork = way === 'root' && choice.network !== 'host';
  const network = wantsNetwork ? await PodNetwork.claim({ podCidr, awaitsCidr: choice.awaitsPodCidr }) : undefined;
  const launcher = await NamespaceLauncher.open(deps, { directory, as: way, network });
  if (typeof launcher === 'string') {
    await network?.close();
    return launcher;
  }
  await Promise.all([launcher.warmUp(), rememberLauncher(choice.stateDir, launcher.pid)]);
  if (choice.network === 'namespace' && launcher.isolation.network !== 'namespace') {
    await launcher.close();
    return launcher.isolation.reason || 'only root can give pods a network of their own';
  }
  return launcher;
}
