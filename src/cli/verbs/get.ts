import { goQuote } from '../../api/go-text.ts';
import { bodyText } from '../../client/answer.ts';
import { StatusError } from '../../base/status-error.ts';
import { asOneOfMany, CliError, throwCollected } from '../cli-error.ts';
import {
  asTable,
  getObject,
  getTables,
  listObjects,
  watchRaw,
  type Selectors,
  type WireObject,
} from '../object-calls.ts';
import { compilePath } from '../printers/json-path.ts';
import { toJsonLine } from '../printers/json-printer.ts';
import { objectPrinterFor, type ObjectPrinter } from '../printers/object-printer.ts';
import { TablePrinter, type Table, type TableOptions, type TableRow } from '../printers/table-printer.ts';
import { ResourceTypes, fieldOf, textOf } from '../resource-types.ts';
import { resolveTargets, type Target, type TargetDeps, type Targets } from '../targets.ts';
import {
  allNamespacesFlag,
  chunkSizeFlag,
  fieldSelectorFlag,
  filenameFlags,
  managedFieldsFlag,
  outputFlag,
  selectorFlag,
} from '../verb-flags.ts';
import type { Verb, VerbCall } from '../verb.ts';

export const verb: Verb = {
  usage:
    'get [(-o|--output=)json|yaml|name|wide|jsonpath=…|custom-columns=…] (TYPE [NAME... | -l label] | TYPE/NAME ...) [flags]',
  help: 'Display one or many objects: as a table, or whole with -o yaml or json. With -w, goes on with what changes.',
  connects: true,
  flags: [
    allNamespacesFlag,
    chunkSizeFlag,
    fieldSelectorFlag,
    ...filenameFlags('identifying the objects to get'),
    managedFieldsFlag,
    outputFlag,
    selectorFlag,
    { name: 'ignore-not-found', kind: 'bool', help: 'If true, an object that does not exist is no error.' },
    { name: 'label-columns', short: 'L', kind: 'strings', help: 'Labels that are shown as columns.' },
    { name: 'no-headers', kind: 'bool', help: "Don't print headers." },
    {
      name: 'output-watch-events',
      kind: 'bool',
      help: 'With --watch or --watch-only, print what kind of event it was.',
    },
    { name: 'raw', kind: 'string', help: 'Path to request from the server.' },
    { name: 'show-kind', kind: 'bool', help: 'Print the kind before each name.' },
    { name: 'show-labels', kind: 'bool', help: 'Print all labels as the last column.' },
    { name: 'sort-by', kind: 'string', help: "Sort by this field, a JSONPath like '{.metadata.name}'." },
    { name: 'subresource', kind: 'string', help: 'Get this subresource of the object, e.g. status.' },
    { name: 'watch', short: 'w', kind: 'bool', help: 'After listing, watch for changes.' },
    { name: 'watch-only', kind: 'bool', help: 'Watch for changes without listing first.' },
  ],
  run: runGet,
};

async function runGet(call: VerbCall): Promise<number> {
  const { flags, io, signal } = call;
  checkCombinations(call);
  const connection = call.connect();
  const raw = flags.optional('raw');
  if (raw !== undefined) {
    const [path = '', query = ''] = raw.split('?');
    const response = await connection.send('GET', path, { query: new URLSearchParams(query) }, signal);
    io.out(await bodyText(response.body));
    return 0;
  }
  const watches = flags.bool('watch') || flags.bool('watch-only');
  if (call.args.length === 0 && flags.strings('filename').length === 0) {
    io.err('You must specify the type of resource to get.\n\n');
    throw new CliError("Required resource not specified.\nSee 'livelet get -h' for help and examples");
  }
  const deps: TargetDeps = { connection, types: new ResourceTypes(connection, io), io };
  const targets = await resolveTargets(
    {
      args: call.args,
      filenames: flags.strings('filename'),
      recursive: flags.bool('recursive'),
      allNamespaces: flags.bool('all-namespaces'),
      hasSelector: flags.optional('selector') !== undefined || flags.optional('field-selector') !== undefined,
      all: false,
      kindAloneMeansAll: true,
    },
    deps,
    signal,
  );
  if (watches && targets.errors.length === 0) return await watchTargets(call, deps, targets);
  const format = flags.string('output');
  if (format !== '' && format !== 'wide') return await printObjects(call, deps, targets, printerOf(call));
  return await printTables(call, deps, targets);
}

