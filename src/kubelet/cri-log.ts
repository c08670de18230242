/**
 * The lines of a container's log file: `2016-10-06T00:17:09.669794202Z stdout F text`, or Docker's JSON
 * (`{"log":"text\n","stream":"stdout","time":"..."}`). Section 7.3 of the behaviour sheet.
 */
export interface LogLine {
  /** As written. */
  readonly time: string;
  /** The text, with its newline unless it is a piece of a longer line. */
  readonly content: Uint8Array;
  /** A piece that the next one continues. */
  readonly isPartial: boolean;
}

const space = 0x20;
const newline = 0x0a;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Reads one stored line (without or with its final newline); `undefined`: not a log line. */
export function parseLogLine(stored: Uint8Array): LogLine | undefined {
  const line = stored.at(-1) === newline ? stored.subarray(0, -1) : stored;
  if (line[0] === 0x7b) return parseJsonLine(line);
  const afterTime = line.indexOf(space);
  const afterStream = afterTime < 0 ? -1 : line.indexOf(space, afterTime + 1);
  const afterTags = afterStream < 0 ? -1 : line.indexOf(space, afterStream + 1);
  if (afterTags < 0) return undefined;
  const stream = decoder.decode(line.subarray(afterTime + 1, afterStream));
  if (stream !== 'stdout' && stream !== 'stderr') return undefined;
  const [tag] = decoder.decode(line.subarray(afterStream + 1, afterTags)).split(':');
  const isPartial = tag === 'P';
  const text = line.subarray(afterTags + 1);
  return {
    time: decoder.decode(line.subarray(0, afterTime)),
    content: isPartial ? text : withNewline(text),
    isPartial,
  };
}

function withNewline(text: Uint8Array): Uint8Array {
  const whole = new Uint8Array(text.length + 1);
  whole.set(text);
  whole[text.length] = newline;
  return whole;
}

function parseJsonLine(line: Uint8Array): LogLine | undefined {
  try {
    const parsed: unknown = JSON.parse(decoder.decode(line));
    if (typeof parsed !== 'object' || parsed === null || !('log' in parsed) || !('time' in parsed)) return undefined;
    const { log, time } = parsed;
    if (typeof log !== 'string' || typeof time !== 'string') return undefined;
    return { time, content: encoder.encode(log), isPartial: !log.endsWith('\n') };
  } catch {
    return undefined; // not JSON after all
  }
}

/** Splits bytes into stored lines, each with its newline; the last one may lack it. */
export function splitLines(bytes: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  let start = 0;
  for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, start)) {
    lines.push(bytes.subarray(start, end + 1));
    start = end + 1;
  }
  if (start < bytes.length) lines.push(bytes.subarray(start));
  return lines;
}

/** Nanoseconds since 1970 of an RFC 3339 text with up to nine decimals; `undefined` if it is none. */
export function nanosOf(time: string): bigint | undefined {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(time);
  if (match === null) return undefined;
  const [, seconds = '', fraction = '', zone = ''] = match;
  const wallMs = Date.parse(`${seconds}${zone}`);
  if (Number.isNaN(wallMs)) return undefined;
  return BigInt(wallMs) * 1_000_000n + BigInt(fraction.padEnd(9, '0'));
}

/** The same instant with always nine decimals, as `kubectl logs --timestamps` shows it. */
export function nineDecimals(time: string): string {
  const match = /^(.*T\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(time);
  if (match === null) return time;
  return `${match[1]}.${(match[2] ?? '').padEnd(9, '0')}${match[3]}`;
}
