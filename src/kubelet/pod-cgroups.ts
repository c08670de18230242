import type { Pod } from '../api/gen/types.ts';
import { effectivePodRequests, podLimitsOf } from '../api/pod-resources.ts';
import { qosClassOf } from '../api/qos.ts';
import type { QosClass } from '../api/qos.ts';
import { quantityMilliValue, quantityOf, quantityValue } from '../api/quantity.ts';
import { cpuPeriodMicros, cpuQuotaMicrosOf, cpuSharesOf } from './cgroup-values.ts';
import type { CgroupLimits, Cgroups } from './cgroups.ts';
import { containersOf, podUidOf } from './pod-names.ts';

interface KnownPod {
  readonly path: string;
  readonly qosClass: QosClass;
  readonly cpuMilli: number; // of its requests
}

const podPrefix = 'pod'; // podUID
const qosClasses: readonly QosClass[] = ['Guaranteed', 'Burstable', 'BestEffort'];

/**
 * Control groups of pods, by quality of service, for runtimes that put containers below a group that they are told:
 *
 *     /kubepods                      the node's allocatable
 *     /kubepods/podUID               Guaranteed
 *     /kubepods/burstable/podUID     shares: what all burstable pods request
 *     /kubepods/besteffort/podUID    shares: the least
 *
 * Upstream: `QOSContainerManager` and `PodContainerManager`.
 */
export class PodCgroups {
  readonly #cgroups: Cgroups;
  readonly #root: string;
  readonly #allocatable: Readonly<Record<string, string>>;
  readonly #known = new Map<string, KnownPod>(); // by pod uid
  #base: Promise<void> | undefined; // of the groups above those of pods

  /** `root`: `/kubepods`, below upstream's `--cgroup-root`. */
  constructor(cgroups: Cgroups, root: string, allocatable: Readonly<Record<string, string>>) {
    this.#cgroups = cgroups;
    this.#root = root;
    this.#allocatable = allocatable;
  }

  /** Makes the pod's group if this kubelet has not yet; returns its path. */
  async ensure(pod: Pod): Promise<string> {
    const podUid = podUidOf(pod);
    const known = this.#known.get(podUid);
    if (known !== undefined) return known.path;
    await this.#ensureBase();
    const spec = pod.spec ?? { containers: [] };
    const qosClass = qosClassOf(spec);
    const path = `${this.#classPath(qosClass)}/${podPrefix}${podUid}`;
    await this.#cgroups.apply(path, podLimits(pod, qosClass));
    const cpuMilli = quantityMilliValue(effectivePodRequests(spec).get('cpu') ?? quantityOf(undefined));
    this.#known.set(podUid, { path, qosClass, cpuMilli });
    if (qosClass === 'Burstable') await this.#shareAmongBurstable();
    return path;
  }

  /** Nothing of it runs any more. What the kernel still holds goes with a later `cleanUp`. */
  async remove(podUid: string): Promise<void> {
    const known = this.#known.get(podUid);
    this.#known.delete(podUid);
    // Of a pod that an earlier kubelet started it is not known here in which class it is.
    const classes: readonly QosClass[] = known === undefined ? qosClasses : [known.qosClass];
    for (const name of classes) await this.#cgroups.remove(`${this.#classPath(name)}/${podPrefix}${podUid}`);
    if (known?.qosClass === 'Burstable') await this.#shareAmongBurstable();
  }

  /** Removes the groups of pods that are not known any more, of earlier kubelets too. */
  async cleanUp(isKnown: (podUid: string) => boolean): Promise<void> {
    for (const qosClass of qosClasses) {
      const directory = this.#classPath(qosClass);
      for (const name of await this.#cgroups.list(directory)) {
        if (!name.startsWith(podPrefix) || isKnown(name.slice(podPrefix.length))) continue;
        await this.#cgroups.remove(`${directory}/${name}`);
      }
    }
  }

  #classPath(qosClass: QosClass): string {
    return qosClass === 'Guaranteed' ? this.#root : `${this.#root}/${qosClass.toLowerCase()}`;
  }

  async #ensureBase(): Promise<void> {
    this.#base ??= this.#applyBase();
    try {
      await this.#base;
    } catch (error) {
      this.#base = undefined; // the next pod tries again
      throw error;
    }
  }

  async #applyBase(): Promise<void> {
    const memoryLimitBytes = quantityValue(quantityOf(this.#allocatable['memory']));
    await this.#cgroups.apply(this.#root, {
      cpuShares: cpuSharesOf(quantityMilliValue(quantityOf(this.#allocatable['cpu']))),
      ...(memoryLimitBytes === 0 ? {} : { memoryLimitBytes }),
    });
    await this.#cgroups.apply(this.#classPath('BestEffort'), { cpuShares: cpuSharesOf(0) });
    await this.#shareAmongBurstable();
  }

  async #shareAmongBurstable(): Promise<void> {
    const cpuMilli = [...this.#known.values()]
      .filter(({ qosClass }) => qosClass === 'Burstable')
      .reduce((sum, pod) => sum + pod.cpuMilli, 0);
    await this.#cgroups.apply(this.#classPath('Burstable'), { cpuShares: cpuSharesOf(cpuMilli) });
  }
}

/** A limit of the whole pod counts where it has one itself, or every container. Upstream: `ResourceConfigForPod`. */
export function podLimits(pod: Pod, qosClass: QosClass): CgroupLimits {
  const spec = pod.spec ?? { containers: [] };
  if (qosClass === 'BestEffort') return { cpuShares: cpuSharesOf(0) };
  const limitOf = (name: 'cpu' | 'memory'): string | undefined => spec.resources?.limits?.[name];
  const isLimited = (name: 'cpu' | 'memory'): boolean =>
    limitOf(name) !== undefined ||
    containersOf(pod).every(({ container }) => container.resources?.limits?.[name] !== undefined);
  const limits = podLimitsOf(spec);
  const amountOf = (name: 'cpu' | 'memory') =>
    limitOf(name) === undefined ? (limits.get(name) ?? quantityOf(undefined)) : quantityOf(limitOf(name));
  const requested = effectivePodRequests(spec).get('cpu') ?? quantityOf(undefined);
  const cpuMilli = quantityMilliValue(amountOf('cpu'));
  const memoryLimitBytes = quantityValue(amountOf('memory'));
  return {
    cpuShares: cpuSharesOf(quantityMilliValue(requested)),
    ...(isLimited('cpu') && cpuMilli > 0 ? { cpuQuotaMicros: cpuQuotaMicrosOf(cpuMilli), cpuPeriodMicros } : {}),
    ...(isLimited('memory') && memoryLimitBytes > 0 ? { memoryLimitBytes } : {}),
  };
}