function checkCombinations({ args, flags }: VerbCall): void {
  const format = flags.string('output');
  const watches = flags.bool('watch') || flags.bool('watch-only');
  if (flags.optional('raw') !== undefined) {
    if (args.length > 0) throw new CliError('arguments may not be passed when --raw is specified');
    if (watches || flags.optional('selector') !== undefined) {
      throw new CliError(
        '--raw may not be specified with other flags that filter the server request or alter the output',
      );
    }
    if (format !== '') throw new CliError('--raw and --output are mutually exclusive');
    const raw = flags.string('raw');
    if (!raw.startsWith('/')) {
      throw new CliError(`--raw must be a valid URL path: parse ${goQuote(raw)}: invalid URI for request`);
    }
  }
  if (flags.bool('show-labels') && format !== '' && format !== 'wide') {
    throw new CliError(`--show-labels option cannot be used with ${format} printer`);
  }
  if (flags.bool('output-watch-events') && !watches) {
    throw new CliError('--output-watch-events option can only be used with --watch or --watch-only');
  }
}

function printerOf({ flags }: VerbCall): ObjectPrinter {
  const options = { showManagedFields: flags.bool('show-managed-fields'), noHeaders: flags.bool('no-headers') };
  return objectPrinterFor(flags.string('output'), options, ['wide']);
}

function selectorsOf({ flags }: VerbCall): Selectors {
  return { labelSelector: flags.optional('selector'), fieldSelector: flags.optional('field-selector') };
}

function tableOptions({ flags }: VerbCall, target: Target, withKind: boolean): TableOptions {
  const { type } = target;
  const kind = type.group === '' ? type.kind : `${type.kind}.${type.group}`;
  return {
    wide: flags.string('output') === 'wide',
    noHeaders: flags.bool('no-headers'),
    withNamespace: flags.bool('all-namespaces') && type.namespaced,
    kindPrefix: withKind || flags.bool('show-kind') ? `${kind.toLowerCase()}/` : '',
    showLabels: flags.bool('show-labels'),
    labelColumns: flags.strings('label-columns'),
  };
}

async function printTables(call: VerbCall, { connection }: TargetDeps, found: Targets): Promise<number> {
  const { flags, io, signal } = call;
  const { targets } = found;
  const withKind = new Set(targets.map((target) => target.type)).size > 1;
  const sortBy = flags.optional('sort-by');
  const errors: unknown[] = [];
  let hasPrinted = false;
  for (const group of groupedByType(targets)) {
    const [first] = group;
    if (first === undefined) continue;
    const printer = new TablePrinter(tableOptions(call, first, withKind));
    for (const target of group) {
      try {
        for (const table of await tablesOf(call, target, sortBy, connection, signal)) printer.add(table);
      } catch (error) {
        if (!isIgnored(call, error)) errors.push(error);
      }
    }
    const text = printer.flush();
    if (text === '') continue;
    io.out(hasPrinted && !flags.bool('no-headers') ? `\n${text}` : text);
    hasPrinted = true;
  }
  errors.push(...found.errors.map(asOneOfMany));
  if (!hasPrinted && errors.length === 0 && !flags.bool('ignore-not-found')) {
    const inNamespace = !flags.bool('all-namespaces') && targets.every((target) => target.type.namespaced);
    io.err(inNamespace ? `No resources found in ${connection.namespace} namespace.\n` : 'No resources found\n');
  }
  throwCollected(errors);
  return 0;
}

/** Neighbours of one kind share a table. */
function groupedByType(targets: readonly Target[]): readonly (readonly Target[])[] {
  const groups: Target[][] = [];
  for (const target of targets) {
    const last = groups.at(-1);
    if (last?.[0]?.type === target.type) last.push(target);
    else groups.push([target]);
  }
  return groups;
}

