import type { ClusterHandle, ClusterOptions } from './cluster.ts';
import { Opened, openHost } from './opened.ts';
import { runningOf } from './running.ts';
import { openServer, openStore, preparePki } from './server-parts.ts';
import type { ControlPlaneHostOptions } from './server-parts.ts';
import { hostNodeName } from './host-facts.ts';

/** How to start a control plane without a node; every field has a default that suits a test. */
export type ServerOptions = ControlPlaneHostOptions & Pick<ClusterOptions, 'dataDir' | 'log'>;

/** A running control plane. */
export type ServerHandle = Omit<ClusterHandle, 'nodeName' | 'runtime' | 'notices' | 'leave'>;

/**
 * Starts API server, scheduler and controllers in this process, for nodes that join. Resolves when the API server
 * answers. Errors: `StatusError` whose message says what to do.
 */
export function startServer(options: ServerOptions = {}): Promise<ServerHandle> {
  return Opened.for(async (opened) => {
    const host = openHost(opened, options);
    const { scope, log, dataDir } = host;
    const nodeName = hostNodeName();
    const pki = await preparePki(host, options, nodeName);
    const store = await openStore(opened, host, options);
    opened.add(() => scope.close());
    const server = await openServer(opened, { ...host, store, pki, nodeName }, options);
    const { url, kubeconfig, kubeconfigPath, client } = server;
    log.info('serverReady', { url });
    return { ...runningOf(opened, scope), url, kubeconfig, kubeconfigPath, dataDir, client };
  });
}
