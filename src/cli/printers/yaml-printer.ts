/**
 * Writes YAML as `kubectl -o yaml` does (Go's yaml.v2 over libyaml's emitter): keys sorted, two spaces, lists not
 * indented, strings quoted only if they would be read as something else, long ones folded after column 80.
 */
export function toYaml(value: unknown): string {
  const writer = new YamlWriter();
  writer.node(value, 0, 'root');
  return writer.text();
}

const foldAfterColumn = 80;
const simpleKeyBytesMax = 128; // a longer key is written after a question mark
const indentStep = 2;

type Place = 'root' | 'value' | 'item';

class YamlWriter {
  readonly #lines: string[] = []; // finished
  #line = '';

  text(): string {
    return `${[...this.#lines, this.#line].join('\n')}\n`;
  }

  node(value: unknown, indent: number, place: Place): void {
    if (Array.isArray(value) && value.length > 0) this.#sequence(value, indent, place);
    else if (isMap(value) && Object.keys(value).length > 0) this.#mapping(value, indent, place);
    else this.#leaf(value, indent, place);
  }

  /** `indent`: of the node that this one is in. */
  #mapping(map: Readonly<Record<string, unknown>>, outer: number, place: Place): void {
    const indent = place === 'root' ? 0 : outer + indentStep;
    Object.keys(map)
      .sort(compareKeys)
      .forEach((key, index) => {
        if (index > 0 || place === 'value') this.#newLine(indent);
        if (place === 'item' && index === 0) this.#line += ' ';
        if (isSimpleKey(key)) {
          this.#scalar(key, indent, true);
        } else {
          this.#line += '? ';
          this.#scalar(key, indent, false);
          this.#newLine(indent);
        }
        this.#line += ':';
        this.node(map[key], indent, 'value');
      });
  }

  /** In a mapping, a list is not indented against its key. */
  #sequence(items: readonly unknown[], outer: number, place: Place): void {
    const indent = place === 'item' ? outer + indentStep : outer;
    items.forEach((item, index) => {
      if (place === 'value' || index > 0) this.#newLine(indent);
      else if (place === 'item') this.#line += ' ';
      this.#line += '-';
      this.node(item, indent, 'item');
    });
  }

  #leaf(value: unknown, indent: number, place: Place): void {
    if (place !== 'root') this.#line += ' ';
    if (typeof value === 'string') this.#scalar(value, indent, false);
    else if (Array.isArray(value)) this.#line += '[]';
    else if (isMap(value)) this.#line += '{}';
    else if (typeof value === 'number') this.#line += numberText(value);
    else this.#line += JSON.stringify(value ?? null);
  }

  #newLine(indent: number): void {
    this.#lines.push(this.#line);
    this.#line = ' '.repeat(indent);
  }

  #scalar(text: string, indent: number, isKey: boolean): void {
    const allowed = analyse(text);
    const wantsPlain = !isResolved(text);
    if (text.includes('\n') && allowed.literal && !isKey) return this.#literal(text, indent + indentStep);
    if (!text.includes('\n') && wantsPlain && allowed.plain) return this.#folding(text, indent, isKey, 'plain');
    if (!text.includes('\n') && wantsPlain && allowed.singleQuoted) return this.#folding(text, indent, isKey, 'single');
    this.#doubleQuoted(text, indent, isKey);
  }

  #literal(text: string, indent: number): void {
    const hint = /^[ \n]/.test(text) ? String(indentStep) : '';
    const chomp = !text.endsWith('\n') ? '-' : text === '\n' || text.endsWith('\n\n') ? '+' : '';
    this.#line += `|${hint}${chomp}`;
    for (const line of (text.endsWith('\n') ? text.slice(0, -1) : text).split('\n')) {
      this.#newLine(line === '' ? 0 : indent);
      this.#line += line;
    }
  }

  /** Breaks at a lone space once the line has passed the column. */
  #folding(text: string, indent: number, isKey: boolean, style: 'plain' | 'single'): void {
    const chars = Array.from(text);
    if (style === 'single') this.#line += "'";
    let afterSpace = false;
    chars.forEach((char, index) => {
      const inside = style === 'plain' || (index > 0 && index < chars.length - 1);
      if (char === ' ' && !isKey && !afterSpace && inside && chars[index + 1] !== ' ' && this.#isPastFold()) {
        this.#newLine(indent + indentStep);
      } else {
        this.#line += style === 'single' && char === "'" ? "''" : char;
      }
      afterSpace = char === ' ';
    });
    if (style === 'single') this.#line += "'";
  }

  #doubleQuoted(text: string, indent: number, isKey: boolean): void {
    const chars = Array.from(text);
    const escapesAll = text.startsWith('\uFEFF');
    this.#line += '"';
    let afterSpace = false;
    chars.forEach((char, index) => {
      const inside = index > 0 && index < chars.length - 1;
      if (char === ' ' && !isKey && !afterSpace && inside && this.#isPastFold()) {
        this.#newLine(indent + indentStep);
        if (chars[index + 1] === ' ') this.#line += '\\';
        afterSpace = true;
        return;
      }
      const escapes = escapesAll || !isPrintable(char) || char === '"' || char === '\\' || isBreak(char);
      this.#line += escapes ? escaped(char) : char;
      afterSpace = char === ' ';
    });
    this.#line += '"';
  }

  #isPastFold(): boolean {
    return Array.from(this.#line).length > foldAfterColumn;
  }
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSimpleKey(key: string): boolean {
  return Buffer.byteLength(key) <= simpleKeyBytesMax && !/[\n\r\u0085\u2028\u2029]/.test(key);
}

