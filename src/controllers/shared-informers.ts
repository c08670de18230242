import type { KubernetesObject, ResourceType } from '../api/resources.ts';
import type { TaskScope } from '../base/task-scope.ts';
import type { Informer } from '../client/informer.ts';
import { ListWatchInformer } from '../client/list-watch-informer.ts';
import type { ControllerDeps } from './run-controller.ts';

/** One informer for each kind, whoever looks at it. */
export class SharedInformers {
  readonly #deps: ControllerDeps;
  readonly #byType = new Map<ResourceType, Informer<KubernetesObject>>();

  constructor(deps: ControllerDeps) {
    this.#deps = deps;
  }

  of<T extends KubernetesObject>(type: ResourceType<T>): Informer<T> {
    let informer = this.#byType.get(type);
    if (informer === undefined) {
      const { entropy } = this.#deps;
      informer = asAny(new ListWatchInformer({ ...this.#deps, type, entropy: entropy.fork(type.resource) }));
      this.#byType.set(type, informer);
    }
    // Only informers of the type are put in.
    return informer as unknown as Informer<T>;
  }

  /** Starts all that have been asked for. */
  run(scope: TaskScope): void {
    for (const informer of this.#byType.values()) scope.start((signal) => informer.run(signal));
  }
}

function asAny<T extends KubernetesObject>(informer: Informer<T>): Informer<KubernetesObject> {
  // It is only given out again as what it was.
  return informer as unknown as Informer<KubernetesObject>;
}
