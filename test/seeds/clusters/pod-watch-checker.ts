import { invariant } from '../../../src/base/status-error.ts';
import type { PodChange } from './seed-store.ts';

/** A watch of pods tells every change that the store had since the list before it, once, and in order. */
export class PodWatchChecker {
  #isWatching = false;
  #since = 0; // revision of the last list
  #told: PodChange[] = []; // by the watch, since the last look

  onList(revision: number): void {
    this.#isWatching = true;
    this.#since = revision;
    this.#told = [];
  }

  onEvent(change: PodChange): void {
    if (change.revision > this.#since) this.#told.push(change);
  }

  /** The server died: what it still had to tell is told by the next list. */
  onServerDeath(): void {
    this.#isWatching = false;
  }

  /** Between two timers. `changes`: those of the store since the last look. */
  check(changes: readonly PodChange[]): void {
    if (!this.#isWatching) return;
    const line = ({ revision, isDelete }: PodChange): string => `${revision}${isDelete ? ' deleted' : ''}`;
    const due = changes.filter(({ revision }) => revision > this.#since).map(line);
    const told = this.#told.map(line);
    this.#told = [];
    invariant(due.join() === told.join(), `the store changed pods at ${due.join()}, the watch told of ${told.join()}`);
  }
}
