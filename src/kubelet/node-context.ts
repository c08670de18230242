import type { Service } from '../api/gen/types.ts';
import type { Clock } from '../base/clock.ts';
import type { Entropy } from '../base/entropy.ts';
import type { Log } from '../base/log.ts';
import type { Client } from '../client/client.ts';
import type { EventRecorder } from '../client/event-recorder.ts';
import type { Informer } from '../client/informer.ts';
import type { ContainerRuntime } from '../cri/runtime.ts';
import type { KubeletMetrics } from './kubelet-metrics.ts';
import type { NodeFiles } from './node-files.ts';
import type { NodeLayout } from './node-layout.ts';
import type { ObjectReader } from './object-reader.ts';
import type { PodCgroups } from './pod-cgroups.ts';
import type { ProbeTransport } from './probes/probe-transport.ts';

/** What the parts of one node's kubelet share. */
export interface NodeContext {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
  readonly metrics: KubeletMetrics;
  readonly client: Client;
  readonly objects: ObjectReader;
  /** For the environment of containers. `undefined`: there is no server. */
  readonly services: Informer<Service> | undefined;
  readonly recorder: EventRecorder;
  readonly runtime: ContainerRuntime;
  readonly files: NodeFiles;
  /** For the httpGet hooks of containers. */
  readonly transport: Pick<ProbeTransport, 'httpGet'>;
  readonly layout: NodeLayout;
  /** `undefined`: the runtime puts containers where it likes. */
  readonly podCgroups: PodCgroups | undefined;
  readonly nodeName: string;
  readonly hostname: string;
  /** The primary one first. */
  readonly hostIps: readonly string[];
  readonly allocatable: Readonly<Record<string, string>>;
  readonly memoryCapacityBytes: number;
  /** The scheme of container ids in statuses; asked only once the runtime has told its name. */
  readonly runtimeName: () => string;
}
