import { ageOf } from '../../api/age.ts';
import { parseTime } from '../../api/time.ts';
import { describeLayout, escapeTerminal, TabWriter } from './tab-writer.ts';

/** What a description needs to know of its surroundings. */
export interface DescribeContext {
  readonly nowMs: number;
  /** Minutes east of UTC at an instant; kubectl prints times in the local zone. */
  readonly zoneMinutesAt: (wallMs: number) => number;
}

/** The local zone of this computer. */
export function localZoneMinutesAt(wallMs: number): number {
  return -new Date(wallMs).getTimezoneOffset();
}

/** Writes lines at levels of indentation, two spaces each; cells end in tabs. Upstream: `describe.PrefixWriter`. */
export class DescribeWriter {
  readonly context: DescribeContext;
  readonly #tabs = new TabWriter(describeLayout);
  #laidOut = '';

  readonly #aligned: boolean;

  /** `aligned` false: cells stay as they are, with their tabs. */
  constructor(context: DescribeContext, aligned = true) {
    this.context = context;
    this.#aligned = aligned;
  }

  /** `text` as it is, without an end of line. */
  raw(text: string): void {
    if (this.#aligned) this.#tabs.write(escapeTerminal(text));
    else this.#laidOut += escapeTerminal(text);
  }

  line(level: number, text: string): void {
    this.raw(`${'  '.repeat(level)}${text}\n`);
  }

  /** Columns do not reach over this point. */
  flush(): void {
    this.#laidOut += this.#tabs.flush();
  }

  /** The whole description. */
  text(): string {
    this.flush();
    return this.#laidOut;
  }

  /** `Sat, 21 Nov 2026 20:03:22 +0000`; Go's zero time if there is none. */
  time(timestamp: string | null | undefined): string {
    return rfc1123z(wallMsOf(timestamp) ?? zeroTimeMs, this.context.zoneMinutesAt);
  }

  /** `6m2s`, or `<unknown>`. */
  since(timestamp: string | null | undefined): string {
    return ageOf(timestamp, this.context.nowMs);
  }

  /** `Labels:  a=b`, one a line, sorted, `<none>` without any. */
  labels(title: string, labels: Readonly<Record<string, string>> | undefined): void {
    this.multiline(
      title,
      Object.entries(labels ?? {})
        .sort(byKey)
        .map(([key, value]) => `${key}=${value}`),
    );
  }

  /** `Title:  first`, then each other item on a line of its own below it; `<none>` without any. */
  multiline(title: string, items: readonly string[]): void {
    if (items.length === 0) this.line(0, `${title}:\t<none>`);
    items.forEach((item, index) => this.line(0, `${index === 0 ? `${title}:` : ''}\t${item}`));
  }

  annotations(title: string, annotations: Readonly<Record<string, string>> | undefined): void {
    const shown = Object.entries(annotations ?? {})
      .filter(([key]) => key !== lastAppliedAnnotation)
      .sort(byKey);
    this.raw(`${title}:\t`);
    if (shown.length === 0) this.raw('<none>\n');
    shown.forEach(([key, withNewline], index) => {
      if (index > 0) this.raw('\t');
      const value = withNewline.endsWith('\n') ? withNewline.slice(0, -1) : withNewline;
      if (value.length + key.length + 2 <= annotationCharsMax && !value.includes('\n')) {
        this.raw(`${key}: ${value}\n`);
        return;
      }
      this.raw(`${key}:\n`);
      for (const line of value.split('\n')) this.raw(`\t  ${shorten(line, annotationCharsMax - 2)}\n`);
    });
  }
}

/** Set by `kubectl apply`; never shown. */
export const lastAppliedAnnotation = 'kubectl.kubernetes.io/last-applied-configuration';

const annotationCharsMax = 140;
const zeroTimeMs = Date.parse('0001-01-01T00:00:00Z'); // Go's zero time, which kubectl prints as it is

function shorten(text: string, charsMax: number): string {
  return text.length > charsMax ? `${text.slice(0, charsMax)}...` : text;
}

/** Orders entries by their key, by code unit, as Go sorts strings. */
export function byKey(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  return a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0;
}

/** Milliseconds since 1970, or `undefined` for no time. */
export function wallMsOf(timestamp: string | null | undefined): number | undefined {
  return timestamp === undefined || timestamp === null ? undefined : parseTime(timestamp);
}

const dayNames = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const monthNames = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** Go's `time.RFC1123Z`. */
export function rfc1123z(wallMs: number, zoneMinutesAt: (wallMs: number) => number): string {
  const zoneMinutes = zoneMinutesAt(wallMs);
  const local = new Date(wallMs + zoneMinutes * 60_000);
  const two = (value: number): string => String(value).padStart(2, '0');
  const east = Math.abs(zoneMinutes);
  const zone = `${zoneMinutes < 0 ? '-' : '+'}${two(Math.trunc(east / 60))}${two(east % 60)}`;
  const year = String(local.getUTCFullYear()).padStart(4, '0');
  const date = `${two(local.getUTCDate())} ${monthNames[local.getUTCMonth()]} ${year}`;
  const time = `${two(local.getUTCHours())}:${two(local.getUTCMinutes())}:${two(local.getUTCSeconds())}`;
  return `${dayNames[local.getUTCDay()]}, ${date} ${time} ${zone}`;
}
