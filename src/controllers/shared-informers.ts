import type { KubernetesObject, ResourceType } from '../api/resources.ts';
import type { TaskScope } from '../base/task-scope.ts';
import type { Informer } from '../client/informer.ts';
import { ListWatchInformer } from '../client/list-watch-informer.ts';
import type { ControllerDeps } from './run-controller.ts';

/** One informer for each kind, whoever looks at it. */
export class SharedInformers {
  readonly #deps: ControllerDeps;
  readonly #byType = new Map<ResourceType, Informer<KubernetesObject>>();
  readonly #own = new Set<Informer<KubernetesObject>>(); // those that nobody else runs

  constructor(deps: ControllerDeps) {
    this.#deps = deps;
  }

  /** One that somebody else runs. */
  add<T extends KubernetesObject>(type: ResourceType<T>, informer: Informer<T>): void {
    this.#byType.set(type, asAny(informer));
  }

  of<T extends KubernetesObject>(type: ResourceType<T>): Informer<T> {
    let informer = this.#byType.get(type);
    if (informer === undefined) {
      const { entropy } = this.#deps;
      informer = asAny(new ListWatchInformer({ ...this.#deps, type, entropy: entropy.fork(type.resource) }));
      this.#byType.set(type, informer);
      this.#own.add(informer);
    }
    // `add` and this method put in only informers of the type.
    return informer as unknown as Informer<T>;
  }

  run(scope: TaskScope): void {
    for (const informer of this.#own) scope.start((signal) => informer.run(signal));
  }
}

function asAny<T extends KubernetesObject>(informer: Informer<T>): Informer<KubernetesObject> {
  // It is only given out again as what it was.
  return informer as unknown as Informer<KubernetesObject>;
}
