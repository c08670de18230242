/** JSON as `kubectl -o json` writes it: keys sorted, four spaces, `<`, `>` and `&` escaped as Go does. */
export function toJson(value: unknown): string {
  return `${escapeHtml(json(value, '\n', '    ', ': '))}\n`;
}

/** Two spaces, for `version -o json`. */
export function toJsonTwo(value: unknown): string {
  return `${escapeHtml(json(value, '\n', '  ', ': '))}\n`;
}

/** The same on one line, for watch events and annotations. */
export function toJsonLine(value: unknown): string {
  return `${escapeHtml(json(value, '', '', ':'))}\n`;
}

function escapeHtml(text: string): string {
  return text.replaceAll(/[<>&\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Written out here since a JavaScript object would put keys like `1` first. `newLine`: with the indentation so far. */
function json(value: unknown, newLine: string, step: string, colon: string): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const inner = newLine + step;
  if (Array.isArray(value)) {
    const items = value.map((item) => inner + json(item, inner, step, colon));
    return items.length === 0 ? '[]' : `[${items.join(',')}${newLine}]`;
  }
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([key, field]) => `${inner}${JSON.stringify(key)}${colon}${json(field, inner, step, colon)}`);
  return fields.length === 0 ? '{}' : `{${fields.join(',')}${newLine}}`;
}
