import net from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { Node } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import type { HttpHandler, HttpRequest, HttpResponse, UserInfo } from '../base/http.ts';
import { StatusError } from '../base/status-error.ts';
import type { Client } from '../client/client.ts';
import { failureText } from '../client/http/http-client.ts';
import type { Pki } from '../host/pki.ts';
import { connected } from './connected.ts';
import { requestOver } from './node-request.ts';

const defaultKubeletPort = 10_250;

/** Who the API server is to kubelets. */
export const kubeletClient: UserInfo = { name: 'kube-apiserver-kubelet-client', groups: ['system:masters'] };

export interface NodeServersDeps {
  /** Reads Nodes. */
  readonly client: () => Client;
  /** As it is now: certificates are renewed. */
  readonly pki: () => Pick<Pki, 'caPem' | 'kubeletClientCertPem' | 'kubeletClientKeyPem'>;
  /** A connection through the tunnel of this node, if it has one. */
  readonly tunnelled: (nodeName: string, signal: AbortSignal) => Promise<Duplex> | undefined;
}

/** The ways to the servers of the nodes: in this process, through the node's own tunnel, or to its address over TLS. */
export class NodeServers {
  readonly #deps: NodeServersDeps;
  readonly #local = new Map<string, HttpHandler>(); // by node name

  constructor(deps: NodeServersDeps) {
    this.#deps = deps;
  }

  /** A node of this process. */
  add(nodeName: string, handle: HttpHandler): void {
    this.#local.set(nodeName, handle);
  }

  /** Upstream: the kubelet's client of the API server. Does not depend on `this`. */
  readonly send = async (nodeName: string, request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> => {
    const local = this.#local.get(nodeName);
    if (local !== undefined) return await local({ ...request, user: kubeletClient }, signal);
    const tunnelled = this.#deps.tunnelled(nodeName, signal);
    const connection = tunnelled === undefined ? await this.#dial(nodeName, request, signal) : await tunnelled;
    return await requestOver(connection, nodeName, request, signal);
  };

  async #dial(nodeName: string, request: HttpRequest, signal: AbortSignal): Promise<Duplex> {
    const node = await this.#deps.client().get(resources.nodes, { name: nodeName }, signal);
    const { host, port } = addressOf(node);
    const { caPem, kubeletClientCertPem, kubeletClientKeyPem } = this.#deps.pki();
    const socket = tls.connect({
      host,
      port,
      ca: caPem,
      cert: kubeletClientCertPem,
      key: kubeletClientKeyPem,
      servername: nodeName, // whatever its address is, it has to be this node
      ALPNProtocols: ['http/1.1'],
    });
    const failed = (error: Error): StatusError => {
      const where = net.isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
      const { method, path } = request;
      const what = `${method.charAt(0)}${method.slice(1).toLowerCase()} "https://${where}${path}"`;
      const text = `${what}: ${failureText(error, { host: where, hostname: host })}`;
      return new StatusError('InternalError', text, { cause: error });
    };
    return await connected(socket, 'secureConnect', failed, signal);
  }
}

/** Upstream: `NodeConnectionInfoGetter`, with only addresses of the inside. */
function addressOf({ metadata, status }: Node): { readonly host: string; readonly port: number } {
  const host = status?.addresses?.find(({ type }) => type === 'InternalIP')?.address;
  const port = status?.daemonEndpoints?.kubeletEndpoint?.Port ?? 0;
  if (host !== undefined) return { host, port: port === 0 ? defaultKubeletPort : port };
  throw new StatusError('InternalError', `no preferred addresses found; known addresses: [] (node ${metadata?.name})`);
}
