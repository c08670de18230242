import net from 'node:net';
import path from 'node:path';
import { HttpsListener } from '../apiserver/http/https-listener.ts';
import type { HttpRequest } from '../base/http.ts';
import type { Client } from '../client/client.ts';
import { clusterCidrDefault } from '../api/cluster-cidr.ts';
import { applyJsonPatch } from '../host/json-patch.ts';
import { ensurePki } from '../host/pki.ts';
import type { Pki, PkiOptions } from '../host/pki.ts';
import { PrometheusMetrics } from '../host/prometheus-metrics.ts';
import { renderKubeconfig } from '../host/render-kubeconfig.ts';
import { writeSecretFile } from '../host/secret-file.ts';
import { openTokenIssuer } from '../host/token-issuer.ts';
import { yamlCodec } from '../host/yaml-codec.ts';
import { openLmdbStore } from '../store/lmdb/lmdb-store.ts';
import { MemoryStore } from '../store/memory-store.ts';
import type { Store } from '../store/store.ts';
import { startControlPlane } from './control-plane.ts';
import type { ControlPlane } from './control-plane.ts';
import type { FailoverProfile } from './failover-profile.ts';
import { hostIp, hostNodeName } from './host-facts.ts';
import { NodeServers } from './node-servers.ts';
import { sendToPod } from './pod-connections.ts';
import { NodeTunnels } from './node-tunnels.ts';
import type { HostParts, Opened } from './opened.ts';

/** How to start a control plane; every field has a default that suits a test. */
export interface ControlPlaneHostOptions {
  /** What keeps the objects. Default: `lmdb` with a `dataDir`, else `memory` (gone with the process). */
  readonly store?: 'lmdb' | 'memory';
  /** TCP port of the API server. Default 0: any free one. A taken one is an error. */
  readonly port?: number;
  /** Address that the API server listens on. Default `127.0.0.1`; `0.0.0.0` and `::`: all of this computer. */
  readonly bind?: string;
  /** Name or address by which others reach it. Default: `bind`, or this computer's address where that means all. */
  readonly advertise?: string;
  /**
   * How soon the pods of a lost node are replaced. Default `default`: upstream's 50 s until it counts as lost, and
   * 300 s more. `fast`: within 10 s of its last heartbeat, without giving up a node that answers. The numbers:
   * `failoverNumbers`.
   */
  readonly failover?: FailoverProfile;
  /**
   * The range of IPv4 addresses, /8 to /24, of which each node gets a /24 for its pods. Nodes that have one keep it.
   * Default `10.244.0.0/16`; of `startCluster` the next one if this computer has a route into that. Upstream:
   * `--cluster-cidr`.
   */
  readonly clusterCidr?: string;
  /** How long certificates are valid that are given out from now on. Default a year; at least 10 minutes for nodes. */
  readonly certificateLifeMs?: number;
}

const loopback = '127.0.0.1';
const certificateLifeMsDefault = 365 * 24 * 60 * 60 * 1_000;
const renewRetryMs = 60_000;
const sleepMsMax = 24 * 60 * 60 * 1_000; // longer timers are cut short by Node.js

export interface ServerParts {
  readonly plane: ControlPlane;
  readonly nodes: NodeServers;
  /** `https://HOST:PORT`. */
  readonly url: string;
  readonly kubeconfig: string;
  readonly kubeconfigPath: string;
  /** Administrator's client, in process. */
  readonly client: Client;
}

function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}

/** Where others reach the API server. */
function advertisedHost({ bind = loopback, advertise }: ControlPlaneHostOptions): string {
  return advertise ?? (isWildcard(bind) ? hostIp() : bind);
}

/** `nodeName`: of a node in the same process, by whose name the server can be reached too. */
export function preparePki(host: HostParts, options: ControlPlaneHostOptions, nodeName: string): Promise<Pki> {
  return ensurePki(host.dataDir, pkiOptions(options, nodeName), host);
}

function pkiOptions(options: ControlPlaneHostOptions, nodeName: string): PkiOptions {
  const { bind = loopback, certificateLifeMs } = options;
  const hosts = [advertisedHost(options), ...(isWildcard(bind) ? [hostIp()] : [bind])];
  return {
    nodeName,
    dnsNames: hosts.filter((name) => net.isIP(name) === 0),
    ipAddresses: hosts.filter((name) => net.isIP(name) !== 0),
    ...(certificateLifeMs === undefined ? {} : { leafLifeMs: certificateLifeMs }),
  };
}

