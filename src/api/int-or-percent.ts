/** A number of pods, or a part of them: `2`, `25%`. Upstream: `intstr.GetScaledValueFromIntOrPercent`. */
export function scaledValue(value: number | string, total: number, round: 'up' | 'down'): number {
  const percent = percentOf(value);
  if (percent === undefined) return typeof value === 'number' ? value : 0; // validated when it was written
  const part = (percent * total) / 100;
  return round === 'up' ? Math.ceil(part) : Math.floor(part);
}

/** `undefined`: it is none. */
export function percentOf(value: number | string): number | undefined {
  return typeof value === 'string' && /^\d+%$/.test(value) ? Number(value.slice(0, -1)) : undefined;
}
