import { resources, type ResourceType } from '../../api/resources.ts';
import { connectionFlags } from '../connection-flags.ts';
import { parseFlags, type Flag, type FlagValues } from '../flags.ts';
import { listObjects } from '../object-calls.ts';
import { ResourceTypes, fieldOf, itemsOf, textOf } from '../resource-types.ts';
import type { Verb, VerbCall } from '../verb.ts';

/**
 * What the completion scripts call: the words after `livelet`, the last of which is unfinished. One candidate a line.
 */
export const verb: Verb = {
  usage: '__complete WORD...',
  help: 'Print what may come next on a command line.',
  connects: false,
  flags: [],
  run: async (call) => {
    const candidates = await candidatesFor(call);
    const current = call.args.at(-1) ?? '';
    const fitting = candidates.filter((candidate) => candidate.startsWith(current));
    call.io.out(fitting.map((candidate) => `${candidate}\n`).join(''));
    return 0;
  },
};

const listed: readonly ResourceType[] = Object.values(resources).filter((type) => type.verbs.includes('list'));

async function candidatesFor(call: VerbCall): Promise<readonly string[]> {
  const words = call.args.slice(0, -1);
  const current = call.args.at(-1) ?? '';
  const name = words.find((word) => Object.hasOwn(call.verbs, word));
  if (name === undefined) {
    return Object.entries(call.verbs).flatMap(([verbName, { summary }]) => (summary === undefined ? [] : [verbName]));
  }
  const found = await call.verbs[name]?.load();
  if (found === undefined) return [];
  const flags = [...found.verb.flags, ...(found.verb.connects ? connectionFlags : [])];
  const pending = flagAwaitingValue(flags, words.at(-1) ?? '');
  if (pending !== undefined) return await valuesOf(call, pending, flags, words);
  if (current.startsWith('-')) return flags.map((flag) => `--${flag.name}`);
  const parsed = parsedWords(
    flags,
    words.filter((_, index) => index !== words.indexOf(name)),
  );
  return parsed === undefined ? [] : await argumentsOf(call, name, parsed.args, parsed.values, current);
}

function parsedWords(flags: readonly Flag[], words: readonly string[]): ReturnType<typeof parseFlags> | undefined {
  try {
    return parseFlags(flags, words);
  } catch {
    return undefined; // an unfinished or wrong command line has no completions
  }
}

/** The flag that the next word is the value of. */
function flagAwaitingValue(flags: readonly Flag[], word: string): Flag | undefined {
  return flags.find(
    ({ name, short, kind, alone }) =>
      kind !== 'bool' && alone === undefined && (word === `--${name}` || (short !== undefined && word === `-${short}`)),
  );
}

async function valuesOf(
  call: VerbCall,
  flag: Flag,
  flags: readonly Flag[],
  words: readonly string[],
): Promise<readonly string[]> {
  const parsed = parsedWords(flags, words.slice(1, -1));
  if (parsed === undefined) return [];
  if (flag.name === 'namespace') return await namesOf(call, resources.namespaces, parsed.values);
  if (flag.name === 'output') return ['json', 'yaml', 'name', 'wide'];
  if (flag.name === 'container') return await containersOf(call, parsed.args[0] ?? '', parsed.values);
  return [];
}

async function argumentsOf(
  call: VerbCall,
  verbName: string,
  args: readonly string[],
  values: FlagValues,
  current: string,
): Promise<readonly string[]> {
  if (verbName === 'completion') return args.length === 0 ? ['bash', 'zsh', 'fish'] : [];
  if (verbName === 'help') return Object.keys(call.verbs);
  if (verbName === 'logs') return args.length === 0 ? await namesOf(call, resources.pods, values) : [];
  if (!['get', 'describe', 'delete'].includes(verbName)) return [];
  const [kind] = args;
  if (kind !== undefined) return await namesOf(call, typeNamed(kind), values, args.slice(1));
  const slash = current.indexOf('/');
  if (slash < 0) return [...new Set(listed.map((type) => type.resource))].sort();
  const typed = current.slice(0, slash);
  return (await namesOf(call, typeNamed(typed), values)).map((name) => `${typed}/${name}`);
}

function typeNamed(word: string): ResourceType | undefined {
  return listed.find((type) => [type.resource, type.singular, ...type.shortNames].includes(word));
}

async function namesOf(
  call: VerbCall,
  type: ResourceType | undefined,
  values: FlagValues,
  taken: readonly string[] = [],
): Promise<readonly string[]> {
  if (type === undefined) return [];
  try {
    const connection = call.connect(values);
    const place = type.namespaced ? { type, namespace: connection.namespace } : { type };
    const { items } = await listObjects(connection, place, {}, 0, call.signal);
    return items.map((object) => object.metadata?.name ?? '').filter((name) => !taken.includes(name));
  } catch {
    return []; // no cluster: nothing to complete, and no error in the middle of a command line
  }
}

async function containersOf(call: VerbCall, pod: string, values: FlagValues): Promise<readonly string[]> {
  try {
    const connection = call.connect(values);
    const type = await new ResourceTypes(connection, call.io).named('pods', call.signal);
    const { items } = await listObjects(connection, { type, namespace: connection.namespace }, {}, 0, call.signal);
    const spec = items.find((object) => object.metadata?.name === pod)?.['spec'];
    return [...itemsOf(spec, 'containers'), ...itemsOf(spec, 'initContainers')]
      .map((container) => textOf(container, 'name'))
      .filter((name) => name !== '' && fieldOf(spec, 'containers') !== undefined);
  } catch {
    return []; // see above
  }
}