export async function openStore(
  opened: Opened,
  { dataDir, isTemporary, lock, log }: HostParts,
  options: ControlPlaneHostOptions,
): Promise<Store> {
  const wantsLmdb = (options.store ?? (isTemporary ? 'memory' : 'lmdb')) === 'lmdb';
  const store = wantsLmdb ? await openLmdbStore({ directory: dataDir, log, lock }) : new MemoryStore();
  opened.add(() => store.close());
  return store;
}

/** Starts API server, scheduler and controllers, and listens. */
export async function openServer(
  opened: Opened,
  host: HostParts & { readonly store: Store; readonly pki: Pki; readonly nodeName: string },
  options: ControlPlaneHostOptions,
): Promise<ServerParts> {
  const { scope, log, dataDir } = host;
  let { pki } = host;
  let address = '';
  const tunnels = new NodeTunnels(host);
  const nodes = new NodeServers({
    client: () => client,
    pki: () => pki,
    tunnelled: (nodeName, signal) => tunnels.connect(nodeName, signal),
  });
  const plane = await startControlPlane(
    scope,
    {
      ...host,
      metrics: new PrometheusMetrics(),
      jsonPatch: applyJsonPatch,
      tokens: openTokenIssuer(dataDir, { log }),
      yaml: yamlCodec,
      nodes: nodes.send,
      pods: sendToPod,
    },
    {
      hostName: hostNodeName(),
      rootCaPem: pki.caPem,
      serverAddress: () => address,
      failover: options.failover ?? 'default',
      clusterCidr: options.clusterCidr ?? clusterCidrDefault,
      signing: {
        authority: pki.authority,
        certificateLifeMs: options.certificateLifeMs ?? certificateLifeMsDefault,
      },
    },
  );
  const client = plane.clientOf('kubernetes-admin', ['system:masters', 'system:authenticated']);
  const handle = (request: HttpRequest, signal: AbortSignal): ReturnType<typeof plane.server.handle> =>
    tunnels.handle(request) ?? plane.server.handle(request, signal);
  const { bind = loopback } = options;
  const identity = { certificate: chainOf(pki), key: pki.serverKeyPem, clientCa: pki.caPem };
  const listener = new HttpsListener({ handle, log }, { host: bind, ...identity });
  const { port } = await listener.listen(options.port ?? 0);
  opened.add(() => listener.close());
  scope.start(() => listener.done());
  const advertised = advertisedHost(options);
  address = net.isIPv6(advertised) ? `[${advertised}]:${port}` : `${advertised}:${port}`;
  const ip = net.isIP(advertised) === 0 ? hostIp() : advertised;
  await plane.server.publish({ ip, port }, scope.signal);
  const url = `https://${address}`;
  const kubeconfigPath = path.join(dataDir, 'kubeconfig');
  writeSecretFile(kubeconfigPath, adminKubeconfig(url, pki));
  scope.start((signal) =>
    keepCertificates(host, pkiOptions(options, host.nodeName), pki, signal, (renewed) => {
      pki = renewed;
      listener.renew(chainOf(pki), pki.serverKeyPem);
      writeSecretFile(kubeconfigPath, adminKubeconfig(url, pki));
    }),
  );
  return { plane, nodes, url, kubeconfig: adminKubeconfig(url, pki), kubeconfigPath, client };
}

/** With the authority's, so that a node that joins can look at its hash. */
function chainOf({ serverCertPem, caPem }: Pki): string {
  return serverCertPem + caPem;
}

function adminKubeconfig(server: string, pki: Pki): string {
  return renderKubeconfig({
    server,
    clusterName: 'livelet',
    userName: 'kubernetes-admin',
    caPem: pki.caPem,
    clientCertPem: pki.adminCertPem,
    clientKeyPem: pki.adminKeyPem,
  });
}

/** Has new certificates made before the old ones end. */
async function keepCertificates(
  host: HostParts,
  options: PkiOptions,
  first: Pki,
  signal: AbortSignal,
  onRenewed: (pki: Pki) => void,
): Promise<void> {
  const { clock, log, dataDir } = host;
  let pki = first;
  for (;;) {
    const leftMs = pki.renewWallMs - clock.wallMs();
    await clock.sleep(Math.max(renewRetryMs / 60, Math.min(leftMs, sleepMsMax)), 'server.certificates', signal);
    if (clock.wallMs() < pki.renewWallMs) continue;
    try {
      pki = await ensurePki(dataDir, options, host);
      onRenewed(pki);
    } catch (error) {
      log.error('certificatesNotRenewed', { error: error instanceof Error ? error.message : String(error) });
      await clock.sleep(renewRetryMs, 'server.certificates.retry', signal);
    }
  }
}
