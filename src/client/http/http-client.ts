import http from 'node:http';
import https from 'node:https';
import { StatusError, messageOf } from '../../base/status-error.ts';
import type { HttpResponse } from '../../base/http.ts';
import { clientOver } from '../api-client.ts';
import type { ApiClient } from '../api-client.ts';
import type { Client } from '../client.ts';
import type { WireRequest } from '../request.ts';
import type { ClusterAccess } from './kubeconfig.ts';

export const requestConnectionsMax = 32; // kept open between requests; more requests wait their turn
export const streamConnectionsMax = 256; // watches and followed logs: each has a connection of its own
/** A request that hears nothing for so long has failed: the API server answers everything within 60 s. */
export const requestSilenceMs = 65_000;
const keepAliveProbeMs = 15_000;

export interface HttpClientOptions {
  /** Default `livelet`. */
  readonly userAgent?: string;
}

/**
 * The client over HTTPS (or HTTP, for a proxy on this computer), with a pool of connections of its own.
 *
 *     const client = new HttpClient(loadKubeconfig({ kubeconfig: process.env['KUBECONFIG'], home: os.homedir() }));
 *     try { await client.get(resources.pods, { namespace, name }, signal); } finally { client.close(); }
 *
 * A server that cannot be reached is `ServiceUnavailable`, with Node's error (which has a `code`) as its cause.
 */
export class HttpClient implements ApiClient {
  readonly get: Client['get'];
  readonly list: Client['list'];
  readonly watch: Client['watch'];
  readonly create: Client['create'];
  readonly update: Client['update'];
  readonly patch: Client['patch'];
  readonly delete: Client['delete'];
  readonly request: ApiClient['request'];
  #access: ClusterAccess;
  readonly #base: URL;
  readonly #userAgent: string;
  #requestAgent: http.Agent;
  #streamAgent: http.Agent;
  readonly #streams = new Set<http.ClientRequest>(); // sent, not yet closed

