import { resources } from '../../api/resources.ts';
import type { Pod } from '../../api/gen/types.ts';
import { goQuote } from '../../api/go-text.ts';
import { rfc3339, parseGoTime, formatTime } from '../../api/time.ts';
import { bodyChunks } from '../../client/answer.ts';
import { messageOf, StatusError } from '../../base/status-error.ts';
import { TaskScope } from '../../base/task-scope.ts';
import type { ApiConnection } from '../api-connection.ts';
import { CliError, isUnreachable } from '../cli-error.ts';
import { timerNames, type CliIo } from '../cli-io.ts';
import { getObject, listObjects, pathOf } from '../object-calls.ts';
import { ResourceTypes } from '../resource-types.ts';
import { selectorFlag } from '../verb-flags.ts';
import type { Verb, VerbCall } from '../verb.ts';

export const verb: Verb = {
  usage: 'logs [-f] [-p] (POD | pod/NAME | -l label) [-c CONTAINER] [flags]',
  help: 'Print the logs of a container in a pod: of the running instance, or with -p of the one before it.',
  connects: true,
  flags: [
    selectorFlag,
    { name: 'all-containers', kind: 'bool', help: "Get all containers' logs in the pod(s)." },
    { name: 'all-pods', kind: 'bool', help: 'Get logs from all pod(s). Sets prefix to true.' },
    { name: 'container', short: 'c', kind: 'string', help: 'Print the logs of this container.' },
    { name: 'follow', short: 'f', kind: 'bool', help: 'Go on with what the container writes.' },
    { name: 'ignore-errors', kind: 'bool', help: 'Errors of one log do not end the others.' },
    { name: 'insecure-skip-tls-verify-backend', kind: 'bool', help: 'Do not check who the node is.' },
    { name: 'limit-bytes', kind: 'int', help: 'Maximum bytes of logs to return. Default: no limit.' },
    { name: 'max-log-requests', kind: 'int', fallback: 5, help: 'How many logs may be followed at once.' },
    { name: 'pod-running-timeout', kind: 'duration', fallback: 20_000, help: 'How long to wait for a pod that runs.' },
    { name: 'prefix', kind: 'bool', help: 'Prefix each line with the pod and the container.' },
    { name: 'previous', short: 'p', kind: 'bool', help: 'Print the logs of the previous instance of the container.' },
    { name: 'since', kind: 'duration', help: 'Only logs newer than this, like 5s, 2m, or 3h. Default: all.' },
    { name: 'since-time', kind: 'string', help: 'Only logs after this time (RFC 3339). Default: all.' },
    {
      name: 'tail',
      kind: 'int',
      fallback: -1,
      help: 'Lines of the end of the log. Default: all, or 10 with a selector.',
    },
    { name: 'timestamps', kind: 'bool', help: 'Include timestamps on each line.' },
  ],
  run: runLogs,
};

const usageText =
  "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for the logs command";
const seeHelp = "\nSee 'livelet logs -h' for help and examples";
const tailWithSelector = 10;
const interruptedExitCode = 130; // 128 + SIGINT
const followRetryMs = 1_000;
const defaultContainerAnnotation = 'kubectl.kubernetes.io/default-container';

/** One log to print. */
interface LogSource {
  readonly pod: Pod;
  readonly container: string;
}

async function runLogs(call: VerbCall): Promise<number> {
  const { args, flags, signal } = call;
  const hasSelector = flags.optional('selector') !== undefined;
  if (args.length > 2 || (args.length === 0 && !hasSelector)) throw new CliError(usageText + seeHelp);
  if (args.length === 1 && hasSelector) {
    throw new CliError(`only a selector (-l) or a POD name is allowed${seeHelp}`);
  }
  if (flags.durationMs('pod-running-timeout') <= 0)
    throw new CliError('--pod-running-timeout must be higher than zero');
  const container = args[1] ?? flags.string('container');
  const query = logQuery(call, container);
  const connection = call.connect();
  const pods = await findPods(call, connection);
  const sources = pods.flatMap((pod) => sourcesOf(pod, container, call));
  const limit = flags.int('max-log-requests');
  if (!flags.bool('follow') || sources.length <= 1) {
    for (const source of sources) await printLog(source, query, connection, call, signal);
    return signal.aborted ? interruptedExitCode : 0;
  }
  if (sources.length > limit) {
    throw new CliError(
      `you are attempting to follow ${sources.length} log streams, but maximum allowed concurrency is ${limit}, ` +
        'use --max-log-requests to increase the limit',
    );
  }
  const scope = new TaskScope(signal);
  const pending = sources.map(
    (source) =>
      new Promise<void>((resolve) => {
        scope.start(async (scoped) => {
          try {
            await printLog(source, query, connection, call, scoped);
          } finally {
            resolve();
          }
        });
      }),
  );
  await Promise.all(pending);
  await scope.close();
  return signal.aborted ? interruptedExitCode : 0;
}

