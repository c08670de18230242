import fs from 'node:fs';
import path from 'node:path';
import { parseDuration } from '../api/duration.ts';
import { goQuote } from '../api/go-text.ts';
import { bodyText, errorOfAnswer } from '../client/answer.ts';
import type { ApiClient, RawOptions } from '../client/api-client.ts';
import type { ChannelSocket } from '../client/channel-socket.ts';
import { dialChannels } from '../client/http/channel-socket.ts';
import { HttpClient } from '../client/http/http-client.ts';
import { loadKubeconfig, type ClusterAccess } from '../client/http/kubeconfig.ts';
import { messageOf, StatusError } from '../base/status-error.ts';
import type { HttpResponse } from '../base/http.ts';
import { CliError } from './cli-error.ts';
import type { CliIo } from './cli-io.ts';
import { timerNames } from './cli-io.ts';
import type { FlagValues } from './flags.ts';
import { findRunning, liveletHome } from './livelet-home.ts';

/** The API server that the flags and the environment name, and the namespace to work in. */
export interface ApiConnection {
  readonly client: ApiClient;
  /** Of `--namespace`, else of the context, else `default`. */
  readonly namespace: string;
  /** Given by `--namespace`: objects of other namespaces are then refused. */
  readonly namespaceIsExplicit: boolean;
  /** Sends a request; what is not a success is thrown. The server's warnings go to stderr. */
  send(method: string, target: string, options: RawOptions, signal: AbortSignal): Promise<HttpResponse>;
  /** Opens `target` (path and query) as a WebSocket with this subprotocol. */
  dial(target: string, protocol: string, signal: AbortSignal): Promise<ChannelSocket>;
  close(): void;
}

type Dial = ApiConnection['dial'];

/** As `ApiConnection` says, over any client: tests give one in process. */
export function connectionOver(
  client: ApiClient,
  options: {
    readonly namespace: string;
    readonly namespaceIsExplicit: boolean;
    readonly timeoutMs: number;
    /** Default: it is refused. */
    readonly dial?: Dial;
  },
  io: CliIo,
  close: () => void = () => {},
): ApiConnection {
  return {
    client,
    namespace: options.namespace,
    namespaceIsExplicit: options.namespaceIsExplicit,
    close,
    dial: options.dial ?? (() => Promise.reject(new CliError('this connection carries requests only'))),
    send: async (method, target, raw, signal) => {
      const response = await withTimeout(options.timeoutMs, io, signal, (bounded) =>
        client.request(method, target, raw, bounded),
      );
      for (const warning of warningsOf(response)) io.err(`Warning: ${warning}\n`);
      if (response.status < 400) return response;
      throw errorOfAnswer(response.status, await bodyText(response.body));
    },
  };
}

/** Opens nothing yet: the first request does. */
export function openConnection(flags: FlagValues, io: CliIo): ApiConnection {
  const access = accessOf(flags, io);
  const client = new HttpClient(access);
  return connectionOver(
    client,
    {
      namespace: flags.optional('namespace') ?? access.namespace,
      namespaceIsExplicit: flags.optional('namespace') !== undefined,
      timeoutMs: timeoutMsOf(flags.string('request-timeout')),
      dial: (target, protocol, signal) => dialChannels(access, target, protocol, signal),
    },
    io,
    () => client.close(),
  );
}

/**
 * `--kubeconfig`, else `$KUBECONFIG`, else the cluster that runs on `livelet up`'s data directory, else
 * `~/.kube/config`, else the data directory's kubeconfig though nothing runs there (so that the error names the
 * address).
 */
export function kubeconfigPathOf(flags: FlagValues, io: CliIo): { file?: string; kubeconfig?: string; home?: string } {
  const named = flags.optional('kubeconfig');
  if (named !== undefined) return { file: named };
  const listed = io.env['KUBECONFIG'];
  if (listed !== undefined && listed !== '') return { kubeconfig: listed };
  const home = liveletHome(io.env, io.homeDir);
  const running = findRunning(home);
  if (running !== undefined && running.kubeconfigPath !== '') return { file: running.kubeconfigPath };
  const own = path.join(home, 'kubeconfig');
  const usual = path.join(io.homeDir, '.kube', 'config');
  return !fs.existsSync(usual) && fs.existsSync(own) ? { file: own } : { home: io.homeDir };
}

