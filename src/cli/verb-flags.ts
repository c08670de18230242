import { CliError } from './cli-error.ts';
import type { Flag, FlagValues } from './flags.ts';

/** Flags that several verbs share, as kubectl words them. */
export const allNamespacesFlag: Flag = {
  name: 'all-namespaces',
  short: 'A',
  kind: 'bool',
  help: 'If present, list the requested object(s) across all namespaces.',
};
export const selectorFlag: Flag = {
  name: 'selector',
  short: 'l',
  kind: 'string',
  help: "Selector (label query) to filter on, supports '=', '==', '!=', 'in', 'notin' (e.g. -l key1=value1,key2=value2).",
};
export const fieldSelectorFlag: Flag = {
  name: 'field-selector',
  kind: 'string',
  help: "Selector (field query) to filter on, supports '=', '==', and '!=' (e.g. --field-selector key1=value1).",
};
export const outputFlag: Flag = { name: 'output', short: 'o', kind: 'string', help: 'Output format.' };
export const managedFieldsFlag: Flag = {
  name: 'show-managed-fields',
  kind: 'bool',
  help: 'If true, keep the managedFields when printing objects in JSON or YAML format.',
};
export const chunkSizeFlag: Flag = {
  name: 'chunk-size',
  kind: 'int',
  fallback: 500,
  help: 'Return large lists in chunks rather than all at once. Pass 0 to disable.',
};
export const dryRunFlag: Flag = {
  name: 'dry-run',
  kind: 'string',
  fallback: 'none',
  alone: 'unchanged',
  help: 'Must be "none", "server", or "client". Client: only print the object; server: have it checked but not kept.',
};
export const validateFlag: Flag = {
  name: 'validate',
  kind: 'string',
  fallback: 'strict',
  alone: 'strict',
  help: 'What the server does about unknown or duplicate fields: strict (or true), warn, ignore (or false).',
};
export const cascadeFlag: Flag = {
  name: 'cascade',
  kind: 'string',
  fallback: 'background',
  alone: 'background',
  help: 'Must be "background", "orphan", or "foreground": how dependents are deleted.',
};

export function filenameFlags(use: string): readonly Flag[] {
  return [
    { name: 'filename', short: 'f', kind: 'strings', help: `File, directory or - (stdin) ${use}.` },
    {
      name: 'recursive',
      short: 'R',
      kind: 'bool',
      help: 'Process the directory used in -f, --filename recursively.',
    },
  ];
}

export type DryRun = 'none' | 'client' | 'server';

export function dryRunOf(flags: FlagValues): DryRun {
  const value = flags.string('dry-run');
  switch (value) {
    case 'none':
    case 'client':
    case 'server':
      return value;
    case 'unchanged':
    case 'true':
      return 'client';
    case 'false':
      return 'none';
    default:
      throw new CliError(`Invalid dry-run value (${value}). Must be "none", "server", or "client".`);
  }
}

export function fieldValidationOf(flags: FlagValues): 'Strict' | 'Warn' | 'Ignore' {
  const value = flags.string('validate');
  if (['strict', '1', 't', 'T', 'true', 'TRUE', 'True'].includes(value)) return 'Strict';
  if (value === 'warn') return 'Warn';
  if (['ignore', '0', 'f', 'F', 'false', 'FALSE', 'False'].includes(value)) return 'Ignore';
  throw new CliError(`invalid - validate option "${value}"; must be one of: strict (or true), warn, ignore (or false)`);
}

/** What is said after an operation in a dry run: ` (dry run)`. */
export function dryRunSuffix(dryRun: DryRun): string {
  const suffixes = { none: '', client: ' (dry run)', server: ' (server dry run)' } as const satisfies Record<
    DryRun,
    string
  >;
  return suffixes[dryRun];
}