function logQuery({ args, flags }: VerbCall, container: string): URLSearchParams {
  const since = flags.durationMs('since');
  const sinceTime = flags.optional('since-time');
  const limitBytes = flags.int('limit-bytes');
  const tail = flags.int('tail');
  const parsedTime = sinceTime === undefined ? undefined : parseGoTime(sinceTime, rfc3339);
  if (parsedTime?.error !== undefined) throw new CliError(parsedTime.error);
  if (sinceTime !== undefined && since !== 0) {
    throw new CliError('at most one of `sinceTime` or `sinceSeconds` may be specified');
  }
  if (flags.bool('all-containers') && container !== '') {
    throw new CliError(`--all-containers=true should not be specified with container name ${container}`);
  }
  if (flags.has('container') && args.length === 2) {
    throw new CliError('only one of -c or an inline [CONTAINER] arg is allowed');
  }
  if (limitBytes < 0) throw new CliError('--limit-bytes must be greater than 0');
  if (since < 0) throw new CliError('--since must be greater than 0');
  if (tail < -1) throw new CliError('--tail must be greater than or equal to -1');
  const query = new URLSearchParams();
  if (flags.bool('follow')) query.set('follow', 'true');
  if (flags.bool('insecure-skip-tls-verify-backend')) query.set('insecureSkipTLSVerifyBackend', 'true');
  if (limitBytes !== 0) query.set('limitBytes', String(limitBytes));
  if (flags.bool('previous')) query.set('previous', 'true');
  if (since !== 0) query.set('sinceSeconds', String(Math.round(since / 1_000)));
  if (parsedTime !== undefined) query.set('sinceTime', formatTime(parsedTime.wallMs));
  if (tail !== -1) query.set('tailLines', String(tail));
  else if (flags.optional('selector') !== undefined && !flags.has('tail'))
    query.set('tailLines', String(tailWithSelector));
  if (flags.bool('timestamps')) query.set('timestamps', 'true');
  return query;
}

async function findPods({ args, flags, io, signal }: VerbCall, connection: ApiConnection): Promise<readonly Pod[]> {
  const { namespace } = connection;
  const [named] = args;
  if (named === undefined) {
    const place = { type: resources.pods, namespace };
    const { items } = await listObjects(connection, place, { labelSelector: flags.optional('selector') }, 500, signal);
    if (items.length === 0) io.err(`No resources found in ${namespace} namespace.\n`);
    // The server's pods are of this shape.
    return items as readonly Pod[];
  }
  const name = await podNameOf(named, connection, io, signal);
  try {
    // See above.
    return [(await getObject(connection, { type: resources.pods, namespace, name }, signal)) as Pod];
  } catch (error) {
    if (!(error instanceof StatusError) || error.reason !== 'NotFound' || isUnreachable(error)) throw error;
    throw new CliError(`error from server (NotFound): ${error.message} in namespace ${goQuote(namespace)}`, {
      cause: error,
    });
  }
}

async function podNameOf(argument: string, connection: ApiConnection, io: CliIo, signal: AbortSignal): Promise<string> {
  const parts = argument.split('/');
  if (parts.length === 1) return argument;
  if (parts.length > 2) throw new CliError('arguments in resource/name form may not have more than one slash');
  const [kind = '', name = ''] = parts;
  const type = await new ResourceTypes(connection, io).named(kind, signal);
  if (type.resource === 'pods' && type.group === '') return name;
  throw new CliError(`cannot get the logs from *v1.${type.kind}: selector for *v1.${type.kind} not implemented`);
}