function isIgnored({ flags }: VerbCall, error: unknown): boolean {
  return flags.bool('ignore-not-found') && error instanceof StatusError && error.reason === 'NotFound';
}

/** With `--sort-by` everything is one table, sorted; else a table for each page. */
async function tablesOf(
  call: VerbCall,
  target: Target,
  sortBy: string | undefined,
  connection: TargetDeps['connection'],
  signal: AbortSignal,
): Promise<readonly Table[]> {
  const chunkSize = sortBy === undefined ? call.flags.int('chunk-size') : 0;
  const tables: Table[] = [];
  const options = { chunkSize, fullObjects: sortBy !== undefined, nowMs: call.io.clock.wallMs() };
  const place = { ...target, ...subresourceOf(call) };
  for await (const { table } of getTables(connection, place, listSelectors(call, target), options, signal)) {
    tables.push(sortBy === undefined ? table : { ...table, rows: sortedBy(table.rows, (row) => row.object, sortBy) });
  }
  return tables;
}

function listSelectors(call: VerbCall, target: Target): Selectors {
  return target.kind === 'list' ? selectorsOf(call) : {};
}

function subresourceOf({ flags }: VerbCall): { subresource?: string } {
  const subresource = flags.optional('subresource');
  return subresource === undefined ? {} : { subresource };
}

/** Numbers by size, all else as text with its numbers by size; what lacks the field comes first. */
function sortedBy<T>(items: readonly T[], objectOf: (item: T) => unknown, path: string): readonly T[] {
  const values = compilePath(path);
  const keyed = items.map((item) => ({ item, key: values(objectOf(item))[0] }));
  if (keyed.length > 0 && keyed.every(({ key }) => key === undefined)) {
    throw new CliError(`couldn't find any field with path "${path}" in the list of objects`);
  }
  return keyed.sort((a, b) => compareKeys(a.key, b.key)).map(({ item }) => item);
}

function compareKeys(a: unknown, b: unknown): number {
  if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? -1 : 1;
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  const left = keyText(a).split(/(\d+)/);
  const right = keyText(b).split(/(\d+)/);
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const [x = '', y = ''] = [left[i], right[i]];
    if (x === y) continue;
    return i % 2 === 1 && Number(x) !== Number(y) ? Number(x) - Number(y) : x < y ? -1 : 1;
  }
  return left.length - right.length;
}

function keyText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Bare if the words can only mean one object, else in a `List`. */
async function printObjects(
  call: VerbCall,
  { connection }: TargetDeps,
  { targets, isSingle, errors: unreadable }: Targets,
  printer: ObjectPrinter,
): Promise<number> {
  const { flags, io, signal } = call;
  const errors: unknown[] = unreadable.map(asOneOfMany);
  const objects: WireObject[] = [];
  for (const target of targets) {
    try {
      if (target.kind === 'object') {
        objects.push(await getObject(connection, { ...target, ...subresourceOf(call) }, signal));
      } else {
        objects.push(
          ...(await listObjects(connection, target, selectorsOf(call), flags.int('chunk-size'), signal)).items,
        );
      }
    } catch (error) {
      if (isIgnored(call, error)) continue;
      if (isSingle) throw error;
      errors.push(error);
    }
  }
  const [only] = objects;
  const nothingFound = objects.length === 0 && targets.every((target) => target.kind === 'object');
  if (isSingle && only !== undefined) {
    io.out(printer.print(only));
  } else if (!(nothingFound && flags.bool('ignore-not-found'))) {
    const sortBy = flags.optional('sort-by');
    const items = sortBy === undefined ? objects : sortedBy(objects, (object) => object, sortBy);
    io.out(printer.print({ apiVersion: 'v1', kind: 'List', metadata: { resourceVersion: '' }, items }));
  }
  throwCollected(errors);
  return 0;
}

