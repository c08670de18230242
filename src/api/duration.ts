/** Go's `time.Duration` texts. */

const nanosByUnit: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3_600e9,
};

function trimFraction(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

/**
 * Milliseconds -> `1.5s`, `1m20s`, `5m0s`, `2h0m0s`, `150ms`, `0s`. Nanoseconds are the finest. Upstream:
 * `Duration.String`.
 */
export function formatDuration(durationMs: number): string {
  const nanos = Math.round(Math.abs(durationMs) * 1e6);
  if (nanos === 0) return '0s';
  const sign = durationMs < 0 ? '-' : '';
  if (nanos < 1e3) return `${sign}${nanos}ns`;
  if (nanos < 1e6) return `${sign}${trimFraction((nanos / 1e3).toFixed(3))}µs`;
  if (nanos < 1e9) return `${sign}${trimFraction((nanos / 1e6).toFixed(6))}ms`;
  const wholeSeconds = Math.floor(nanos / 1e9);
  const fraction = trimFraction(((nanos - wholeSeconds * 1e9) / 1e9).toFixed(9)).slice(1);
  const hours = Math.floor(wholeSeconds / 3600);
  const minutes = Math.floor(wholeSeconds / 60) % 60;
  const seconds = `${wholeSeconds % 60}${fraction}s`;
  if (hours > 0) return `${sign}${hours}h${minutes}m${seconds}`;
  return minutes > 0 ? `${sign}${minutes}m${seconds}` : sign + seconds;
}

const durationText = /^[+-]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/;
const durationTerm = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g;

/**
 * `1m20s`, `1.5h`, `-300ms`, `0` -> milliseconds; `undefined` if it is no Go duration. Upstream: `time.ParseDuration`.
 */
export function parseDuration(text: string): number | undefined {
  if (!durationText.test(text)) return undefined;
  let nanos = 0;
  for (const [, number, unit] of text.matchAll(durationTerm)) {
    nanos += Math.round(Number(number) * (nanosByUnit[unit ?? ''] ?? 0));
  }
  return (text.startsWith('-') ? -nanos : nanos) / 1e6;
}
