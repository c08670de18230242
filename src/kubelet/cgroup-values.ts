/** How quantities of CPU become values of control groups. Upstream: `MilliCPUToShares`, `MilliCPUToQuota`. */

export const cpuPeriodMicros = 100_000;
const cpuSharesMin = 2;
const cpuSharesMax = 262_144;
const cpuQuotaMicrosMin = 1_000;

export function cpuSharesOf(milliCpu: number): number {
  return Math.min(cpuSharesMax, Math.max(cpuSharesMin, Math.floor((milliCpu * 1_024) / 1_000)));
}

export function cpuQuotaMicrosOf(milliCpu: number): number {
  return Math.max(cpuQuotaMicrosMin, Math.floor((milliCpu * cpuPeriodMicros) / 1_000));
}