/** First what there is, then what changes, until interrupted or the server ends it. */
async function watchTargets(call: VerbCall, deps: TargetDeps, { targets }: Targets): Promise<number> {
  const [target, second] = targets;
  if (second !== undefined && targets.some(({ type }) => type !== target?.type)) {
    throw new CliError('you may only specify a single resource type');
  }
  if (target === undefined || second !== undefined) {
    throw new CliError(
      `watch is only supported on individual resources and resource collections - ${targets.length} resources were found`,
    );
  }
  const format = call.flags.string('output');
  const asTables = format === '' || format === 'wide';
  const show = asTables ? tableShower(call, target) : objectShower(call, printerOf(call));
  const start = await showFirst(call, deps, target, asTables, show);
  if (start === undefined) return 0;
  const options = { resourceVersion: start.resourceVersion, asTables };
  const { name, ...collection } = target.kind === 'object' ? target : { ...target, name: undefined };
  const selectors = name === undefined ? selectorsOf(call) : { fieldSelector: `metadata.name=${name}` };
  for await (const event of watchRaw(deps.connection, collection, selectors, options, call.signal)) {
    // A watch of one object begins with the object as it is: shown already.
    if (start.shownVersion !== '' && start.shownVersion === versionIn(event.object)) continue;
    show(event.object, event.type);
  }
  return call.signal.aborted ? interruptedExitCode : 0;
}

const interruptedExitCode = 130; // 128 + SIGINT

type Shower = (value: unknown, eventType: 'ADDED' | 'MODIFIED' | 'DELETED') => void;

function tableShower(call: VerbCall, target: Target): Shower {
  const printer = new TablePrinter(tableOptions(call, target, false));
  const withEvents = call.flags.bool('output-watch-events');
  return (value, eventType) =>
    call.io.out(printer.print(asTable(value, call.io.clock.wallMs()), withEvents ? eventType : undefined));
}

function objectShower({ flags, io }: VerbCall, printer: ObjectPrinter): Shower {
  const asEvents = flags.bool('output-watch-events') && flags.string('output') !== 'name';
  return (object, eventType) => {
    if (!asEvents) return io.out(printer.print(object));
    const event = { type: eventType, object };
    io.out(flags.string('output') === 'json' ? toJsonLine(event) : printer.print(event));
  };
}

/** `undefined`: there is nothing to watch. */
async function showFirst(
  call: VerbCall,
  { connection }: TargetDeps,
  target: Target,
  asTables: boolean,
  show: Shower,
): Promise<{ readonly resourceVersion: string; readonly shownVersion: string } | undefined> {
  const { flags, signal } = call;
  const isSilent = flags.bool('watch-only');
  let resourceVersion = '';
  let shownVersion = '';
  try {
    if (asTables) {
      const nowMs = call.io.clock.wallMs();
      const options = { chunkSize: flags.int('chunk-size'), fullObjects: false, nowMs };
      for await (const page of getTables(connection, target, listSelectors(call, target), options, signal)) {
        if (!isSilent) show({ kind: 'Table', ...page.table }, 'ADDED');
        resourceVersion = page.resourceVersion;
        shownVersion = rowVersion(page.table.rows[0]);
      }
    } else if (target.kind === 'object') {
      const object = await getObject(connection, target, signal);
      if (!isSilent) show(object, 'ADDED');
      shownVersion = versionIn(object);
    } else {
      const list = await listObjects(connection, target, selectorsOf(call), flags.int('chunk-size'), signal);
      if (!isSilent) for (const object of list.items) show(object, 'ADDED');
      resourceVersion = list.resourceVersion;
    }
  } catch (error) {
    if (isIgnored(call, error)) return undefined;
    throw error;
  }
  // The object's own version may be too old to watch from; 0 means about now.
  return target.kind === 'object' ? { resourceVersion: '0', shownVersion } : { resourceVersion, shownVersion: '' };
}

function rowVersion(row: TableRow | undefined): string {
  return textOf(fieldOf(row?.object, 'metadata'), 'resourceVersion');
}

/** Of an object, or of the one row of a table. */
function versionIn(value: unknown): string {
  if (textOf(value, 'kind') === 'Table') return rowVersion(asTable(value, 0).rows[0]);
  return textOf(fieldOf(value, 'metadata'), 'resourceVersion');
}
