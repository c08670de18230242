/** The kinds that this server serves, each with its storage, its rules and its subresources. */
import type { EvictionSeconds } from '../api/admission.ts';
import type { Event, EventsV1Event } from '../api/gen/types.ts';
import { resources, scaleType } from '../api/resources.ts';
import type { ResourceType, Verb } from '../api/resources.ts';
import { InvariantError } from '../base/status-error.ts';
import type { ServedResource, ServedSubresource } from './discovery.ts';
import { fromEventsV1, toEventsV1 } from './event-conversion.ts';
import type { Registry } from './registry.ts';
import { scaleOf } from './scale.ts';
import { strategyOf } from './strategy.ts';
import type { Strategy } from './strategy.ts';
import type { FullObject } from './stored-object.ts';

/** Between the version of a path and the version in the store. */
export interface Conversion {
  fromStored(object: FullObject): FullObject;
  toStored(object: FullObject): FullObject;
}

export interface Served {
  /** As in the path. */
  readonly type: ResourceType;
  readonly registry: Registry;
  readonly strategy: Strategy;
  /** `undefined`: it is stored as it is shown. */
  readonly conversion: Conversion | undefined;
}

// The casts are between an event and the type that all objects share.
const eventConversion: Conversion = {
  fromStored: (object) => toEventsV1(object as unknown as Event) as unknown as FullObject,
  toStored: (object) => fromEventsV1(object as unknown as EventsV1Event) as unknown as FullObject,
};

const readWrite: readonly Verb[] = ['get', 'patch', 'update'];
const statusSubresource = (kind: string): ServedSubresource => ({ name: 'status', kind, verbs: readWrite });
const scaleSubresource: ServedSubresource = {
  name: 'scale',
  kind: scaleType.kind,
  group: scaleType.group,
  version: scaleType.version,
  verbs: readWrite,
};

const subresourcesByResource: Readonly<Record<string, readonly ServedSubresource[]>> = {
  pods: [
    { name: 'attach', kind: 'PodAttachOptions', verbs: ['create', 'get'] },
    { name: 'binding', kind: 'Binding', verbs: ['create'] },
    { name: 'ephemeralcontainers', kind: 'Pod', verbs: readWrite },
    { name: 'eviction', kind: 'Eviction', group: 'policy', version: 'v1', verbs: ['create'] },
    { name: 'exec', kind: 'PodExecOptions', verbs: ['create', 'get'] },
    { name: 'log', kind: 'Pod', verbs: ['get'] },
    { name: 'portforward', kind: 'PodPortForwardOptions', verbs: ['create', 'get'] },
    { name: 'proxy', kind: 'PodProxyOptions', verbs: ['create', 'delete', 'get', 'patch', 'update'] },
  ],
  nodes: [{ name: 'proxy', kind: 'NodeProxyOptions', verbs: ['create', 'delete', 'get', 'patch', 'update'] }],
  serviceaccounts: [
    { name: 'token', kind: 'TokenRequest', group: 'authentication.k8s.io', version: 'v1', verbs: ['create'] },
  ],
  namespaces: [{ name: 'finalize', kind: 'Namespace', verbs: ['update'] }],
  certificatesigningrequests: [{ name: 'approval', kind: 'CertificateSigningRequest', verbs: readWrite }],
};

/** Of upstream's names of group, version and kind: the same in every cluster. */
const storageVersionHashes: Readonly<Record<string, string>> = {
  certificatesigningrequests: '95fRKMXA+00=',
  configmaps: 'qFsyl6wFWjQ=',
  controllerrevisions: '85nkx63pcBU=',
  daemonsets: 'dd7pWHUlMKQ=',
  deployments: '8aSe+NMegvE=',
  events: 'r2yiGXH7wu8=',
  jobs: 'mudhfqk/qZY=',
  leases: 'gqkMMb/YqFM=',
  namespaces: 'Q3oi5N2YM8M=',
  nodes: 'XwShjMxG9Fs=',
  pods: 'xPOwRZ+Yhw8=',
  poddisruptionbudgets: 'EVWiDmWqyJw=',
  podtemplates: 'LIXB2x4IFpk=',
  priorityclasses: '1QwjyaZjj3Y=',
  replicasets: 'P1RzHs8/mWQ=',
  replicationcontrollers: 'Jond2If31h0=',
  secrets: 'S6u1pOWzb84=',
  serviceaccounts: 'pbx9ZvyFpBE=',
};

/** The kinds that are stored, in their storage versions. */
export function storedTypes(): ResourceType[] {
  return Object.values<ResourceType>(resources).filter((type) => isStored(type) && type !== resources.eventsV1);
}

/** All kinds with a path. */
export function servedTypes(): ResourceType[] {
  return Object.values<ResourceType>(resources);
}

function isStored(type: ResourceType): boolean {
  return type.verbs.includes('get');
}

export function servedOf(
  type: ResourceType,
  registryOf: (type: ResourceType) => Registry,
  evictionSeconds?: EvictionSeconds,
): Served {
  const isEventsV1 = type === resources.eventsV1;
  return {
    type,
    registry: registryOf(isEventsV1 ? resources.events : type),
    strategy: strategyOf(type, evictionSeconds),
    conversion: isEventsV1 ? eventConversion : undefined,
  };
}

/** The `/scale` of a kind: its objects, shown as scales. */
export function scaleOfServed(served: Served): Served {
  const noWrite = (): never => {
    throw new InvariantError('scales are not stored');
  };
  const conversion = { fromStored: scaleOf, toStored: noWrite };
  return { ...served, type: scaleType, conversion };
}

/** What discovery tells of them. */
export function servedResources(): ServedResource[] {
  return servedTypes().map((type) => ({
    type,
    subresources: [
      ...(type === resources.eventsV1 ? [] : (subresourcesByResource[type.resource] ?? [])),
      ...(type.hasScale ? [scaleSubresource] : []),
      ...(type.hasStatus ? [statusSubresource(type.kind)] : []),
    ],
    storageVersionHash: storageVersionHashes[type.resource],
  }));
}
