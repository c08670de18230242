/** The public face of the package. */
export { startCluster } from './cluster.ts';
export type { ClusterHandle, ClusterOptions } from './cluster.ts';
export type { FailoverProfile } from './failover-profile.ts';
export { startLoneNode } from './lone-node.ts';
export type { LoneNodeHandle, LoneNodeOptions, NodeEvent } from './lone-node.ts';
export { startNode } from './node.ts';
export type { NodeHandle, NodeOptions } from './node.ts';
export { startServer } from './server.ts';
export type { ServerHandle, ServerOptions } from './server.ts';
export type { RuntimeChoice } from './runtime-choice.ts';
export type { Client, ListOptions, ObjectRef, PatchType, WatchEvent, WriteOptions } from '../client/client.ts';
export type { ProbeAttempt, ProbeType } from '../kubelet/probes/prober.ts';
export type { Log, LogFields } from '../base/log.ts';
export { resources } from '../api/resources.ts';
export type { KubernetesObject, ObjectList, ResourceType } from '../api/resources.ts';
export { StatusError } from '../base/status-error.ts';
export type { StatusReason } from '../base/status-error.ts';
