/** What must exist before anything else can: the system's namespaces, each with its service account. */
import type { Draft } from '../api/draft.ts';
import type { Namespace } from '../api/gen/types.ts';
import type { ObjectCreator } from './create-object.ts';
import type { Served } from './served.ts';
import type { FullObject } from './stored-object.ts';

const systemNamespaces = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];

export async function createSystemNamespaces(
  creator: ObjectCreator,
  namespaces: Served,
  signal: AbortSignal,
): Promise<void> {
  for (const name of systemNamespaces) {
    if ((await namespaces.registry.find('', name, signal)) !== undefined) continue;
    const object: Draft<Namespace & FullObject> = { kind: 'Namespace', apiVersion: 'v1', metadata: { name } };
    await creator.create(namespaces, '', object, { dryRun: false, signal });
  }
}
