import fs from 'node:fs';
import { messageOf } from '../../base/status-error.ts';
import { CliError } from '../cli-error.ts';
import { customColumns, customColumnsOfFile } from './custom-columns.ts';
import { toJson } from './json-printer.ts';
import { toYaml } from './yaml-printer.ts';
import { compileJsonPath, compileJsonPathAsJson } from './json-path.ts';

/** How `-o` shows whole objects. */
export interface ObjectPrinter {
  /** The text of one object (or a `List`). */
  print(object: unknown): string;
}

export interface ObjectPrinterOptions {
  readonly showManagedFields: boolean;
  /** Said after a name, e.g. `created`; not with `-o name`. */
  readonly operation?: string;
  /** For `custom-columns`. */
  readonly noHeaders?: boolean;
}

const formats = ['json', 'yaml', 'name', 'jsonpath', 'jsonpath-as-json', 'jsonpath-file'];
const columnFormats = ['custom-columns', 'custom-columns-file'];

/**
 * `extra`: formats that the verb handles itself; it can also do columns if there are any. Throws for a format that is
 * not known.
 */
export function objectPrinterFor(
  format: string,
  options: ObjectPrinterOptions,
  extra: readonly string[] = [],
): ObjectPrinter {
  const clean = (object: unknown): unknown => (options.showManagedFields ? object : withoutManagedFields(object));
  let printedCount = 0;
  if (format === 'json') return { print: (object) => toJson(clean(object)) };
  if (format === 'yaml') return { print: (object) => (printedCount++ > 0 ? '---\n' : '') + toYaml(clean(object)) };
  if (format === 'name') return { print: (object) => nameLines(object, '') };
  if (format === '' && options.operation !== undefined) {
    const { operation } = options;
    return { print: (object) => nameLines(object, ` ${operation}`) };
  }
  const allowed = [...formats, ...(extra.length > 0 ? columnFormats : []), ...extra];
  const [, name = '', template = ''] = /^([a-z-]*)(?:=([\s\S]*))?$/.exec(format) ?? [];
  const print = allowed.includes(name) ? templatePrinter(name, template, options.noHeaders === true) : undefined;
  if (print !== undefined) return { print };
  const list = [...allowed].sort().join(',');
  throw new CliError(
    `unable to match a printer suitable for the output format "${format}", allowed formats are: ${list}`,
  );
}

/** For the formats that are followed by a template: `jsonpath={.kind}`. */
function templatePrinter(
  format: string,
  template: string,
  noHeaders: boolean,
): ((object: unknown) => string) | undefined {
  const given = (): string => {
    if (template === '') throw new CliError('template format specified but no template given');
    return template;
  };
  switch (format) {
    case 'jsonpath':
      return compileJsonPath(given());
    case 'jsonpath-as-json':
      return compileJsonPathAsJson(given());
    case 'jsonpath-file':
      return compileJsonPath(templateFile(given(), '--template'));
    case 'custom-columns':
      return customColumns(template, noHeaders);
    case 'custom-columns-file':
      return customColumnsOfFile(templateFile(template, 'template'), noHeaders);
    default:
      return undefined;
  }
}

function templateFile(file: string, what: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const why = code === 'ENOENT' ? 'no such file or directory' : messageOf(error);
    throw new CliError(`error reading ${what} ${file}, open ${file}: ${why}`, { cause: error });
  }
}

/** `pod/web created`, one for each item of a list. Upstream: `NamePrinter`. */
function nameLines(object: unknown, suffix: string): string {
  const { kind = '', apiVersion = '', metadata, items } = partsOf(object);
  if (Array.isArray(items)) return items.map((item) => nameLines(item, suffix)).join('');
  const group = apiVersion.includes('/') ? `.${apiVersion.slice(0, apiVersion.indexOf('/'))}` : '';
  return `${kind.toLowerCase()}${group}/${metadata?.name || '<unknown>'}${suffix}\n`;
}

interface Parts {
  readonly kind?: string;
  readonly apiVersion?: string;
  readonly metadata?: { readonly name?: string };
  readonly items?: unknown;
}

function partsOf(object: unknown): Parts {
  // The server's and the decoder's objects have these fields if they have any.
  return typeof object === 'object' && object !== null ? (object as Parts) : {};
}

function withoutManagedFields(object: unknown): unknown {
  if (typeof object !== 'object' || object === null) return object;
  const { items, metadata } = partsOf(object);
  if (Array.isArray(items)) return { ...object, items: items.map(withoutManagedFields) };
  if (metadata === undefined || !('managedFields' in metadata)) return object;
  const { managedFields: _dropped, ...kept } = metadata;
  return { ...object, metadata: kept };
}
