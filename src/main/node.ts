import net from 'node:net';
import { HttpsListener } from '../apiserver/http/https-listener.ts';
import type { HttpHandler } from '../base/http.ts';
import type { Log } from '../base/log.ts';
import { StatusError, hasReason } from '../base/status-error.ts';
import type { Client } from '../client/client.ts';
import { ClusterHeartbeat } from '../client/heartbeat.ts';
import { HttpClient } from '../client/http/http-client.ts';
import { hostIp } from './host-facts.ts';
import { keepCertificate, readServing, temporaryServing, writeServing } from './node-certificates.ts';
import { clientOf, ensureIdentity, identityPath, servingOf, writeIdentity } from './node-identity.ts';
import type { NodeIdentity } from './node-identity.ts';
import { beginRuntime, checkedNodeName, startKubelet, untilNodeReady } from './node-parts.ts';
import type { NodeHostOptions } from './node-parts.ts';
import { kubeletClient } from './node-servers.ts';
import { Opened, openHost } from './opened.ts';
import type { HostParts } from './opened.ts';
import { endingOf, runningOf } from './running.ts';
import type { Running } from './running.ts';
import { runTunnel } from './tunnel-client.ts';

/** How to start a node that belongs to the cluster of a server elsewhere. */
export interface NodeOptions extends NodeHostOptions {
  /** `https://HOST:PORT` of its API server. */
  readonly server: string;
  /** Of `livelet token create`; needed the first time, while the data directory belongs to no node. */
  readonly token?: string;
  /** `sha256:HEX` of the key of the cluster's authority; needed the first time. Upstream: `--discovery-token-ca-cert-hash`. */
  readonly caCertHash?: string;
  /**
   * Address by which the API server reaches this node, and that its server listens on. Default: loopback if the API
   * server is there too; else it, or `tunnel`, has to be given.
   */
  readonly nodeIp?: string;
  /** TCP port of this node's server. Default 10250, or any free one if it is taken. */
  readonly kubeletPort?: number;
  /** Listen on nothing: the API server reaches this node through a connection that this node opens. */
  readonly tunnel?: boolean;
  /** Where the node's identity and state are kept, made if absent. Default: a temporary directory. */
  readonly dataDir?: string;
  /** Default: silence. */
  readonly log?: Log;
  /** Told once if the server cannot be reached at the start; it is tried again and again. */
  readonly onWaiting?: (why: string) => void;
  /** Aborts the start while it waits for the server. */
  readonly signal?: AbortSignal;
}

/** A running node. */
export interface NodeHandle extends Running {
  /** Of the API server. */
  readonly url: string;
  /** Kubeconfig of this node's own user (mode 0600). */
  readonly kubeconfigPath: string;
  readonly dataDir: string;
  readonly nodeName: string;
  /** What runs the containers: `process`, or the socket `unix:///...`. */
  readonly runtime: string;
  /** This node's client. */
  readonly client: Client;
  /** What its user should know once. Usually empty. */
  readonly notices: readonly string[];
}

const kubeletPortDefault = 10_250;

/** Why pods of this node and of others do not reach each other, if they do not. */
function apartNotices({ nodeIps, isTunnelled }: { nodeIps: readonly string[]; isTunnelled: boolean }): string[] {
  const hasIpv4 = nodeIps.some((ip) => net.isIPv4(ip));
  if (!isTunnelled && hasIpv4) return [];
  const why = isTunnelled ? 'it is behind --tunnel' : 'its --node-ip is no IPv4 address';
  return [`pods of this node and those of other nodes do not reach each other: ${why}`];
}

/**
 * Joins the cluster (the first time with a token), and runs its pods on this computer. Resolves when the node is
 * Ready; while the server cannot be reached it waits. Errors: `StatusError` whose message says what to do.
 */
export function startNode(options: NodeOptions): Promise<NodeHandle> {
  return Opened.for((opened) => startNodeIn(opened, options));
}

async function startNodeIn(opened: Opened, options: NodeOptions): Promise<NodeHandle> {
  const nodeName = checkedNodeName(options);
  const nodeIp = checkedNodeIp(options);
  const host = openHost(opened, options);
  const { scope, clock, entropy, log, dataDir } = host;
  const onAbort = (): void => void scope.close(options.signal?.reason).catch(() => {}); // told by what it interrupts
  options.signal?.addEventListener('abort', onAbort, { once: true });
  opened.add(() => options.signal?.removeEventListener('abort', onAbort));
  const starting = beginRuntime(opened, host, options, true);
  opened.add(() => scope.close());
  const waiting = { clock, log, onWaiting: options.onWaiting ?? (() => {}) };
  let identity = await ensureIdentity(dataDir, nodeName, options, waiting, scope.signal);
  writeIdentity(dataDir, nodeName, identity); // the server may have another address by now
  const client = new HttpClient(identity, { userAgent: 'livelet-node' });
  opened.add(() => client.close());
  const openedRuntime = await starting.opening;
  const answering = await startNodeServer(opened, host, options, {
    nodeName,
    nodeIp,
    client,
    identity: () => identity,
  });
  const heartbeat = new ClusterHeartbeat({ client, clock, entropy: entropy.fork(), log });
  scope.start((signal) => heartbeat.run(signal));
  const isTunnelled = options.tunnel === true;
  const node = { nodeName, server: { client, heartbeat }, nodeIps: [nodeIp], kubeletPort: answering.port, isTunnelled };
  const kubelet = await startKubelet(host, starting, node, options);
  answering.serve(kubelet.handle);
  const rotation = { client, clock, entropy: entropy.fork(), log };
  const { clientCertificate } = identity;
  scope.start((signal) =>
    keepCertificate(
      rotation,
      clientOf(nodeName),
      clientCertificate,
      (issued) => {
        identity = { ...identity, ...issued };
        writeIdentity(dataDir, nodeName, identity);
        client.reauthenticate(identity);
      },
      signal,
    ),
  );
  await untilNodeReady(client, nodeName, host);
  await answering.reachable;
  options.signal?.removeEventListener('abort', onAbort);
  log.info('nodeReady', { nodeName, server: identity.server });
  return {
    ...runningOf(opened, scope, endingOf(openedRuntime, kubelet, host)),
    url: options.server,
    kubeconfigPath: identityPath(dataDir),
    dataDir,
    nodeName,
    runtime: openedRuntime.name,
    client,
    notices: [...openedRuntime.notices, ...(openedRuntime.canRoutePods ? apartNotices(node) : [])],
  };
}

