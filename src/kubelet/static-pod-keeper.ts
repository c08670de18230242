import type { Node, Pod } from '../api/gen/types.ts';
import { TaskScope } from '../base/task-scope.ts';
import type { Client } from '../client/client.ts';
import type { Informer } from '../client/informer.ts';
import { MirrorPods } from './mirror-pods.ts';
import type { StaticPodNow } from './mirror-pods.ts';
import type { NodeContext } from './node-context.ts';
import { podKeyOf, podUidOf } from './pod-names.ts';
import { isMirrorPod, isStaticPod, mirroredUidOf } from './static-pod.ts';
import type { StaticPodSource } from './static-pod-source.ts';
import { StaticPods } from './static-pods.ts';

export interface StaticPodKeeperDeps {
  readonly context: NodeContext;
  readonly client: Client;
  /** `undefined`: there are none. */
  readonly source: StaticPodSource | undefined;
  /** Of this node, as the API has them: with mirrors. */
  readonly apiPods: Pick<Informer<Pod>, 'get' | 'list' | 'hasSynced' | 'synced'>;
  readonly node: () => Node | undefined;
  /** Those that the node works on, from wherever. */
  readonly pods: () => Iterable<Pod>;
  /** Begins the work on a pod, which `end` ends; then `onEnded` is to be called. */
  readonly start: (pod: Pod) => void;
  readonly end: (podUid: string) => void;
}

/** All that is different about static pods: which of them run on this node, and what shows them in the API. */
export class StaticPodKeeper {
  readonly #deps: StaticPodKeeperDeps;
  readonly #wanted: StaticPods | undefined;
  readonly #mirrors: MirrorPods;

  constructor(deps: StaticPodKeeperDeps) {
    this.#deps = deps;
    const { context, client, source, apiPods, node } = deps;
    this.#wanted = source && new StaticPods(context, source, () => this.#follow());
    this.#mirrors = new MirrorPods({
      context,
      client,
      podOf: (namespace, name) => apiPods.get(namespace, name),
      node,
      staticPodOf: (key) => this.#now(key),
    });
  }

  /** Whether it is known which static pods are wanted. */
  get hasRead(): boolean {
    return this.#wanted?.hasRead !== false;
  }

  /** Keeps the wanted ones running until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#wanted?.run(signal);
  }

  /** Keeps their mirrors in the API, until `signal` aborts. */
  async runMirrors(signal: AbortSignal): Promise<void> {
    const scope = new TaskScope(signal);
    scope.start(async (inner) => {
      await this.#deps.apiPods.synced(inner);
      this.#pokeMirrors();
    });
    try {
      await this.#mirrors.run(scope.signal);
    } finally {
      await scope.close();
    }
  }

  /** What shows the pod in the API: itself, or its mirror; `undefined`: nothing. */
  shownAs(pod: Pod): Pod | undefined {
    const { namespace = '', name = '' } = pod.metadata ?? {};
    const found = this.#deps.apiPods.get(namespace, name);
    if (found === undefined) return undefined;
    const uid = isStaticPod(pod) ? mirroredUidOf(found) : podUidOf(found);
    return uid === podUidOf(pod) ? found : undefined;
  }

  /** A pod in the API changed, which may show a static one or stand in its way. */
  onApiChange(pod: Pod): void {
    this.#mirrors.poke(podKeyOf(pod));
  }

  /** The work on a pod has ended, and nothing of it is left. */
  onEnded(pod: Pod): void {
    if (isStaticPod(pod)) this.#follow();
  }

  /** Starts and ends pods until the wanted ones run. Of two with one name the older one ends first. */
  #follow(): void {
    const { pods, start, end } = this.#deps;
    const wanted = new Map(this.#wanted?.list().map((pod) => [podUidOf(pod), pod]));
    const taken = new Set<string>(); // names
    for (const pod of pods()) {
      if (!isStaticPod(pod)) continue;
      taken.add(podKeyOf(pod));
      if (!wanted.has(podUidOf(pod))) end(podUidOf(pod));
    }
    for (const pod of wanted.values()) if (!taken.has(podKeyOf(pod))) start(pod);
    this.#pokeMirrors();
  }

  #pokeMirrors(): void {
    const shown = this.#deps.apiPods.list().filter(isMirrorPod);
    for (const pod of [...(this.#wanted?.list() ?? []), ...shown]) this.#mirrors.poke(podKeyOf(pod));
  }

  #now(key: string): StaticPodNow {
    if (!this.#deps.apiPods.hasSynced() || !this.hasRead) return { kind: 'changes' };
    const isOfKey = (pod: Pod): boolean => podKeyOf(pod) === key;
    const wanted = this.#wanted?.list().find(isOfKey);
    const running = [...this.#deps.pods()].find((pod) => isStaticPod(pod) && isOfKey(pod));
    if (wanted === undefined && running === undefined) return { kind: 'none' };
    const isThis = wanted !== undefined && running !== undefined && podUidOf(wanted) === podUidOf(running);
    return isThis ? { kind: 'runs', pod: running } : { kind: 'changes' };
  }
}
