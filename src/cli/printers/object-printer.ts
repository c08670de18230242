import { CliError } from '../cli-error.ts';
import { customColumns } from './custom-columns.ts';
import { toJson } from './json-printer.ts';
import { toYaml } from './yaml-printer.ts';
import { compileJsonPath } from './json-path.ts';

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

const formats = ['custom-columns', 'json', 'yaml', 'name', 'jsonpath'];

/** `extra`: formats that the verb handles itself, for the error's list. Throws for a format that is not known. */
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
  const columns = /^custom-columns=([\s\S]*)$/.exec(format)?.[1];
  if (columns !== undefined) return { print: customColumns(columns, options.noHeaders === true) };
  const template = /^jsonpath=([\s\S]*)$/.exec(format)?.[1];
  if (template !== undefined) {
    const path = compileJsonPath(template);
    return { print: (object) => path(object) };
  }
  const allowed = [...formats, ...extra].sort().join(',');
  throw new CliError(
    `unable to match a printer suitable for the output format "${format}", allowed formats are: ${allowed}`,
  );
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