function checkedNodeIp({ server, nodeIp, tunnel = false }: NodeOptions): string {
  if (!URL.canParse(server) || new URL(server).protocol !== 'https:') {
    throw new StatusError('Invalid', `the server ${JSON.stringify(server)} is not of the form https://HOST:PORT`);
  }
  if (nodeIp !== undefined && net.isIP(nodeIp) === 0) {
    throw new StatusError('Invalid', `the node's address ${JSON.stringify(nodeIp)} is not an IP address`);
  }
  if (nodeIp !== undefined) return nodeIp;
  if (tunnel) return hostIp();
  const { hostname } = new URL(server);
  if (hostname === 'localhost' || hostname.startsWith('127.')) return '127.0.0.1';
  if (hostname === '[::1]') return '::1';
  const text =
    `the server is on another computer: say by which address it reaches this one (--node-ip ${hostIp()}, ` +
    'on which this node then listens), or that it cannot (--tunnel)';
  throw new StatusError('Invalid', text);
}

interface NodeServer {
  readonly port: number;
  /** Requests are answered by this from now on. */
  serve(handle: HttpHandler): void;
  /** Resolves when the API server can reach it. */
  readonly reachable: Promise<void>;
}

interface Served {
  readonly nodeName: string;
  readonly nodeIp: string;
  readonly client: HttpClient;
  readonly identity: () => NodeIdentity;
}

/** What the API server asks of this node: over TLS on its address, or through its tunnel. */
async function startNodeServer(
  opened: Opened,
  host: HostParts,
  { kubeletPort, tunnel = false }: NodeOptions,
  { nodeName, nodeIp, client, identity }: Served,
): Promise<NodeServer> {
  const { scope, clock, log, dataDir, entropy } = host;
  let handle: HttpHandler | undefined;
  let markReachable: () => void = () => {};
  const reachable = new Promise<void>((resolve, reject) => {
    markReachable = resolve;
    scope.signal.addEventListener('abort', () => reject(scope.signal.reason as Error), { once: true }); // unwrapped
  });
  reachable.catch(() => {}); // nobody may wait for it any more
  const serve = (next: HttpHandler): void => void (handle = next);
  const { certificateAuthority } = identity();
  const wish = servingOf(nodeName, [nodeIp]);
  const kept = tunnel ? undefined : readServing(dataDir, wish, certificateAuthority, clock.wallMs());
  const first = kept ?? (await temporaryServing(nodeName, clock.wallMs()));
  const answer: HttpHandler = async (request, signal) => {
    if (handle !== undefined) return await handle(request, signal);
    return { status: 503, headers: {}, body: 'the node is starting' };
  };
  const tlsIdentity = { certificate: first.clientCertificate, key: first.clientKey, clientCa: certificateAuthority };
  const listener = new HttpsListener({ handle: answer, log }, { host: nodeIp, ...tlsIdentity });
  opened.add(() => listener.close());
  scope.start(() => listener.done());
  if (tunnel) {
    const onConnection = (connection: Parameters<HttpsListener['accept']>[0]): void =>
      listener.accept(connection, kubeletClient);
    const deps = { clock, entropy: entropy.fork(), log, access: identity, onConnection, onOpen: markReachable };
    scope.start((signal) => runTunnel(nodeName, deps, signal));
    return { port: kubeletPortDefault, serve, reachable };
  }
  const port = await listenOn(listener, kubeletPort);
  if (kept !== undefined) markReachable();
  const rotation = { client, clock, entropy: entropy.fork(), log };
  scope.start((signal) =>
    keepCertificate(
      rotation,
      wish,
      kept?.clientCertificate,
      (issued) => {
        writeServing(dataDir, issued);
        listener.renew(issued.clientCertificate, issued.clientKey);
        markReachable();
      },
      signal,
    ),
  );
  return { port, serve, reachable };
}

async function listenOn(listener: HttpsListener, asked: number | undefined): Promise<number> {
  try {
    return (await listener.listen(asked ?? kubeletPortDefault)).port;
  } catch (error) {
    if (asked !== undefined || !hasReason(error, 'Conflict')) throw error;
    return (await listener.listen(0)).port; // e.g. another node on this computer
  }
}
