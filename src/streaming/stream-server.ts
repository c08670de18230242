/** `StreamServer` over SPDY/3.1 and WebSocket: which of them, and which version, is negotiated here. */
import type { ByteStream } from '../base/byte-stream.ts';
import type { HttpRequest, HttpResponse } from '../base/http.ts';
import { StatusError } from '../base/status-error.ts';
import type { RemoteCommandOptions, StreamServer } from '../kubelet/stream-server.ts';
import { finishMsMax } from './keep-alive.ts';
import { parsePort, serveChannelForwards, serveSpdyForwards } from './port-forward.ts';
import type { ForwardPort } from './port-forward.ts';
import type { RunCommand, StreamingDeps } from './remote-command.ts';
import { serveSpdyCommand, spdyCommandProtocols } from './spdy-remote-command.ts';
import { serveWebSocketCommand, webSocketCommandProtocols } from './web-socket-remote-command.ts';
import { tunnelOf } from './web-socket.ts';

const portForwardProtocol = 'portforward.k8s.io';
const tunnelPrefix = 'SPDY/3.1+'; // a WebSocket that carries SPDY, as kubectl has it since 1.31
const forwardChannelProtocols = ['v4.channel.k8s.io', 'v4.base64.channel.k8s.io', ''] as const;
const forwardPortsMax = 100; // of one request; each has two channels of 255

export function createStreamServer(deps: StreamingDeps): StreamServer {
  return {
    remoteCommand: (request, options, run) => remoteCommand(deps, request, options, run),
    portForward: (request, forward) => portForward(deps, request, forward),
  };
}

function remoteCommand(
  deps: StreamingDeps,
  request: HttpRequest,
  options: RemoteCommandOptions,
  run: RunCommand,
): HttpResponse {
  switch (upgradeOf(request)) {
    case 'websocket': {
      const asked = subprotocols(request);
      const protocol = negotiate(asked, webSocketCommandProtocols);
      if (protocol === undefined) return unsupported(asked, webSocketCommandProtocols);
      return taking((connection, signal) =>
        serveWebSocketCommand(deps, request, connection, protocol, options, run, signal),
      );
    }
    case 'spdy': {
      const asked = listHeader(request, 'x-stream-protocol-version');
      const protocol = asked.length === 0 ? '' : negotiate(asked, spdyCommandProtocols);
      if (protocol === undefined) return unsupported(asked, spdyCommandProtocols);
      return takingSpdy(protocol, (connection, signal) =>
        serveSpdyCommand(deps, connection, protocol, options, run, signal),
      );
    }
    default:
      return text(400, 'unable to upgrade: missing upgrade headers in request');
  }
}

function portForward(deps: StreamingDeps, request: HttpRequest, forward: ForwardPort): HttpResponse {
  switch (upgradeOf(request)) {
    case 'websocket': {
      const asked = subprotocols(request);
      const tunnel = `${tunnelPrefix}${portForwardProtocol}`;
      if (asked.includes(tunnel)) {
        return taking(async (connection, signal) => {
          const settings = { protocol: tunnel, closeTimeoutMs: finishMsMax };
          await serveSpdyForwards(deps, await tunnelOf(request, connection, settings), forward, signal);
        });
      }
      const protocol = negotiate(asked, forwardChannelProtocols);
      if (protocol === undefined) return unsupported(asked, [tunnel, ...forwardChannelProtocols]);
      const ports = queryPorts(request);
      if (typeof ports === 'string') return text(400, ports);
      return taking((connection, signal) =>
        serveChannelForwards(deps, request, connection, { protocol, ports }, forward, signal),
      );
    }
    case 'spdy': {
      const asked = listHeader(request, 'x-stream-protocol-version');
      const protocol = asked.length === 0 ? '' : negotiate(asked, [portForwardProtocol]);
      if (protocol === undefined) return unsupported(asked, [portForwardProtocol]);
      return takingSpdy(protocol, (connection, signal) => serveSpdyForwards(deps, connection, forward, signal));
    }
    default:
      return text(400, 'unable to upgrade: missing upgrade headers in request');
  }
}

function upgradeOf({ headers }: HttpRequest): 'websocket' | 'spdy' | 'none' {
  if (!/(?:^|,)\s*upgrade\s*(?:,|$)/i.test(headers['connection'] ?? '')) return 'none';
  const upgrade = (headers['upgrade'] ?? '').toLowerCase();
  if (upgrade === 'websocket') return 'websocket';
  return upgrade === 'spdy/3.1' ? 'spdy' : 'none';
}

function listHeader({ headers }: HttpRequest, name: string): string[] {
  return (headers[name] ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function subprotocols(request: HttpRequest): string[] {
  const asked = listHeader(request, 'sec-websocket-protocol');
  return asked.length === 0 ? [''] : asked;
}

/** The first one that the client asks for and that is served. */
function negotiate(asked: readonly string[], served: readonly string[]): string | undefined {
  return asked.find((protocol) => served.includes(protocol));
}

function unsupported(asked: readonly string[], served: readonly string[]): HttpResponse {
  const named = served.filter((protocol) => protocol !== '');
  const lists = `client supports [${asked.join(' ')}], server accepts [${named.join(' ')}]`;
  return {
    ...text(403, `unable to upgrade: unable to negotiate protocol: ${lists}`),
    headers: { 'content-type': 'text/plain; charset=utf-8', 'x-accepted-stream-protocol-versions': named.join(', ') },
  };
}

/** The ports of the query, or what is wrong with them. */
function queryPorts({ query }: HttpRequest): number[] | string {
  const texts = query.getAll('port').flatMap((list) => list.split(','));
  if (texts.length === 0) return 'query parameter "port" is required';
  if (texts.length > forwardPortsMax) return `at most ${forwardPortsMax} ports can be forwarded at a time`;
  const ports: number[] = [];
  for (const each of texts) {
    const port = parsePort(each);
    if (port === undefined) return `unable to parse ${JSON.stringify(each)} as a port`;
    ports.push(port);
  }
  return ports;
}

function text(status: number, body: string): HttpResponse {
  return { status, headers: { 'content-type': 'text/plain; charset=utf-8' }, body };
}

/** Status, headers and body count for nothing. That the client goes is the usual end. */
function taking(serve: (connection: ByteStream, signal: AbortSignal) => Promise<void>): HttpResponse {
  return {
    status: 101,
    headers: {},
    body: '',
    async takeOver(connection, signal) {
      try {
        await serve(connection, signal);
      } catch (error) {
        if (!(error instanceof StatusError)) throw error;
      } finally {
        connection.destroy();
      }
    },
  };
}

function takingSpdy(
  protocol: string,
  serve: (connection: ByteStream, signal: AbortSignal) => Promise<void>,
): HttpResponse {
  return taking(async (connection, signal) => {
    const lines = ['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade', 'Upgrade: SPDY/3.1'];
    if (protocol !== '') lines.push(`X-Stream-Protocol-Version: ${protocol}`);
    await connection.write(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`));
    await serve(connection, signal);
  });
}
