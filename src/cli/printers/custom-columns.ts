import { CliError } from '../cli-error.ts';
import { compilePath } from './json-path.ts';
import { escapeTerminal, tableLayout, TabWriter } from './tab-writer.ts';

/** `NAME:.metadata.name,PHASE:.status.phase`: a column each, `<none>` where an object lacks it. */
export function customColumns(spec: string, noHeaders: boolean): (object: unknown) => string {
  if (spec === '') {
    throw new CliError('custom-columns format specified but no custom columns given');
  }
  const columns = spec.split(',').map((column) => {
    const colon = column.indexOf(':');
    if (colon < 0) {
      throw new CliError(`unexpected custom-columns spec: ${column}, expected <header>:<json-path-expr>`);
    }
    return { header: column.slice(0, colon), valuesIn: compilePath(column.slice(colon + 1)) };
  });
  return printColumns(columns, noHeaders);
}

/** A file of two lines: the headers and below each the path, with white space between. */
export function customColumnsOfFile(text: string, noHeaders: boolean): (object: unknown) => string {
  const [headers = [], paths = []] = text.split('\n').map((line) => line.split(/\s+/).filter((word) => word !== ''));
  if (headers.length === 0)
    throw new CliError(
      'invalid template, missing header line. Expected format is one line of space separated headers, one line of space separated column specs.',
    );
  if (paths.length !== headers.length) {
    throw new CliError(`number of headers (${headers.length}) and field specifications (${paths.length}) don't match`);
  }
  const columns = headers.map((header, index) => ({ header, valuesIn: compilePath(paths[index] ?? '') }));
  return printColumns(columns, noHeaders);
}

interface Column {
  readonly header: string;
  readonly valuesIn: (object: unknown) => readonly unknown[];
}

function printColumns(columns: readonly Column[], noHeaders: boolean): (object: unknown) => string {
  const tabs = new TabWriter(tableLayout);
  let needsHeader = !noHeaders;
  return (object) => {
    if (needsHeader) tabs.write(`${columns.map(({ header }) => header).join('\t')}\n`);
    needsHeader = false;
    for (const item of itemsIn(object)) {
      tabs.write(`${columns.map(({ valuesIn }) => cellText(valuesIn(item))).join('\t')}\n`);
    }
    return tabs.flush();
  };
}

function itemsIn(object: unknown): readonly unknown[] {
  const items: unknown = typeof object === 'object' && object !== null && 'items' in object ? object.items : undefined;
  return Array.isArray(items) ? items : [object];
}

function cellText(values: readonly unknown[]): string {
  if (values.length === 0) return '<none>';
  return values.map((value) => escapeTerminal(goValue(value))).join(',');
}

/** As Go's `%v` prints it, as far as scripts rely on it. */
function goValue(value: unknown): string {
  if (value === null || value === undefined) return '<nil>';
  if (Array.isArray(value)) return `[${value.map(goValue).join(' ')}]`;
  if (typeof value !== 'object') return typeof value === 'string' ? value : JSON.stringify(value);
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `map[${fields.map(([name, field]) => `${name}:${goValue(field)}`).join(' ')}]`;
}
