import type { Secret } from '../../api/gen/types.ts';
import { bootstrapTokenType, expiryOf } from '../../api/bootstrap-token.ts';
import { resources } from '../../api/resources.ts';
import type { Outcome, Reconciler } from '../../base/run-reconciler.ts';
import { hasReason } from '../../base/status-error.ts';
import type { TaskScope } from '../../base/task-scope.ts';
import { WorkQueue } from '../../base/work-queue.ts';
import type { Informer } from '../../client/informer.ts';
import { ListWatchInformer } from '../../client/list-watch-informer.ts';
import { startWorkers } from '../run-controller.ts';
import type { ControllerDeps } from '../run-controller.ts';

const namespace = 'kube-system';

/** Deletes bootstrap tokens when they expire. Upstream: the controller tokencleaner. */
export function startTokenCleaner(scope: TaskScope, deps: ControllerDeps): void {
  const fieldSelector = `type=${bootstrapTokenType}`;
  const secrets = new ListWatchInformer<Secret>({ ...deps, type: resources.secrets, namespace, fieldSelector });
  const queue = new WorkQueue<string>({ clock: deps.clock, signal: scope.signal });
  secrets.onChange(({ current }) => {
    if (current !== undefined) queue.add(current.metadata?.name ?? '');
  });
  startWorkers(scope, deps, new TokenCleaner(deps, secrets), queue, { workers: 1, synced: [secrets] });
  scope.start((signal) => secrets.run(signal));
}

class TokenCleaner implements Reconciler<string> {
  readonly name = 'tokenCleaner';
  readonly #deps: ControllerDeps;
  readonly #secrets: Informer<Secret>;

  constructor(deps: ControllerDeps, secrets: Informer<Secret>) {
    this.#deps = deps;
    this.#secrets = secrets;
  }

  async reconcile(name: string, signal: AbortSignal): Promise<Outcome> {
    const secret = this.#secrets.get(namespace, name);
    const expiry = secret === undefined ? undefined : expiryOf(secret);
    if (expiry === undefined) return { kind: 'settled' };
    const leftMs = expiry - this.#deps.clock.wallMs();
    if (leftMs > 0) return { kind: 'again', afterMs: leftMs };
    try {
      await this.#deps.client.delete(resources.secrets, { namespace, name }, {}, signal);
      this.#deps.log.info('bootstrapTokenExpired', { name });
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error;
    }
    return { kind: 'settled' };
  }
}
