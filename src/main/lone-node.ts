import path from 'node:path';
import type { ObjectReference, Pod } from '../api/gen/types.ts';
import type { Log } from '../base/log.ts';
import type { EventRecorder } from '../client/event-recorder.ts';
import { hostIp } from './host-facts.ts';
import { beginRuntime, checkedNodeName, startKubelet } from './node-parts.ts';
import type { NodeHostOptions } from './node-parts.ts';
import { Opened, openHost } from './opened.ts';
import { endingOf, runningOf } from './running.ts';
import type { Running } from './running.ts';

/** How to start a node without a server. */
export interface LoneNodeOptions extends NodeHostOptions {
  /** Directory of manifests. One that is not there is an error. */
  readonly manifests: string;
  /** Where state and logs are kept, made if absent. Default: a temporary directory, removed by `stop()`. */
  readonly dataDir?: string;
  /** Default: silence. */
  readonly log?: Log;
  /** Called for what happens to pods, as events of them would tell it. Must be quick and must not throw. */
  readonly onEvent?: (event: NodeEvent) => void;
}

export interface NodeEvent {
  /** A pod or one of its containers, or the node. */
  readonly object: ObjectReference;
  readonly type: 'Normal' | 'Warning';
  /** `Started`, `Unhealthy`, `Killing`, ... */
  readonly reason: string;
  readonly message: string;
}

/** A running node without a server. */
export interface LoneNodeHandle extends Running {
  readonly dataDir: string;
  /** Where containers' logs are: `NAMESPACE_POD_UID/CONTAINER/RESTARTS.log`. */
  readonly logDir: string;
  readonly nodeName: string;
  /** What runs the containers: `process`, or the socket `unix:///...`. */
  readonly runtime: string;
  /** What its user should know once. Usually empty. */
  readonly notices: readonly string[];
  /** Its pods, with their status. */
  pods(): readonly Pod[];
}

/**
 * Runs the pods of a directory of manifests on this computer, with probes and restarts, and asks no server. Resolves
 * when it has begun to. Errors: `StatusError` whose message says what to do. Upstream: a kubelet without `--kubeconfig`.
 */
export function startLoneNode(options: LoneNodeOptions): Promise<LoneNodeHandle> {
  return Opened.for((opened) => startLoneNodeIn(opened, options));
}

async function startLoneNodeIn(opened: Opened, options: LoneNodeOptions): Promise<LoneNodeHandle> {
  const nodeName = checkedNodeName(options);
  const host = openHost(opened, options);
  const { scope, log, dataDir } = host;
  const starting = beginRuntime(opened, host, options, false);
  opened.add(() => scope.close());
  const openedRuntime = await starting.opening;
  const recorder: EventRecorder = {
    event(object, type, reason, message) {
      log.info('event', { kind: object.kind, name: object.name, field: object.fieldPath, type, reason, message });
      options.onEvent?.({ object, type, reason, message });
    },
  };
  const node = { nodeName, server: { client: undefined, recorder }, nodeIps: [hostIp()], kubeletPort: 0 };
  const kubelet = await startKubelet(host, starting, node, options);
  log.info('loneNodeStarted', { nodeName, manifests: options.manifests });
  return {
    ...runningOf(opened, scope, endingOf(openedRuntime, kubelet, host)),
    dataDir,
    logDir: path.join(dataDir, 'pods'),
    nodeName,
    runtime: openedRuntime.name,
    notices: openedRuntime.notices,
    pods: () => kubelet.pods(),
  };
}