  constructor(access: ClusterAccess, options: HttpClientOptions = {}) {
    this.#access = access;
    this.#base = new URL(access.server);
    this.#userAgent = options.userAgent ?? 'livelet';
    [this.#requestAgent, this.#streamAgent] = agentsOf(access);
    const client = clientOver((request, streaming, signal) => this.#send(request, streaming, signal));
    this.get = client.get;
    this.list = client.list;
    this.watch = client.watch;
    this.create = client.create;
    this.update = client.update;
    this.patch = client.patch;
    this.delete = client.delete;
    this.request = client.request;
  }

  /** `127.0.0.1:6443`: as kubectl names it when it cannot be reached. */
  get serverHost(): string {
    return this.#base.port === '' ? this.#base.hostname : this.#base.host;
  }

  /** Goes on as somebody else, or with newer credentials: `access` but for its server. What is under way goes on. */
  reauthenticate(access: ClusterAccess): void {
    this.#access = { ...access, server: this.#access.server };
    for (const sockets of Object.values(this.#requestAgent.freeSockets))
      for (const socket of sockets ?? []) socket.destroy();
    [this.#requestAgent, this.#streamAgent] = agentsOf(this.#access);
  }

  /** Ends every connection; what is under way fails. */
  close(): void {
    for (const stream of this.#streams) stream.destroy();
    this.#requestAgent.destroy();
    this.#streamAgent.destroy();
  }

  async #send(request: WireRequest, streaming: boolean, signal: AbortSignal): Promise<HttpResponse> {
    signal.throwIfAborted();
    try {
      const sent = this.#open(request, streaming);
      const response = await answerOf(sent, request.body, streaming, signal);
      return {
        status: response.statusCode ?? 0,
        headers: flatHeaders(response.headers),
        body: bodyOf(sent, response, signal),
      };
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      // The way to the server is lost. Streams that were open over it may not notice for many minutes: end them now.
      if (isSilence(error)) for (const stream of this.#streams) stream.destroy(new Error('connection lost'));
      throw unreachableServer(request, this.#base, error);
    }
  }

  #open(request: WireRequest, streaming: boolean): http.ClientRequest {
    const query = request.query.toString();
    const headers: Record<string, string> = { 'user-agent': this.#userAgent, ...request.headers };
    if (this.#access.token !== undefined) headers['authorization'] = `Bearer ${this.#access.token}`;
    if (request.body !== '') headers['content-length'] = String(Buffer.byteLength(request.body));
    const send = this.#base.protocol === 'http:' ? http.request : https.request;
    const sent = send({
      protocol: this.#base.protocol,
      hostname: this.#base.hostname.replace(/^\[|\]$/g, ''),
      port: this.#base.port,
      method: request.method,
      path: this.#base.pathname.replace(/\/$/, '') + request.path + (query === '' ? '' : `?${query}`),
      headers,
      agent: streaming ? this.#streamAgent : this.#requestAgent,
    });
    if (streaming) {
      this.#streams.add(sent);
      sent.once('close', () => this.#streams.delete(sent));
      sent.once('socket', (socket) => socket.setKeepAlive(true, keepAliveProbeMs));
    }
    return sent;
  }
}

function agentsOf(access: ClusterAccess): [request: http.Agent, stream: http.Agent] {
  const Agent = access.server.startsWith('http:') ? http.Agent : https.Agent;
  const tls = tlsOptions(access);
  const kept = { keepAlive: true, keepAliveMsecs: keepAliveProbeMs, maxSockets: requestConnectionsMax };
  return [new Agent({ ...tls, ...kept }), new Agent({ ...tls, keepAlive: false, maxSockets: streamConnectionsMax })];
}

/** Sends the body and waits for the answer's head. */
function answerOf(
  sent: http.ClientRequest,
  body: string,
  streaming: boolean,
  signal: AbortSignal,
): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => void sent.destroy(new Error('aborted'));
    signal.addEventListener('abort', onAbort, { once: true });
    sent.once('close', () => signal.removeEventListener('abort', onAbort));
    sent.once('response', (response) => {
      if (streaming) sent.setTimeout(0); // quiet is normal from here on
      resolve(response);
    });
    // Stays for the life of the request: an error after the answer's head also ends the body, and is thrown there.
    sent.on('error', reject);
    sent.setTimeout(requestSilenceMs, () => sent.destroy(new SilenceError(`no answer within ${requestSilenceMs} ms`)));
    sent.end(body);
  });
}

/** Ends quietly when `signal` aborts. Leaving it early ends the connection. */
async function* bodyOf(
  sent: http.ClientRequest,
  response: http.IncomingMessage,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  try {
    for await (const chunk of response) yield chunk;
  } catch (error) {
    if (signal.aborted) return;
    throw new StatusError('ServiceUnavailable', `the connection broke: ${messageOf(error)}`, { cause: error });
  } finally {
    if (!response.complete) sent.destroy();
  }
}

/** Also what the kernel says after its own timeouts. */
class SilenceError extends Error {
  override readonly name = 'SilenceError';
}

function isSilence(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return error instanceof SilenceError || code === 'ETIMEDOUT' || code === 'EHOSTUNREACH' || code === 'ENETUNREACH';
}

function unreachableServer(request: WireRequest, base: URL, error: unknown): StatusError {
  const method = request.method.charAt(0) + request.method.slice(1).toLowerCase();
  const url = `${base.origin}${base.pathname.replace(/\/$/, '')}${request.path}`;
  return new StatusError('ServiceUnavailable', `${method} "${url}": ${failureText(error, base)}`, { cause: error });
}

/** In Go's words, as far as they are known: they are what kubectl's users search for. */
export function failureText(error: unknown, base: Pick<URL, 'host' | 'hostname'>): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  switch (code) {
    case 'ECONNREFUSED':
      return `dial tcp ${base.host}: connect: connection refused`;
    case 'EHOSTUNREACH':
      return `dial tcp ${base.host}: connect: no route to host`;
    case 'ENETUNREACH':
      return `dial tcp ${base.host}: connect: network is unreachable`;
    case 'ETIMEDOUT':
      return `dial tcp ${base.host}: i/o timeout`;
    case 'ENOTFOUND':
      return `dial tcp: lookup ${base.hostname}: no such host`;
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return 'tls: failed to verify certificate: x509: certificate signed by unknown authority';
    default:
      return messageOf(error);
  }
}

/** How connections to this server are made secure, and who we are on them. */
export function tlsOptions(access: ClusterAccess): https.AgentOptions {
  const options: https.AgentOptions = {};
  if (access.certificateAuthority !== undefined) options.ca = access.certificateAuthority;
  if (access.clientCertificate !== undefined) options.cert = access.clientCertificate;
  if (access.clientKey !== undefined) options.key = access.clientKey;
  if (access.insecureSkipTlsVerify === true) options.rejectUnauthorized = false;
  if (access.tlsServerName !== undefined) options.servername = access.tlsServerName;
  return options;
}

function flatHeaders(headers: http.IncomingHttpHeaders): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) flat[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return flat;
}
