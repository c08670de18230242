import { goQuote } from '../api/go-text.ts';
import type { Clock } from '../base/clock.ts';
import { openConnection, type ApiConnection } from './api-connection.ts';
import { CliError, errorText, exitCodeOf } from './cli-error.ts';
import { processIo, type CliIo } from './cli-io.ts';
import { connectionFlags } from './connection-flags.ts';
import { parseFlags, type Flag } from './flags.ts';
import { packageVersion } from '../main/package-version.ts';
import type { Verb, VerbTable } from './verb.ts';

/** Every verb, in the order of the help. Loaded only when called, so that `livelet --help` is quick. */
const verbs: VerbTable = {
  up: {
    summary: 'Start a cluster: API server, scheduler, controllers and one node',
    load: () => import('./verbs/up.ts'),
  },
  down: { summary: 'Stop the running cluster', load: () => import('./verbs/down.ts') },
  status: { summary: 'Show whether a cluster runs, and where', load: () => import('./verbs/status.ts') },
  kubeconfig: { summary: "Print the path of the cluster's kubeconfig", load: () => import('./verbs/kubeconfig.ts') },
  image: { summary: 'Make images of directories', load: () => import('./verbs/image.ts') },
  server: { summary: 'Start a control plane without a node', load: () => import('./verbs/server.ts') },
  token: { summary: 'Make, list and delete tokens by which nodes join', load: () => import('./verbs/token.ts') },
  node: { summary: 'Run a node of a server elsewhere, or check this machine', load: () => import('./verbs/node.ts') },
  demo: { summary: 'Watch a sick app being found sick and restarted', load: () => import('./verbs/demo.ts') },
  create: { summary: 'Create objects from a file or from stdin', load: () => import('./verbs/create.ts') },
  apply: { summary: 'Apply a configuration to objects from a file or stdin', load: () => import('./verbs/apply.ts') },
  get: { summary: 'Display one or many objects', load: () => import('./verbs/get.ts') },
  describe: { summary: 'Show details of objects', load: () => import('./verbs/describe.ts') },
  logs: { summary: 'Print the logs of a container in a pod', load: () => import('./verbs/logs.ts') },
  exec: { summary: 'Execute a command in a container', load: () => import('./verbs/exec.ts') },
  attach: { summary: 'Attach to a running container', load: () => import('./verbs/attach.ts') },
  'port-forward': {
    summary: 'Forward local ports to a pod',
    load: () => import('./verbs/port-forward.ts'),
  },
  cp: { summary: 'Copy files to and from containers', load: () => import('./verbs/cp.ts') },
  drill: {
    summary: 'End a node on purpose, or in virtual time, and see how soon its pods are replaced',
    load: () => import('./verbs/drill.ts'),
  },
  scale: { summary: 'Set how many pods there are to be', load: () => import('./verbs/scale.ts') },
  set: { summary: 'Set the images of containers', load: () => import('./verbs/set.ts') },
  rollout: {
    summary: 'Watch, undo, pause, resume or restart a rollout',
    load: () => import('./verbs/rollout.ts'),
  },
  delete: { summary: 'Delete objects by file, stdin, name or selector', load: () => import('./verbs/delete.ts') },
  events: { summary: 'List events', load: () => import('./verbs/events.ts') },
  version: { summary: 'Print the versions of client and server', load: () => import('./verbs/version.ts') },
  completion: {
    summary: 'Print a completion script for bash, zsh or fish',
    load: () => import('./verbs/completion.ts'),
  },
  __complete: { load: () => import('./verbs/complete.ts') },
};

const helpFlag: Flag = { name: 'help', short: 'h', kind: 'bool', help: 'Show this help.' };

/** What `run` needs besides the words: everything may be replaced by a test. */
export interface RunDeps {
  readonly io: CliIo;
  readonly connect?: (flags: Parameters<typeof openConnection>[0], io: CliIo) => ApiConnection;
}

/** Runs the CLI with the words after its name; resolves to the exit code. Errors are printed, never thrown. */
export async function run(words: readonly string[], deps: RunDeps, signal: AbortSignal): Promise<number> {
  const { io } = deps;
  try {
    return await runVerb(words, deps, signal);
  } catch (error) {
    if (signal.aborted) return interruptedExitCode;
    io.err(errorText(error));
    return exitCodeOf(error);
  }
}

const interruptedExitCode = 130; // 128 + SIGINT, as a shell reports it

async function runVerb(words: readonly string[], deps: RunDeps, signal: AbortSignal): Promise<number> {
  const { io } = deps;
  const at = verbIndex(words);
  const name = at === undefined ? undefined : words[at];
  if (at === undefined || name === undefined) return runWithoutVerb(words, io);
  const rest = [...words.slice(0, at), ...words.slice(at + 1)];
  if (name === 'help') {
    const topic = rest.find((word) => !word.startsWith('-'));
    return topic === undefined ? printed(io, rootHelp()) : await runVerb([topic, '--help'], deps, signal);
  }
  const entry = Object.hasOwn(verbs, name) ? verbs[name] : undefined;
  if (entry === undefined) {
    throw new CliError(`unknown command ${goQuote(name)} for "livelet"${suggestion(name)}`);
  }
  const { verb } = await entry.load();
  const flags = [...verb.flags, ...(verb.connects ? connectionFlags : []), helpFlag];
  const { values, args, argsBeforeDash } = parseVerbFlags(name, flags, rest);
  if (values.bool('help')) return printed(io, verbHelp(verb));
  const opened: ApiConnection[] = [];
  const connect = (other = values): ApiConnection => {
    const connection = (deps.connect ?? openConnection)(other, io);
    opened.push(connection);
    return connection;
  };
  try {
    return await verb.run({ args, argsBeforeDash, flags: values, io, signal, connect, verbs });
  } finally {
    for (const connection of opened) connection.close();
  }
}