type Access = ClusterAccess & { readonly namespace: string };

function accessOf(flags: FlagValues, io: CliIo): Access {
  const server = flags.optional('server');
  const context = flags.optional('context');
  const found = loadKubeconfigOrFail(kubeconfigPathOf(flags, io), context, server !== undefined);
  if (found === undefined && server === undefined) {
    throw new CliError(
      'no cluster: start one with "livelet up", or name one with --kubeconfig, $KUBECONFIG or --server',
    );
  }
  const token = flags.optional('token');
  const tlsServerName = flags.optional('tls-server-name');
  return {
    ...(found ?? { namespace: 'default' }),
    server: server === undefined ? (found?.server ?? '') : serverUrl(server),
    ...fileOf(flags, 'certificate-authority', 'certificateAuthority'),
    ...fileOf(flags, 'client-certificate', 'clientCertificate'),
    ...fileOf(flags, 'client-key', 'clientKey'),
    ...(token === undefined ? {} : { token }),
    ...(tlsServerName === undefined ? {} : { tlsServerName }),
    ...(flags.bool('insecure-skip-tls-verify') ? { insecureSkipTlsVerify: true } : {}),
  };
}

function loadKubeconfigOrFail(
  where: { file?: string; kubeconfig?: string; home?: string },
  context: string | undefined,
  mayBeEmpty: boolean,
): Access | undefined {
  try {
    return loadKubeconfig({ ...where, ...(context === undefined ? {} : { context }) });
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    if (mayBeEmpty && error.message.endsWith('no current-context is set')) return undefined;
    if (context !== undefined && error.message === `context "${context}" does not exist`) {
      const text = `Error in configuration: context was not found for specified context: ${context}`;
      throw new CliError(text, { verbatim: true, cause: error });
    }
    throw new CliError(error.message, { cause: error });
  }
}

/** As kubectl: without a scheme it is HTTPS, and the port follows from the scheme. */
function serverUrl(server: string): string {
  const url = server.includes('://') ? server : `https://${server}`;
  if (!URL.canParse(url)) throw new CliError(`invalid --server ${goQuote(server)}`);
  return url.replace(/\/+$/, '');
}

function fileOf(
  flags: FlagValues,
  flag: string,
  field: 'certificateAuthority' | 'clientCertificate' | 'clientKey',
): object {
  const file = flags.optional(flag);
  if (file === undefined) return {};
  try {
    return { [field]: fs.readFileSync(file, 'utf8') };
  } catch (error) {
    throw new CliError(`unable to read ${flag} ${file}: ${messageOf(error)}`, { cause: error });
  }
}

/** A number alone is in seconds. */
function timeoutMsOf(text: string): number {
  const timeoutMs = /^\d+$/.test(text) ? Number(text) * 1_000 : parseDuration(text);
  if (timeoutMs !== undefined && timeoutMs >= 0) return timeoutMs;
  throw new CliError(
    'Invalid timeout value. Timeout must be a single integer in seconds, ' +
      'or an integer followed by a corresponding time unit (e.g. 1s | 2m | 3h)',
  );
}

/** Bounds `body`; `timeoutMs` 0: not at all. */
async function withTimeout<T>(
  timeoutMs: number,
  io: CliIo,
  signal: AbortSignal,
  body: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (timeoutMs <= 0) return await body(signal);
  const controller = new AbortController();
  const done = new AbortController(); // ends the timer
  const onAbort = (): void => controller.abort(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  const timer = io.clock.sleep(timeoutMs, timerNames.requestTimeout, done.signal).then(
    () =>
      controller.abort(new CliError('Unable to connect to the server: context deadline exceeded', { verbatim: true })),
    () => {}, // ended in time
  );
  try {
    return await body(controller.signal);
  } finally {
    signal.removeEventListener('abort', onAbort);
    done.abort();
    await timer;
  }
}

/** The texts of `Warning: 299 - "text"` headers. */
export function warningsOf(response: Pick<HttpResponse, 'headers'>): string[] {
  const header = response.headers['warning'];
  if (header === undefined) return [];
  return [...header.matchAll(/\d{3} \S+ "((?:[^"\\]|\\.)*)"/g)].map((match) =>
    (match[1] ?? '').replaceAll(/\\(.)/g, '$1'),
  );
}
