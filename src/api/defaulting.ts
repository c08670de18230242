import { defaultPod } from './defaulting-pod.ts';
import {
  defaultDaemonSet,
  defaultDeployment,
  defaultJob,
  defaultReplicaSet,
  defaultReplicationController,
  defaultTemplate,
} from './defaulting-workloads.ts';
import type { Draft } from './draft.ts';
import type {
  ConfigMap,
  DaemonSet,
  Deployment,
  Job,
  Namespace,
  Node,
  Pod,
  PodTemplate,
  PriorityClass,
  ReplicaSet,
  ReplicationController,
  Secret,
  TokenRequest,
} from './gen/types.ts';
import type { KubernetesObject, ResourceType } from './resources.ts';
import { setMember } from './set-member.ts';

/**
 * Fills in the defaults of an object that was just decoded, in place, and returns it. Never give it an object that
 * anybody else holds. Upstream: the `SetDefaults_*` functions and the conversions' aliases.
 */
export function applyDefaults<T extends KubernetesObject>(type: ResourceType<T>, object: Draft<T>): Draft<T> {
  // The model names the type of the object: decoding made it after the same table.
  defaultersByModel.get(type.model)?.(object as Draft<KubernetesObject>);
  return object;
}

type Defaulter = (object: Draft<KubernetesObject>) => void;

function defaulter<T>(fill: (object: Draft<T>) => void): Defaulter {
  // Holds because `applyDefaults` picks the row by the object's model.
  return fill as unknown as Defaulter;
}

const defaultersByModel: ReadonlyMap<string, Defaulter> = new Map<string, Defaulter>([
  ['Pod', defaulter<Pod>(defaultPod)],
  ['PodTemplate', defaulter<PodTemplate>(({ template }) => defaultTemplate(template))],
  ['ReplicationController', defaulter<ReplicationController>(defaultReplicationController)],
  ['Deployment', defaulter<Deployment>(defaultDeployment)],
  ['Job', defaulter<Job>(defaultJob)],
  ['DaemonSet', defaulter<DaemonSet>(defaultDaemonSet)],
  ['ReplicaSet', defaulter<ReplicaSet>(defaultReplicaSet)],
  ['Namespace', defaulter<Namespace>(defaultNamespace)],
  ['Node', defaulter<Node>(defaultNode)],
  ['Secret', defaulter<Secret>(defaultSecret)],
  ['ConfigMap', defaulter<ConfigMap>(defaultConfigMap)],
  ['PriorityClass', defaulter<PriorityClass>(defaultPriorityClass)],
  ['TokenRequest', defaulter<TokenRequest>(defaultTokenRequest)],
]);

function defaultNamespace(namespace: Draft<Namespace>): void {
  const name = namespace.metadata?.name;
  if (namespace.metadata !== undefined && name !== undefined && name !== '') {
    namespace.metadata.labels ??= {};
    namespace.metadata.labels['kubernetes.io/metadata.name'] = name;
  }
  namespace.status ??= {};
  namespace.status.phase ??= 'Active';
}

function defaultNode(node: Draft<Node>): void {
  const { status } = node;
  if (status?.capacity !== undefined && status.allocatable === undefined) status.allocatable = { ...status.capacity };
}

/** `stringData` is for writing only: it ends up in `data`. */
function defaultSecret(secret: Draft<Secret>): void {
  secret.type ??= 'Opaque';
  const { stringData } = secret;
  if (stringData === undefined) return;
  secret.data ??= {};
  for (const [key, text] of Object.entries(stringData)) setMember(secret.data, key, base64OfText(text));
  delete secret.stringData;
}

/** UTF-8 text -> base64. */
export function base64OfText(text: string): string {
  let bytes = '';
  for (const byte of new TextEncoder().encode(text)) bytes += String.fromCharCode(byte);
  return btoa(bytes);
}

/** Empty maps are not written. */
function defaultConfigMap(configMap: Draft<ConfigMap>): void {
  if (configMap.data !== undefined && Object.keys(configMap.data).length === 0) delete configMap.data;
}

function defaultPriorityClass(priorityClass: Draft<PriorityClass>): void {
  priorityClass.preemptionPolicy ??= 'PreemptLowerPriority';
}

const tokenSeconds = 3_600;

function defaultTokenRequest(request: Draft<TokenRequest>): void {
  request.spec ??= { audiences: [] };
  request.spec.expirationSeconds ??= tokenSeconds;
}