function parseVerbFlags(name: string, flags: readonly Flag[], words: readonly string[]): ReturnType<typeof parseFlags> {
  if (name === '__complete') return parseFlags([helpFlag], ['--', ...words]); // of another command
  try {
    return parseFlags(flags, words);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    throw new CliError(`${error.message}\nSee 'livelet ${name} --help' for usage.`, { cause: error });
  }
}

/** The first word that is neither a flag nor the value of one: flags of the connection may stand before the verb. */
function verbIndex(words: readonly string[]): number | undefined {
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? '';
    if (word === '--' || !word.startsWith('-') || word === '-') return word === '--' ? undefined : index;
    const flag = connectionFlags.find(({ name, short }) => word === `--${name}` || word === `-${short}`);
    if (flag !== undefined && flag.kind !== 'bool') index++; // its value
  }
  return undefined;
}

function runWithoutVerb(words: readonly string[], io: CliIo): number {
  if (words.includes('--version')) return printed(io, `${packageVersion()}\n`);
  parseVerbFlags('', [...connectionFlags, helpFlag], words);
  return printed(io, rootHelp());
}

function printed(io: CliIo, text: string): number {
  io.out(text);
  return 0;
}

function rootHelp(): string {
  const listed = Object.entries(verbs).filter(([, entry]) => entry.summary !== undefined);
  const rows = listed.map(([name, entry]) => `  ${name.padEnd(14)}${entry.summary}`);
  return `livelet keeps containers alive the way Kubernetes does: a Kubernetes-compatible node and control plane.

Usage:
  livelet VERB [flags]

Verbs:
${rows.join('\n')}

Use "livelet VERB --help" for the flags of a verb, and "livelet --version" for the version of this package.
Start with "livelet demo". Data is kept in $LIVELET_HOME, else in ~/.livelet.
`;
}

function verbHelp(verb: Verb): string {
  const shown = (flags: readonly Flag[]): string =>
    flags
      .filter((flag) => flag.hidden !== true)
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      .map((flag) => `    ${flagUsage(flag)}:\n\t${flag.help}\n`)
      .join('\n');
  const own = shown([...verb.flags, helpFlag]);
  const connection = verb.connects ? `\nWhich cluster:\n${shown(connectionFlags)}` : '';
  return `${verb.help.trim()}\n\nUsage:\n  livelet ${verb.usage}\n\nFlags:\n${own}${connection}`;
}

/** `-n, --namespace=''`, with the default, as kubectl shows it. */
function flagUsage(flag: Flag): string {
  const fallbackByKind = { bool: 'false', string: "''", strings: '[]', texts: '[]', int: '0', duration: '0s' } as const;
  const fallback = typeof flag.fallback === 'string' ? `'${flag.fallback}'` : flag.fallback;
  const shortName = flag.short === undefined ? '' : `-${flag.short}, `;
  return `${shortName}--${flag.name}=${String(fallback ?? fallbackByKind[flag.kind])}`;
}

/** Names the verbs that are one or two letters away, as kubectl does. */
function suggestion(name: string): string {
  const near = Object.entries(verbs)
    .filter(([verb, entry]) => entry.summary !== undefined && (distance(name, verb) <= 2 || verb.startsWith(name)))
    .map(([verb]) => `\n\t${verb}`);
  return near.length === 0 ? '' : `\n\nDid you mean this?${near.join('')}\n`;
}

/** Levenshtein's. */
function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min((previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1, substituted));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}

/** Of this computer; the CLI may not import `host/`, and needs no more than this. */
const hostClock: Clock = {
  monoMs: () => performance.now(),
  wallMs: () => Date.now(),
  sleep: (delayMs, _name, signal) =>
    new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error); // the contract: the reason, unwrapped
      const onAbort = (): void => {
        clearTimeout(timer);
        reject(signal.reason as Error); // see above
      };
      const timer = setTimeout(() => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      }, delayMs);
      signal.addEventListener('abort', onAbort, { once: true });
    }),
};

/** The program: runs this process's words, and ends it with the exit code. Called by `bin/livelet.js`. */
export async function main(): Promise<void> {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(name === 'SIGINT' ? 130 : 143); // the second one: at once
      controller.abort(new Error(name));
    });
  }
  const exitCode = await run(process.argv.slice(2), { io: processIo(hostClock) }, controller.signal);
  process.exitCode = exitCode;
  await flushed(process.stdout);
  process.exit(exitCode);
}

/** What was written is out before the process ends. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.write('', () => resolve());
  });
}