const reserved = new Set(
  ['y', 'Y', 'yes', 'Yes', 'YES', 'on', 'On', 'ON', 'n', 'N', 'no', 'No', 'NO', 'off', 'Off', 'OFF', 'true', 'True']
    .concat(['TRUE', 'false', 'False', 'FALSE', '', '~', 'null', 'Null', 'NULL', '.nan', '.NaN', '.NAN'])
    .concat(['.inf', '.Inf', '.INF', '+.inf', '+.Inf', '+.INF', '-.inf', '-.Inf', '-.INF']),
);
const integerText = /^[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9]\d*)$/;
const floatText = /^[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?$/;
const sexagesimalText = /^[-+]?\d[\d_]*(?::[0-5]?\d)+(?:\.[\d_]*)?$/;
const timeOfDay = String.raw`\d\d?(?::\d\d?){2}(?:\.\d+)?`;
const timestampText = new RegExp(
  String.raw`^\d{4}-(?:0?[1-9]|1[0-2])-(?:0?[1-9]|[12]\d|3[01])` +
    String.raw`(?:[Tt]${timeOfDay}(?:Z|[+-]\d\d:\d\d)| ${timeOfDay})?$`,
);

/** Whether the text, unquoted, would be read as something other than this string. */
function isResolved(text: string): boolean {
  if (reserved.has(text) || sexagesimalText.test(text) || timestampText.test(text)) return true;
  if (!/^[-+.\d]/.test(text)) return false;
  const plain = text.replaceAll('_', '');
  return integerText.test(plain) || (floatText.test(plain) && Number.isFinite(Number(plain)));
}

interface Allowed {
  readonly plain: boolean;
  readonly singleQuoted: boolean;
  readonly literal: boolean;
}

/** Which styles can carry the text. Upstream: libyaml's `yaml_emitter_analyze_scalar`, in block context. */
function analyse(text: string): Allowed {
  if (text === '') return { plain: true, singleQuoted: true, literal: false };
  const chars = Array.from(text);
  const special = chars.some((char) => !isPrintable(char));
  const breakThenSpace = /[\n\r\u0085\u2028\u2029] /.test(text);
  const spaceThenBreak = / [\n\r\u0085\u2028\u2029]/.test(text);
  const hasBreak = chars.some(isBreak);
  const first = chars[0] ?? '';
  const last = chars.at(-1) ?? '';
  const edges = first === ' ' || isBreak(first) || last === ' ' || isBreak(last);
  return {
    plain: !special && !hasBreak && !edges && !hasBlockIndicator(text),
    singleQuoted: !special && !breakThenSpace && !spaceThenBreak,
    literal: !special && !spaceThenBreak && last !== ' ',
  };
}

function hasBlockIndicator(text: string): boolean {
  if (text.startsWith('---') || text.startsWith('...')) return true;
  if (/^[#,[\]{}&*!|>'"%@`]/.test(text) || /^[?:-](?:[ \t]|$)/.test(text)) return true;
  return /:(?:[ \t]|$)/.test(text.slice(1)) || /[ \t\n\r]#/.test(text);
}

function isBreak(char: string): boolean {
  return char === '\n' || char === '\r' || char === '\u0085' || char === '\u2028' || char === '\u2029';
}

/** Without escaping: no controls (tab included), nothing beyond the basic plane. */
function isPrintable(char: string): boolean {
  const code = char.codePointAt(0) ?? 0;
  if (code === 0x0a || (code >= 0x20 && code <= 0x7e)) return true;
  return code >= 0xa0 && code <= 0xfffd && !(code >= 0xd800 && code <= 0xdfff) && code !== 0xfeff;
}

const shortEscapes: Readonly<Record<string, string>> = {
  '\0': '0',
  '\x07': 'a',
  '\b': 'b',
  '\t': 't',
  '\n': 'n',
  '\v': 'v',
  '\f': 'f',
  '\r': 'r',
  '\x1b': 'e',
  '"': '"',
  '\\': '\\',
  '\u0085': 'N',
  '\u00a0': '_',
  '\u2028': 'L',
  '\u2029': 'P',
};

function escaped(char: string): string {
  const short = shortEscapes[char];
  if (short !== undefined) return `\\${short}`;
  const code = char.codePointAt(0) ?? 0;
  const hex = (digits: number): string => code.toString(16).toUpperCase().padStart(digits, '0');
  if (code <= 0xff) return `\\x${hex(2)}`;
  return code <= 0xffff ? `\\u${hex(4)}` : `\\U${hex(8)}`;
}

/** Go's `strconv.FormatFloat(f, 'g', -1, 64)`, whole numbers in full. */
function numberText(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e21) return String(value);
  const [digits = '', power = '0'] = value.toExponential().split('e');
  const exponent = Number(power);
  if (exponent >= -4 && exponent < 21 && !(exponent >= 6 && !Number.isInteger(value))) {
    return exponent < 21 ? plainDecimal(value) : String(value);
  }
  const sign = exponent < 0 ? '-' : '+';
  return `${digits}e${sign}${String(Math.abs(exponent)).padStart(2, '0')}`;
}

function plainDecimal(value: number): string {
  const text = String(value);
  return text.includes('e') ? value.toFixed(20).replace(/0+$/, '') : text;
}

const isLetter = (char: string): boolean => /\p{L}/u.test(char);
const isDigit = (char: string | undefined): boolean => char !== undefined && /\d/.test(char);

/** yaml.v2's order of keys: letters by code point and after all else, digits by the number that they make. */
function compareKeys(a: string, b: string): number {
  const left = Array.from(a);
  const right = Array.from(b);
  for (let i = 0; i < left.length && i < right.length; i++) {
    const x = left[i] ?? '';
    const y = right[i] ?? '';
    if (x === y) continue;
    if (isLetter(x) && isLetter(y)) return byCodePoint(x, y);
    if (isLetter(x) || isLetter(y)) return isLetter(y) ? -1 : 1;
    const [leftNumber, leftEnd] = numberAt(left, i, x === '0' || y === '0');
    const [rightNumber, rightEnd] = numberAt(right, i, x === '0' || y === '0');
    if (leftNumber !== rightNumber) return leftNumber - rightNumber;
    return leftEnd !== rightEnd ? leftEnd - rightEnd : byCodePoint(x, y);
  }
  return left.length - right.length;
}

function byCodePoint(a: string, b: string): number {
  return (a.codePointAt(0) ?? 0) - (b.codePointAt(0) ?? 0);
}

/** The number whose digits begin at `from` (with a 1 before it if it goes on after other digits), and where it ends. */
function numberAt(chars: readonly string[], from: number, startsWithZero: boolean): [value: number, end: number] {
  let value = 0;
  for (let j = from - 1; startsWithZero && j >= 0 && isDigit(chars[j]); j--) {
    if (chars[j] === '0') continue;
    value = 1;
    break;
  }
  let end = from;
  for (; isDigit(chars[end]); end++) value = value * 10 + Number(chars[end]);
  return [value, end];
}