function sourcesOf(pod: Pod, asked: string, { flags, io }: VerbCall): LogSource[] {
  const { spec, metadata } = pod;
  const regular = spec?.containers ?? [];
  const initial = spec?.initContainers ?? [];
  const ephemeral = spec?.ephemeralContainers ?? [];
  const all = [...initial, ...regular, ...ephemeral].map(({ name }) => name);
  if (flags.bool('all-containers')) return all.map((container) => ({ pod, container }));
  const names = [
    ...regular.map(({ name }) => name),
    ...ephemeral.map(({ name }) => `${name} (ephem)`),
    ...initial.map(({ name }) => `${name} (init)`),
  ].join(', ');
  const podName = metadata?.name ?? '';
  let container = asked;
  const preferred = metadata?.annotations?.[defaultContainerAnnotation] ?? '';
  if (container === '' && preferred !== '') {
    if (all.includes(preferred)) container = preferred;
    else io.err(`Default container name ${goQuote(preferred)} not found in pod ${podName}\n`);
  }
  if (container === '') {
    container = regular[0]?.name ?? '';
    if (all.length > 1 && !flags.bool('all-pods')) {
      io.err(`Defaulted container ${goQuote(container)} out of: ${names}\n`);
    }
  }
  if (all.includes(container)) return [{ pod, container }];
  throw new CliError(`container ${container} is not valid for pod ${podName}`);
}

async function printLog(
  source: LogSource,
  baseQuery: URLSearchParams,
  connection: ApiConnection,
  call: VerbCall,
  signal: AbortSignal,
): Promise<void> {
  const { flags, io } = call;
  const untilMs = io.clock.monoMs() + flags.durationMs('pod-running-timeout');
  for (;;) {
    try {
      return await printLogOnce(source, baseQuery, connection, call, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      if (flags.bool('ignore-errors')) return io.out(`error: ${messageOf(error)}\n`);
      if (!flags.bool('follow')) throw error;
      // A container that has not started yet: try again for a while, as kubectl does.
      io.err(`${messageOf(error)}\n`);
      if (!(error instanceof StatusError) || isUnreachable(error)) throw error;
      if (io.clock.monoMs() + followRetryMs > untilMs)
        throw new CliError('context deadline exceeded', { cause: error });
      await io.clock.sleep(followRetryMs, timerNames.logsRetry, signal);
    }
  }
}

async function printLogOnce(
  { pod, container }: LogSource,
  baseQuery: URLSearchParams,
  connection: ApiConnection,
  { flags, io }: VerbCall,
  signal: AbortSignal,
): Promise<void> {
  const query = new URLSearchParams(baseQuery);
  query.set('container', container);
  const { namespace = '', name = '' } = pod.metadata ?? {};
  const path = pathOf({ type: resources.pods, namespace, name, subresource: 'log' });
  const response = await connection.send('GET', path, { query, headers: { accept: '*/*' } }, signal);
  const hasPrefix = flags.bool('prefix') || flags.bool('all-pods');
  if (!hasPrefix) {
    for await (const chunk of bodyChunks(response.body)) io.out(chunk);
    return;
  }
  await printPrefixed(`[pod/${name}/${container}] `, bodyChunks(response.body), io);
}

/** Whole lines at once, so that several logs do not mix within a line. */
async function printPrefixed(prefix: string, chunks: AsyncIterable<Uint8Array>, io: CliIo): Promise<void> {
  const newline = 10;
  let rest: Uint8Array = Buffer.alloc(0);
  for await (const chunk of chunks) {
    rest = Buffer.concat([rest, chunk]);
    for (let end = rest.indexOf(newline); end >= 0; end = rest.indexOf(newline)) {
      io.out(Buffer.concat([Buffer.from(prefix), rest.subarray(0, end + 1)]));
      rest = rest.subarray(end + 1);
    }
  }
  if (rest.length > 0) io.out(Buffer.concat([Buffer.from(prefix), rest]));
}
