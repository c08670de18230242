/** The objects that `create KIND NAME` makes without a file. Upstream: `create_configmap.go` and its like. */
import fs from 'node:fs';
import path from 'node:path';
import { goQuote } from '../api/go-text.ts';
import { messageOf } from '../base/status-error.ts';
import { CliError } from './cli-error.ts';
import type { Flag, FlagValues } from './flags.ts';
import { deploymentObject, jobObject, requireImage, workloadFlags } from './generated-workload.ts';

type WireObject = Readonly<Record<string, unknown>>;

const dataFlags: readonly Flag[] = [
  { name: 'from-literal', kind: 'texts', help: 'For a configmap or secret: KEY=VALUE. May be repeated.' },
  { name: 'from-file', kind: 'strings', help: 'For a configmap or secret: [KEY=]FILE, or a directory of files.' },
  { name: 'from-env-file', kind: 'strings', help: 'For a configmap or secret: a file of lines KEY=VALUE.' },
  { name: 'type', kind: 'string', help: 'For a secret: its type.' },
];

export const generatedFlags: readonly Flag[] = [...dataFlags, ...workloadFlags];

/** The words after `create`. */
export interface GeneratedWords {
  readonly args: readonly string[];
  /** How many of them stand before `--`; `undefined`: there is none. */
  readonly argsBeforeDash: number | undefined;
}

/** The object that the words ask for; `undefined` if they name no kind that can be made so. */
export function generatedObject({ args, argsBeforeDash }: GeneratedWords, flags: FlagValues): WireObject | undefined {
  const [kind, ...names] = args;
  // What stands after `--` is the command of a container.
  const nameCount = argsBeforeDash === undefined ? names.length : argsBeforeDash - 1;
  const [nameWords, command] = [names.slice(0, nameCount), names.slice(nameCount)];
  switch (kind) {
    case 'namespace':
    case 'ns':
      return { ...typed('Namespace', onlyName('namespace', names)), spec: {}, status: {} };
    case 'serviceaccount':
    case 'sa':
      return typed('ServiceAccount', onlyName('serviceaccount', names));
    case 'configmap':
    case 'cm':
      return configMap(onlyName('configmap', names), flags);
    case 'secret':
      return secret(names, flags);
    case 'deployment':
    case 'deploy':
      requireImage(flags);
      return deploymentObject(onlyName('deployment', nameWords), command, flags);
    case 'job':
      requireImage(flags);
      return jobObject(onlyName('job', nameWords), command, flags);
    default:
      return undefined;
  }
}

function typed(kind: string, name: string): WireObject {
  return { apiVersion: 'v1', kind, metadata: { name } };
}

function onlyName(verb: string, names: readonly string[]): string {
  const [name] = names;
  if (name !== undefined && names.length === 1) return name;
  const why = `exactly one NAME is required, got ${names.length}`;
  throw new CliError(`${why}\nSee 'livelet create ${verb} -h' for help and examples`);
}

function configMap(name: string, flags: FlagValues): WireObject {
  const data: Record<string, string> = {};
  const binaryData: Record<string, string> = {};
  for (const [key, bytes] of entriesOf(flags, 'ConfigMap', name)) {
    if (isUtf8(bytes)) data[key] = bytes.toString('utf8');
    else binaryData[key] = bytes.toString('base64');
  }
  return { ...typed('ConfigMap', name), ...filled({ data, binaryData }) };
}

function secret(words: readonly string[], flags: FlagValues): WireObject {
  const [kind, ...names] = words;
  if (kind !== 'generic')
    throw new CliError('only secrets of the kind generic can be made: create secret generic NAME');
  const name = onlyName('secret generic', names);
  const data: Record<string, string> = {};
  for (const [key, bytes] of entriesOf(flags, 'Secret', name)) data[key] = bytes.toString('base64');
  const type = flags.optional('type');
  return { ...typed('Secret', name), ...filled({ data }), ...(type === undefined ? {} : { type }) };
}

function filled(maps: Readonly<Record<string, Readonly<Record<string, string>>>>): WireObject {
  return Object.fromEntries(Object.entries(maps).filter(([, map]) => Object.keys(map).length > 0));
}

function isUtf8(bytes: Buffer): boolean {
  return Buffer.from(bytes.toString('utf8'), 'utf8').equals(bytes);
}

function entriesOf(flags: FlagValues, kind: 'ConfigMap' | 'Secret', name: string): ReadonlyMap<string, Buffer> {
  const entries = new Map<string, Buffer>();
  const add = (key: string, bytes: Buffer): void => {
    if (!/^[-._a-zA-Z0-9]+$/.test(key) || key === '.' || key === '..') throw badKey(key, kind);
    if (entries.has(key)) {
      throw new CliError(
        `cannot add key ${goQuote(key)}, another key by that name already exists in Data for ${kind} ${goQuote(name)}`,
      );
    }
    entries.set(key, bytes);
  };
  for (const source of flags.strings('from-file')) for (const [key, file] of filesOf(source)) add(key, readFile(file));
  for (const file of flags.strings('from-env-file')) {
    for (const line of readFile(file).toString('utf8').split('\n')) {
      const [key = '', ...value] = line.trim().split('=');
      if (key !== '' && !key.startsWith('#')) add(key, Buffer.from(value.join('=')));
    }
  }
  for (const literal of flags.texts('from-literal')) {
    const equals = literal.indexOf('=');
    if (equals <= 0) throw new CliError(`invalid literal source ${literal}, expected key=value`);
    add(literal.slice(0, equals), Buffer.from(unquoted(literal.slice(equals + 1))));
  }
  return entries;
}

function badKey(key: string, kind: string): CliError {
  return new CliError(
    `${goQuote(key)} is not a valid key name for a ${kind}: a valid config key must consist of alphanumeric characters, ` +
      "'-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
  );
}

/** A pair of quotes around the whole value is taken off, as upstream does. */
function unquoted(value: string): string {
  return /^(["']).*\1$/.test(value) && value.length > 1 ? value.slice(1, -1) : value;
}

/** `KEY=FILE`, `FILE` (its name is the key), or the files of a directory. */
function filesOf(source: string): readonly (readonly [key: string, file: string])[] {
  const equals = source.indexOf('=');
  if (equals > 0) return [[source.slice(0, equals), source.slice(equals + 1)]];
  if (fs.existsSync(source) && fs.statSync(source).isDirectory()) {
    const entries = fs.readdirSync(source, { withFileTypes: true }).filter((entry) => entry.isFile());
    return entries.map(({ name }) => [name, path.join(source, name)] as const).sort(([a], [b]) => (a < b ? -1 : 1));
  }
  return [[path.basename(source), source]];
}

function readFile(file: string): Buffer {
  try {
    return fs.readFileSync(file);
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    const why = isMissing ? 'no such file or directory' : messageOf(error);
    throw new CliError(`error reading ${file}: ${why}`, { cause: error });
  }
}
