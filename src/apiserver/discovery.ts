/**
 * What is served: `/api`, `/apis`, a list of resources for each group version, and both at once (aggregated discovery).
 * Upstream: `k8s.io/apiserver/pkg/endpoints/discovery`.
 */
import type { Verb, ResourceType } from '../api/resources.ts';

/** A subresource in discovery. */
export interface ServedSubresource {
  readonly name: string;
  readonly kind: string;
  /** Of `kind`, where it is not the group version of the resource. */
  readonly group?: string;
  readonly version?: string;
  readonly verbs: readonly Verb[];
}

export interface ServedResource {
  readonly type: ResourceType;
  readonly subresources: readonly ServedSubresource[];
  /** The group of the stored version and its name, from which clients tell whether two resources share storage. */
  readonly storageVersionHash: string | undefined;
}

interface GroupVersion {
  readonly group: string;
  readonly version: string;
  readonly resources: readonly ServedResource[];
}

function byGroupVersion(served: readonly ServedResource[]): GroupVersion[] {
  const groups = new Map<string, ServedResource[]>();
  for (const resource of served) {
    const key = `${resource.type.group}/${resource.type.version}`;
    const known = groups.get(key);
    if (known === undefined) groups.set(key, [resource]);
    else known.push(resource);
  }
  return [...groups].map(([key, resources]) => {
    const slash = key.indexOf('/');
    const sorted = [...resources].sort((a, b) => (a.type.resource < b.type.resource ? -1 : 1));
    return { group: key.slice(0, slash), version: key.slice(slash + 1), resources: sorted };
  });
}

export class Discovery {
  readonly #groupVersions: readonly GroupVersion[];
  readonly #serverAddress: () => string;

  /** `serverAddress`: `HOST:PORT`, as clients reach this server. */
  constructor(served: readonly ServedResource[], serverAddress: () => string) {
    this.#groupVersions = byGroupVersion(served);
    this.#serverAddress = serverAddress;
  }

  /** `v1`, `apps/v1`, ... */
  groupVersionNames(): string[] {
    return this.#groupVersions.map(({ group, version }) => (group === '' ? version : `${group}/${version}`));
  }

  resourcesOf(group: string, version: string): readonly ServedResource[] {
    return this.#groupVersions.find((each) => each.group === group && each.version === version)?.resources ?? [];
  }

  /** `/api` */
  apiVersions(): object {
    return {
      kind: 'APIVersions',
      versions: this.#groupVersions.filter(({ group }) => group === '').map(({ version }) => version),
      serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: this.#serverAddress() }],
    };
  }

  #groups(): { name: string; versions: string[] }[] {
    const groups = new Map<string, string[]>();
    for (const { group, version } of this.#groupVersions) {
      if (group !== '') groups.set(group, [...(groups.get(group) ?? []), version]);
    }
    return [...groups].map(([name, versions]) => ({ name, versions }));
  }

  /** `/apis` */
  groupList(): object {
    return {
      kind: 'APIGroupList',
      apiVersion: 'v1',
      groups: this.#groups().map((group) => groupBody(group)),
    };
  }

  /** `/apis/GROUP`; `undefined`: no such group. */
  group(name: string): object | undefined {
    const group = this.#groups().find((each) => each.name === name);
    return group === undefined ? undefined : { kind: 'APIGroup', apiVersion: 'v1', ...groupBody(group) };
  }

  /** `/api/v1`, `/apis/GROUP/VERSION`; `undefined`: no such group version. */
  resourceList(group: string, version: string): object | undefined {
    const found = this.#groupVersions.find((each) => each.group === group && each.version === version);
    if (found === undefined) return undefined;
    return {
      kind: 'APIResourceList',
      ...(group === '' ? {} : { apiVersion: 'v1' }),
      groupVersion: group === '' ? version : `${group}/${version}`,
      resources: found.resources.flatMap(resourceRows),
    };
  }

  /** The whole of `/api` (`legacy`) or `/apis` at once, for `Accept: ...;as=APIGroupDiscoveryList`. */
  aggregated(legacy: boolean, version: 'v2' | 'v2beta1'): object {
    const items = legacy ? [{ name: '', versions: ['v1'] }] : this.#groups();
    return {
      kind: 'APIGroupDiscoveryList',
      apiVersion: `apidiscovery.k8s.io/${version}`,
      metadata: {},
      items: items.map(({ name, versions }) => ({
        metadata: name === '' ? {} : { name },
        versions: versions.map((each) => ({
          version: each,
          resources: this.resourcesOf(name, each).map(aggregatedRow),
          freshness: 'Current',
        })),
      })),
    };
  }
}

function groupBody(group: { name: string; versions: string[] }): object {
  const versions = group.versions.map((version) => ({ groupVersion: `${group.name}/${version}`, version }));
  return { name: group.name, versions, preferredVersion: versions[0] };
}

function resourceRows({ type, subresources, storageVersionHash }: ServedResource): object[] {
  const rows: (readonly [name: string, row: object])[] = [
    [
      type.resource,
      {
        name: type.resource,
        singularName: type.singular,
        namespaced: type.namespaced,
        kind: type.kind,
        verbs: type.verbs,
        ...names(type),
        ...(storageVersionHash === undefined ? {} : { storageVersionHash }),
      },
    ],
  ];
  for (const { name, kind, group, version, verbs } of subresources) {
    const full = `${type.resource}/${name}`;
    const row = { name: full, singularName: '', namespaced: type.namespaced, ...other(group, version), kind, verbs };
    rows.push([full, row]);
  }
  return rows.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
}

function names(type: ResourceType): object {
  return {
    ...(type.shortNames.length === 0 ? {} : { shortNames: type.shortNames }),
    ...(type.categories.length === 0 ? {} : { categories: type.categories }),
  };
}

function other(group: string | undefined, version: string | undefined): object {
  return group === undefined ? {} : { group, version: version ?? '' };
}

function aggregatedRow({ type, subresources }: ServedResource): object {
  const scope = type.namespaced ? 'Namespaced' : 'Cluster';
  const kindOf = (kind: string, group: string | undefined, version: string | undefined): object => ({
    group: group ?? '',
    version: version ?? '',
    kind,
  });
  const sorted = [...subresources].sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    resource: type.resource,
    responseKind: kindOf(type.kind, undefined, undefined),
    scope,
    singularResource: type.singular,
    verbs: type.verbs,
    ...names(type),
    ...(sorted.length === 0
      ? {}
      : {
          subresources: sorted.map(({ name, kind, group, version, verbs }) => ({
            subresource: name,
            responseKind: kindOf(kind, group, version),
            verbs,
          })),
        }),
  };
}
