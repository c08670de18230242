import { parseDuration } from '../api/duration.ts';
import { goQuote } from '../api/go-text.ts';
import { CliError } from './cli-error.ts';

/**
 * One flag, spelt as kubectl (pflag) spells it: `-n x`, `-nx`, `-n=x`, `--namespace x`, `--namespace=x`, `-wA`,
 * `--wait=false`.
 */
export interface Flag {
  /** Without dashes. */
  readonly name: string;
  /** One letter. */
  readonly short?: string;
  /**
   * `bool` takes a value only after `=`. `strings` may be repeated, and splits at commas; `texts` does not split. `int` is whole. `duration`
   * is Go's (`1m30s`), read as milliseconds.
   */
  readonly kind: 'bool' | 'string' | 'strings' | 'texts' | 'int' | 'duration';
  readonly help: string;
  readonly fallback?: string | boolean | number;
  /** The value when the flag stands alone; without it a value must follow. */
  readonly alone?: string;
  readonly hidden?: true;
}

/** What a flag was set to, by its name. */
export class FlagValues {
  readonly #flags: ReadonlyMap<string, Flag>;
  readonly #values: ReadonlyMap<string, readonly string[]>;

  constructor(flags: readonly Flag[], values: ReadonlyMap<string, readonly string[]>) {
    this.#flags = new Map(flags.map((flag) => [flag.name, flag]));
    this.#values = values;
  }

  /** Whether it was given at all. */
  has(name: string): boolean {
    return this.#values.has(name);
  }

  bool(name: string): boolean {
    const value = this.#last(name);
    return value === undefined ? this.#flag(name).fallback === true : parseBool(value) === true;
  }

  /** `''` if it was neither given nor has a default. */
  string(name: string): string {
    return this.#last(name) ?? String(this.#flag(name).fallback ?? '');
  }

  /** `undefined` if it was not given, or is empty. */
  optional(name: string): string | undefined {
    const value = this.#last(name);
    return value === '' ? undefined : value;
  }

  strings(name: string): readonly string[] {
    this.#flag(name);
    return (this.#values.get(name) ?? []).flatMap((value) => (value === '' ? [] : value.split(',')));
  }

  texts(name: string): readonly string[] {
    this.#flag(name);
    return this.#values.get(name) ?? [];
  }

  int(name: string): number {
    return Number(this.#last(name) ?? this.#flag(name).fallback ?? 0);
  }

  /** Milliseconds. */
  durationMs(name: string): number {
    const value = this.#last(name);
    if (value === undefined) return Number(this.#flag(name).fallback ?? 0);
    return parseDuration(value) ?? 0;
  }

  #last(name: string): string | undefined {
    this.#flag(name);
    return this.#values.get(name)?.at(-1);
  }

  #flag(name: string): Flag {
    const flag = this.#flags.get(name);
    if (flag === undefined) throw new TypeError(`no flag --${name} is declared`);
    return flag;
  }
}

/** Splits `argv` into flags and other words. Errors are pflag's own; `--` ends the flags. */
export function parseFlags(
  flags: readonly Flag[],
  argv: readonly string[],
): { readonly values: FlagValues; readonly args: readonly string[]; readonly argsBeforeDash: number | undefined } {
  const values = new Map<string, string[]>();
  const args: string[] = [];
  let argsBeforeDash: number | undefined; // no `--`
  const queue = [...argv];
  const set = (flag: Flag, value: string, spelling: string): void => {
    checkValue(flag, value, spelling);
    values.set(flag.name, [...(values.get(flag.name) ?? []), value]);
  };
  for (let word = queue.shift(); word !== undefined; word = queue.shift()) {
    if (word === '--') {
      argsBeforeDash = args.length;
      args.push(...queue.splice(0));
    } else if (word.startsWith('--')) {
      parseLong(flags, word, queue, set);
    } else if (word.startsWith('-') && word !== '-') {
      parseShorts(flags, word, queue, set);
    } else {
      args.push(word);
    }
  }
  return { values: new FlagValues(flags, values), args, argsBeforeDash };
}

type SetFlag = (flag: Flag, value: string, spelling: string) => void;

function parseLong(flags: readonly Flag[], word: string, queue: string[], set: SetFlag): void {
  const equals = word.indexOf('=');
  const name = word.slice(2, equals < 0 ? undefined : equals);
  if (name === '' || name.startsWith('-')) throw new CliError(`bad flag syntax: ${word}`);
  const flag = flags.find((candidate) => candidate.name === name);
  if (flag === undefined) throw new CliError(`unknown flag: --${name}`);
  const spelling = flag.short === undefined ? `--${name}` : `-${flag.short}, --${name}`;
  if (equals >= 0) return set(flag, word.slice(equals + 1), spelling);
  const alone = flag.kind === 'bool' ? 'true' : flag.alone;
  if (alone !== undefined) return set(flag, alone, spelling);
  const next = queue.shift();
  if (next === undefined) throw new CliError(`flag needs an argument: --${name}`);
  set(flag, next, spelling);
}

function parseShorts(flags: readonly Flag[], word: string, queue: string[], set: SetFlag): void {
  let rest = word.slice(1);
  while (rest !== '') {
    const letter = rest.charAt(0);
    const flag = flags.find((candidate) => candidate.short === letter);
    if (flag === undefined) throw new CliError(`unknown shorthand flag: '${letter}' in -${rest}`);
    const spelling = `-${letter}, --${flag.name}`;
    const after = rest.slice(1);
    const alone = flag.kind === 'bool' ? 'true' : flag.alone;
    if (after.startsWith('=')) return set(flag, after.slice(1), spelling);
    if (alone !== undefined) {
      set(flag, alone, spelling);
      rest = after;
      continue;
    }
    if (after !== '') return set(flag, after, spelling);
    const next = queue.shift();
    if (next === undefined) throw new CliError(`flag needs an argument: '${letter}' in -${rest}`);
    return set(flag, next, spelling);
  }
}

function checkValue(flag: Flag, value: string, spelling: string): void {
  const wrong = (why: string): CliError =>
    new CliError(`invalid argument ${goQuote(value)} for "${spelling}" flag: ${why}`);
  if (flag.kind === 'bool' && parseBool(value) === undefined) {
    throw wrong(`strconv.ParseBool: parsing ${goQuote(value)}: invalid syntax`);
  }
  if (flag.kind === 'int' && !/^[+-]?\d{1,15}$/.test(value)) {
    throw wrong(`strconv.ParseInt: parsing ${goQuote(value)}: invalid syntax`);
  }
  if (flag.kind === 'duration' && parseDuration(value) === undefined) {
    const isNumber = /^[+-]?\d+(\.\d+)?$/.test(value);
    throw wrong(`time: ${isNumber ? 'missing unit in' : 'invalid'} duration ${goQuote(value)}`);
  }
}

/** As Go's `strconv.ParseBool`; `undefined` for anything else. */
function parseBool(text: string): boolean | undefined {
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)) return true;
  return ['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text) ? false : undefined;
}
