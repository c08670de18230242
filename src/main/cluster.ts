import type { Log } from '../base/log.ts';
import type { Client } from '../client/client.ts';
import type { ProbeAttempt } from '../kubelet/probes/prober.ts';

/** How to start a cluster; every field has a default that suits a test. */
export interface ClusterOptions {
  /**
   * Where state, certificates and logs are kept, made if absent. Default: a temporary directory, removed by `stop()`.
   * One process at a time may use it.
   */
  readonly dataDir?: string;
  /** What keeps the objects. Default: `lmdb` with a `dataDir`, else `memory` (gone with the process). */
  readonly store?: 'lmdb' | 'memory';
  /** TCP port of the API server on 127.0.0.1. Default 0: any free one. A taken one is an error. */
  readonly port?: number;
  /** Name of the one node, an RFC 1123 subdomain. Default: this computer's host name. */
  readonly nodeName?: string;
  /** What runs the containers. Default `process`: local processes. */
  readonly runtime?: 'process';
  /** Default: silence. */
  readonly log?: Log;
  /** Called for every attempt of every probe on this node. Must be quick and must not throw. */
  readonly onProbeAttempt?: (attempt: ProbeAttempt) => void;
}

/** A running cluster. */
export interface ClusterHandle {
  /** `https://127.0.0.1:PORT`. */
  readonly url: string;
  /** Full kubeconfig of the administrator, certificates embedded. */
  readonly kubeconfig: string;
  /** The file that has it (mode 0600). */
  readonly kubeconfigPath: string;
  readonly dataDir: string;
  readonly nodeName: string;
  /** Administrator's client, in process. */
  readonly client: Client;
  /** What its user should know once: e.g. that the kernel does not permit PID namespaces. Usually empty. */
  readonly notices: readonly string[];
  /** Settles when the cluster has stopped; rejects if it broke down by itself. */
  readonly stopped: Promise<void>;
  /**
   * Ends the containers gracefully (at most `graceMs`, default 5,000, then SIGKILL), then everything else. The objects
   * stay in `dataDir`, and a later start runs their pods again. Idempotent.
   */
  stop(graceMs?: number): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Starts API server, scheduler, controllers and one node in this process; resolves when the node is Ready and the default
 * service account is there, so that the next request succeeds. Errors: `StatusError` whose message says what to do.
 */
export function startCluster(_options: ClusterOptions = {}): Promise<ClusterHandle> {
  return Promise.reject(new Error('not wired yet'));
}
