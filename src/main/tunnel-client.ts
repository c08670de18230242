import http2 from 'node:http2';
import https from 'node:https';
import type { Duplex } from 'node:stream';
import { byteStreamOf } from '../base/duplex-byte-stream.ts';
import type { Clock } from '../base/clock.ts';
import type { Entropy } from '../base/entropy.ts';
import type { Log } from '../base/log.ts';
import { messageOf } from '../base/status-error.ts';
import { tlsOptions } from '../client/http/http-client.ts';
import type { ClusterAccess } from '../client/http/kubeconfig.ts';
import { duplexOf } from '../streaming/duplex-of.ts';
import {
  connectionOver,
  keepAlive,
  tunnelConnectionsMax,
  tunnelPath,
  tunnelProtocol,
  tunnelWindowBytes,
} from './node-tunnels.ts';

const retryMs = 500;
const retryMsMax = 15_000;
const openMsMax = 10_000;

export interface TunnelDeps {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
  /** As it is now: certificates are renewed. */
  readonly access: () => ClusterAccess;
  /** Gets each connection that the server opens through the tunnel. */
  readonly onConnection: (connection: Duplex) => void;
  /** The tunnel stands. */
  readonly onOpen: () => void;
}

/** Keeps a tunnel from this node to the server open, until `signal` aborts. */
export async function runTunnel(nodeName: string, deps: TunnelDeps, signal: AbortSignal): Promise<void> {
  const { clock, entropy, log } = deps;
  let delayMs = retryMs;
  for (let failures = 0; !signal.aborted;) {
    try {
      const socket = await openTunnel(nodeName, deps.access(), signal);
      failures = 0;
      delayMs = retryMs;
      log.info('tunnelOpened', { nodeName });
      await serveTunnel(socket, deps, signal);
      if (!signal.aborted) log.warn('tunnelLost', { nodeName });
    } catch (error) {
      if (signal.aborted) return;
      if (failures++ === 0) log.warn('tunnelNotOpened', { nodeName, error: messageOf(error) });
    }
    await clock.sleep(delayMs * (0.5 + entropy.unit()), 'node.tunnel.retry', signal);
    delayMs = Math.min(retryMsMax, delayMs * 2);
  }
}

function openTunnel(nodeName: string, access: ClusterAccess, signal: AbortSignal): Promise<Duplex> {
  const { hostname, port } = new URL(access.server);
  return new Promise((resolve, reject) => {
    const sent = https.request({
      ...tlsOptions(access),
      host: hostname.replace(/^\[|\]$/g, ''),
      port: port === '' ? 443 : port,
      path: tunnelPath(nodeName),
      headers: { connection: 'Upgrade', upgrade: tunnelProtocol, 'user-agent': 'livelet' },
      agent: false,
      timeout: openMsMax,
    });
    const onAbort = (): void => void sent.destroy(new Error('aborted'));
    signal.addEventListener('abort', onAbort, { once: true });
    sent.once('close', () => signal.removeEventListener('abort', onAbort));
    sent.once('timeout', () => sent.destroy(new Error(`no answer within ${openMsMax} ms`)));
    sent.once('upgrade', (_response, socket, head) => {
      socket.setTimeout(0);
      socket.setKeepAlive(true);
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    sent.once('response', (response) => {
      sent.destroy();
      reject(new Error(`the server answered with status ${response.statusCode}`));
    });
    sent.on('error', reject);
    sent.end();
  });
}

/** Resolves when the tunnel has ended. */
async function serveTunnel(socket: Duplex, deps: TunnelDeps, signal: AbortSignal): Promise<void> {
  const server = http2.createServer({
    settings: { maxConcurrentStreams: tunnelConnectionsMax, initialWindowSize: tunnelWindowBytes },
    maxSessionMemory: 64, // MiB
  });
  let stopPings = (): void => {};
  server.on('session', (session) => {
    session.on('error', () => {}); // 'close' of the socket follows
    stopPings = keepAlive(session);
    deps.onOpen();
  });
  server.on('stream', (stream) => {
    stream.on('error', () => {}); // it is told to whoever reads or writes it
    stream.respond({ ':status': 200 });
    deps.onConnection(connectionOver(stream));
  });
  server.on('sessionError', () => {});
  const onAbort = (): void => void socket.destroy();
  signal.addEventListener('abort', onAbort, { once: true });
  socket.on('error', () => {}); // 'close' follows
  try {
    await new Promise<void>((resolve) => {
      socket.once('close', () => resolve());
      // Not the socket itself: it agreed on HTTP/1.1 when it was opened, and HTTP/2 would refuse it for that.
      server.emit('connection', duplexOf(byteStreamOf(socket)));
    });
  } finally {
    stopPings();
    signal.removeEventListener('abort', onAbort);
    server.close();
  }
}
