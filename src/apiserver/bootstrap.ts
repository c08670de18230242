/** What must exist before anything else can: the system's namespaces, each with its service account. */
import type { Draft } from '../api/draft.ts';
import type { Namespace } from '../api/gen/types.ts';
import type { Entropy } from '../base/entropy.ts';
import type { Log } from '../base/log.ts';
import { runReconciler } from '../base/run-reconciler.ts';
import { hasReason, InvariantError, messageOf } from '../base/status-error.ts';
import type { WorkQueue } from '../base/work-queue.ts';
import type { ObjectCreator } from './create-object.ts';
import type { Registry } from './registry.ts';
import type { Served } from './served.ts';
import type { FullObject } from './stored-object.ts';
import type { CacheWatcher } from './watch-cache.ts';

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

/** After a gap in the history: time for the cache to be filled again. */
const recheckAfterMs = 5_000;

interface AccountDeps {
  readonly creator: ObjectCreator;
  readonly namespaces: Registry;
  readonly serviceAccounts: Registry;
  readonly entropy: Entropy;
  readonly log: Log;
  /** Of names of namespaces. */
  readonly queue: WorkQueue<string>;
}

/**
 * Gives each namespace that is not going away the service account `default`, again when somebody deletes it. (A new
 * namespace has it from its first revision on.) Upstream: the service account controller. Until `signal` aborts.
 */
export async function runDefaultServiceAccounts(deps: AccountDeps, signal: AbortSignal): Promise<void> {
  const { namespaces, serviceAccounts, queue } = deps;
  const addAll = (afterMs: number): void => {
    for (const { object } of namespaces.cache.items(namespaces.prefix)) {
      queue.addAfter(object.metadata.name ?? '', afterMs);
    }
  };
  const watcher: CacheWatcher = {
    onEvent(event) {
      const { namespace = '', name } = event.gone().object.metadata;
      if (event.current === undefined && name === 'default') queue.add(namespace);
    },
    onReset() {
      if (signal.aborted) return;
      unsubscribe = serviceAccounts.cache.subscribe(watcher);
      addAll(recheckAfterMs);
    },
  };
  let unsubscribe = serviceAccounts.cache.subscribe(watcher);
  addAll(0);
  try {
    await runReconciler(
      {
        name: 'defaultServiceAccount',
        async reconcile(namespace) {
          await ensureAccount(deps, namespace, signal);
          return { kind: 'settled' };
        },
      },
      queue,
      {
        entropy: deps.entropy,
        onError(error, namespace) {
          if (error instanceof InvariantError) throw error;
          deps.log.warn('defaultServiceAccountFailed', { namespace, error: messageOf(error) });
        },
      },
      signal,
    );
  } finally {
    unsubscribe();
  }
}

async function ensureAccount(deps: AccountDeps, namespace: string, signal: AbortSignal): Promise<void> {
  const found = await deps.namespaces.find('', namespace, signal);
  if (found === undefined) return;
  const { object } = deps.namespaces.cache.intern(found);
  if (object.metadata.deletionTimestamp !== undefined) return;
  if ((await deps.serviceAccounts.find(namespace, 'default', signal)) !== undefined) return;
  const account = deps.creator.newServiceAccount(namespace);
  const holds = [{ key: found.key, modRevision: found.modRevision }];
  try {
    await deps.serviceAccounts.create(account, { dryRun: false, signal }, { holds, put: [] });
  } catch (error) {
    if (!hasReason(error, 'AlreadyExists')) throw error;
  }
}
