/**
 * RFC 3339 as Kubernetes writes it: `metav1.Time` with whole seconds, `metav1.MicroTime` with six decimals, both in
 * UTC.
 */

/** Milliseconds since 1970 -> `2026-01-02T03:04:05Z` (the fraction is cut off). */
export function formatTime(wallMs: number): string {
  return `${new Date(Math.floor(wallMs / 1000) * 1000).toISOString().slice(0, 19)}Z`;
}

/** Milliseconds since 1970 (may have a fraction) -> `2026-01-02T03:04:05.123456Z`. */
export function formatMicroTime(wallMs: number): string {
  const micros = Math.floor(wallMs * 1000 + 1e-4); // half a unit in the last place of today's times: 1.7e12 ms
  const seconds = Math.floor(micros / 1e6);
  const text = new Date(seconds * 1000).toISOString().slice(0, 19);
  return `${text}.${String(micros - seconds * 1e6).padStart(6, '0')}Z`;
}

/** Any RFC 3339 text -> milliseconds since 1970, with a fraction where it has one; `undefined` if it is none. */
export function parseTime(text: string): number | undefined {
  const parsed = parseGoTime(text, rfc3339);
  return parsed.error === undefined ? parsed.wallMs : undefined;
}

export const rfc3339 = '2006-01-02T15:04:05Z07:00';
export const rfc3339Micro = '2006-01-02T15:04:05.000000Z07:00';

type Layout = typeof rfc3339 | typeof rfc3339Micro;
type ParsedTime =
  | { readonly error: undefined; readonly wallMs: number }
  /** As Go's `time.Parse` words it. */
  | { readonly error: string };

interface Part {
  /** Go's name for it in layouts, which its errors quote. */
  readonly layout: string;
  readonly pattern: RegExp;
  /** Name for "… out of range", and the bounds. */
  readonly range?: readonly [name: string, min: number, max: number];
}

const dateParts: readonly Part[] = [
  { layout: '2006', pattern: /^\d{4}/ },
  { layout: '-', pattern: /^-/ },
  { layout: '01', pattern: /^\d\d/, range: ['month', 1, 12] },
  { layout: '-', pattern: /^-/ },
  { layout: '02', pattern: /^\d\d/ },
  { layout: 'T', pattern: /^T/ },
  { layout: '15', pattern: /^\d\d?/, range: ['hour', 0, 23] },
  { layout: ':', pattern: /^:/ },
  { layout: '04', pattern: /^\d\d/, range: ['minute', 0, 59] },
  { layout: ':', pattern: /^:/ },
  { layout: '05', pattern: /^\d\d/, range: ['second', 0, 59] },
];
const optionalFraction: Part = { layout: '', pattern: /^(?:[.,]\d+)?/ };
const microFraction: Part = { layout: '.000000', pattern: /^[.,]\d{6}/ };
const zone: Part = { layout: 'Z07:00', pattern: /^(?:Z|[+-]\d\d:\d\d)/ };

const partsByLayout: Readonly<Record<Layout, readonly Part[]>> = {
  [rfc3339]: [...dateParts, optionalFraction, zone],
  [rfc3339Micro]: [...dateParts, microFraction, zone],
};

const daysByMonth = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

function dayIsValid(year: number, month: number, day: number): boolean {
  if (day < 1 || day > (daysByMonth[month - 1] ?? 0)) return false;
  return month !== 2 || day < 29 || (year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0));
}

function zoneOffsetMs(text: string): number | undefined {
  if (text === 'Z') return 0;
  const hours = Number(text.slice(1, 3));
  const minutes = Number(text.slice(4, 6));
  if (hours > 24 || minutes > 60) return undefined;
  return (text.startsWith('-') ? -1 : 1) * (hours * 60 + minutes) * 60_000;
}

/** Reads `text` by a Go layout; a failure has Go's words. */
export function parseGoTime(text: string, layout: Layout): ParsedTime {
  const fail = (rest: string, part: string): ParsedTime => ({
    error: `parsing time ${JSON.stringify(text)} as ${JSON.stringify(layout)}: cannot parse ${JSON.stringify(rest)} as ${JSON.stringify(part)}`,
  });
  const outOfRange = (name: string): ParsedTime => ({
    error: `parsing time ${JSON.stringify(text)}: ${name} out of range`,
  });
  const values: string[] = [];
  let rest = text;
  for (const part of partsByLayout[layout]) {
    const found = part.pattern.exec(rest)?.[0];
    if (found === undefined) return fail(rest, part.layout);
    if (part.range !== undefined && (Number(found) < part.range[1] || Number(found) > part.range[2])) {
      return outOfRange(part.range[0]);
    }
    values.push(found);
    rest = rest.slice(found.length);
  }
  if (rest !== '') return { error: `parsing time ${JSON.stringify(text)}: extra text: ${JSON.stringify(rest)}` };
  const [year, , month, , day, , hour, , minute, , second, fraction, zoneText] = values;
  if (!dayIsValid(Number(year), Number(month), Number(day))) return outOfRange('day');
  const offsetMs = zoneOffsetMs(zoneText ?? 'Z');
  if (offsetMs === undefined) return outOfRange('time zone offset');
  const fractionMs = fraction === undefined || fraction === '' ? 0 : Number(`0.${fraction.slice(1)}`) * 1000;
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day)); // Date.UTC would read years below 100 as 19xx
  date.setUTCHours(Number(hour), Number(minute), Number(second));
  return { error: undefined, wallMs: date.getTime() - offsetMs + fractionMs };
}

const wholeSecondsUtc = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ$/;
const microsUtc = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}Z$/;

/**
 * Whether `text` is already what `formatTime` (`formatMicroTime` with `micro`) writes; days 29-31 take the long way.
 */
export function isCanonicalTime(text: string, micro: boolean): boolean {
  return (micro ? microsUtc : wholeSecondsUtc).test(text);
}
