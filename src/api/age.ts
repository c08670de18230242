import { parseTime } from './time.ts';

function withRest(count: number, unit: string, rest: number, restUnit: string): string {
  return rest === 0 ? `${count}${unit}` : `${count}${unit}${rest}${restUnit}`;
}

/**
 * A duration for people, as in every AGE column: `119s`, `2m5s`, `10m`, `3h1m`, `8h`, `2d1h`, `8d`, `2y1d`. Just
 * below zero is `0s`, further below `<invalid>`. Upstream: `duration.HumanDuration`.
 */
export function humanDuration(durationMs: number): string {
  const seconds = Math.trunc(durationMs / 1_000);
  if (seconds < -1) return '<invalid>';
  if (seconds < 0) return '0s';
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return withRest(minutes, 'm', seconds % 60, 's');
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 8) return withRest(hours, 'h', minutes % 60, 'm');
  if (hours < 48) return `${hours}h`;
  const days = Math.floor(hours / 24);
  if (days < 8) return withRest(days, 'd', hours % 24, 'h');
  if (days < 365 * 2) return `${days}d`;
  const years = Math.floor(days / 365);
  if (years < 8) return withRest(years, 'y', days % 365, 'd');
  return `${years}y`;
}

/** How long ago `timestamp` (RFC 3339) was; `<unknown>` when there is none. Upstream: `translateTimestampSince`. */
export function ageOf(timestamp: string | null | undefined, nowWallMs: number): string {
  const thenMs = timestamp === undefined || timestamp === null ? undefined : parseTime(timestamp);
  return thenMs === undefined ? '<unknown>' : humanDuration(nowWallMs - thenMs);
}
