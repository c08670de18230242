import type { ContainerEvent, ContainerEventKind } from '../runtime.ts';

/** How far a container has come. It only ever goes on. */
export type ContainerStage = 'created' | 'running' | 'exited';

const stages = ['created', 'running', 'exited'] as const satisfies readonly ContainerStage[];
const kindByStage = { created: 'created', running: 'started', exited: 'stopped' } as const satisfies Record<
  ContainerStage,
  ContainerEventKind
>;

export interface ListedContainer {
  readonly id: string;
  readonly podUid: string;
  /** `undefined`: the runtime does not know. */
  readonly stage: ContainerStage | undefined;
}

interface Entry {
  readonly podUid: string;
  /** Index in `stages`. */
  stage: number;
}

/**
 * What has been told of each container, so that a change that is learnt twice, by an event of the runtime and by a
 * listing, is told once, and one that was missed is told with the next listing: created, started, stopped, deleted, in
 * this order and each once.
 */
export class ContainerLedger {
  readonly #entries = new Map<string, Entry>();
  /** Ids that changed while a listing was under way: it may know less of them. `undefined`: none is. */
  #touched: Set<string> | undefined;
  #isFilled = false;

  podUidOf(containerId: string): string | undefined {
    return this.#entries.get(containerId)?.podUid;
  }

  /** A container has come so far; `podUid` counts when it is new. The events that this makes. */
  reached(containerId: string, podUid: string, stage: ContainerStage): ContainerEvent[] {
    this.#touched?.add(containerId);
    return this.#advance(containerId, podUid, stage);
  }

  /** It is gone. */
  removed(containerId: string): ContainerEvent[] {
    this.#touched?.add(containerId);
    return this.#remove(containerId);
  }

  listingBegins(): void {
    this.#touched = new Set();
  }

  /** All there are, asked for after `listingBegins`. The first listing tells nothing: it is the beginning. */
  listed(containers: readonly ListedContainer[]): ContainerEvent[] {
    const touched = this.#touched ?? new Set();
    this.#touched = undefined;
    const ids = new Set(containers.map(({ id }) => id));
    const gone = [...this.#entries.keys()].filter((id) => !ids.has(id) && !touched.has(id));
    const events = [
      ...gone.flatMap((id) => this.#remove(id)),
      ...containers
        .filter(({ id }) => !touched.has(id))
        .flatMap(({ id, podUid, stage }) => (stage === undefined ? [] : this.#advance(id, podUid, stage))),
    ];
    if (this.#isFilled) return events;
    this.#isFilled = true;
    return [];
  }

  #advance(containerId: string, podUid: string, stage: ContainerStage): ContainerEvent[] {
    let entry = this.#entries.get(containerId);
    if (entry === undefined) {
      entry = { podUid, stage: -1 };
      this.#entries.set(containerId, entry);
    }
    const from = entry.stage + 1;
    const to = Math.max(entry.stage, stages.indexOf(stage));
    entry.stage = to;
    const owner = entry.podUid;
    return stages.slice(from, to + 1).map((passed) => ({ kind: kindByStage[passed], containerId, podUid: owner }));
  }

  #remove(containerId: string): ContainerEvent[] {
    const entry = this.#entries.get(containerId);
    if (entry === undefined) return [];
    // One that was seen running has stopped, even if nobody saw when.
    const stopped = stages[entry.stage] === 'running' ? this.#advance(containerId, entry.podUid, 'exited') : [];
    this.#entries.delete(containerId);
    return [...stopped, { kind: 'deleted', containerId, podUid: entry.podUid }];
  }
}
