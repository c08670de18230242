/**
 * The machine's control groups as the kubelet needs them: groups that hold the containers of pods. Paths are as in a
 * sandbox's `cgroupParent`: `/kubepods/burstable/podUID`. Adapter: `host/cgroups.ts`. Failures are `StatusError`s.
 */
export interface Cgroups {
  /** Makes the group and those above it, and sets its values; what is `undefined` is left as it is. Idempotent. */
  apply(path: string, limits: CgroupLimits): Promise<void>;
  /** With all below it. A group in which something still runs stays, and so do those above it. Idempotent. */
  remove(path: string): Promise<void>;
  /** The names of the groups right below; none if there is no such group. */
  list(path: string): Promise<readonly string[]>;
}

export interface CgroupLimits {
  /** 2 to 262,144, against those of its siblings. Upstream: `cpu.shares`. */
  readonly cpuShares?: number;
  /** How long it may run in each period; both or none. */
  readonly cpuQuotaMicros?: number;
  readonly cpuPeriodMicros?: number;
  readonly memoryLimitBytes?: number;
}
