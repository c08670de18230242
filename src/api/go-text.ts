/** Values as Go prints them, for upstream's exact error texts. */

const shortEscapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
};

// What Go escapes: controls, quotes, and what is not printable (spaces other than U+0020, formats, unassigned).
const needsEscape = /["\\\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;
const plain = /^[ !#-[\]-~]*$/;

function escapeOne(char: string): string {
  const short = shortEscapes[char];
  if (short !== undefined) return short;
  const code = char.codePointAt(0) ?? 0;
  if (code < 0x20 || code === 0x7f) return `\\x${code.toString(16).padStart(2, '0')}`;
  return code > 0xffff ? `\\U${code.toString(16).padStart(8, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
}

/** Go's `%q` and `strconv.Quote`. */
export function goQuote(text: string): string {
  return plain.test(text) ? `"${text}"` : `"${text.replace(needsEscape, escapeOne)}"`;
}

const htmlEscapes = /[<>&\u2028\u2029]/g;

/** Go's `json.Marshal`: keys of our objects in their own order, `<`, `>` and `&` escaped. */
export function goJson(value: unknown): string {
  const text = JSON.stringify(value) ?? 'null';
  return text.replace(htmlEscapes, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
