/** What must exist before anything else can: the system's namespaces, each with its service account, and priorities. */
import type { Draft } from '../api/draft.ts';
import type { Namespace, PriorityClass } from '../api/gen/types.ts';
import { apiVersionOf } from '../api/resources.ts';
import { systemPriorityClasses } from '../api/system-priority-classes.ts';
import type { ObjectCreator } from './create-object.ts';
import type { Served } from './served.ts';
import type { FullObject } from './stored-object.ts';

const systemNamespaces = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];

export async function createSystemObjects(
  creator: ObjectCreator,
  kinds: { readonly namespaces: Served; readonly priorityClasses: Served },
  signal: AbortSignal,
): Promise<void> {
  const create = async (served: Served, object: Draft<FullObject>): Promise<void> => {
    if ((await served.registry.find('', object.metadata.name ?? '', signal)) !== undefined) return;
    await creator.create(served, '', object, { dryRun: false, signal });
  };
  for (const name of systemNamespaces) {
    const namespace: Draft<Namespace & FullObject> = { kind: 'Namespace', apiVersion: 'v1', metadata: { name } };
    await create(kinds.namespaces, namespace);
  }
  const { type } = kinds.priorityClasses;
  for (const { name, value, description } of systemPriorityClasses) {
    const priorityClass: Draft<PriorityClass & FullObject> = {
      kind: type.kind,
      apiVersion: apiVersionOf(type),
      metadata: { name },
      value,
      description,
    };
    await create(kinds.priorityClasses, priorityClass);
  }
}
