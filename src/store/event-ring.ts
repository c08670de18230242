import { invariant } from '../base/status-error.ts';
import type { StoreEvent } from './store.ts';

/** The revision of the transaction that made the event. */
export function eventRevision(event: StoreEvent): number {
  return event.kind === 'put' ? event.item.modRevision : event.revision;
}

export function eventKey(event: StoreEvent): string {
  return event.kind === 'put' ? event.item.key : event.key;
}

/**
 * A queue of events in revision order, numbered one by one from 0; the number of an event never changes. Grows by
 * doubling; whoever pushes bounds it by dropping.
 */
export class EventRing {
  #slots: (StoreEvent | undefined)[] = Array.from({ length: 64 }); // a power of two; event n is in slot n % length
  #first = 0; // the number of the oldest event that is kept
  #end = 0; // the number that the next event will get

  /** The number of the oldest event kept; equal to `end` if there is none. */
  get first(): number {
    return this.#first;
  }

  get end(): number {
    return this.#end;
  }

  push(event: StoreEvent): void {
    if (this.#end - this.#first === this.#slots.length) this.#grow();
    this.#slots[this.#end % this.#slots.length] = event;
    this.#end += 1;
  }

  /** Event `number`, which must be one that is kept. */
  at(number: number): StoreEvent {
    const event = this.#slots[number % this.#slots.length];
    invariant(
      event !== undefined && number >= this.#first && number < this.#end,
      `event ${number} of ${this.#first} to ${this.#end}`,
    );
    return event;
  }

  dropFirst(): StoreEvent {
    const event = this.at(this.#first);
    this.#slots[this.#first % this.#slots.length] = undefined;
    this.#first += 1;
    return event;
  }

  /** The number of the first event kept whose revision is `revision` or later; `end` if there is none. */
  firstAtRevision(revision: number): number {
    let low = this.#first;
    let high = this.#end;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (eventRevision(this.at(middle)) < revision) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #grow(): void {
    const grown: (StoreEvent | undefined)[] = Array.from({ length: this.#slots.length * 2 });
    for (let number = this.#first; number < this.#end; number++) grown[number % grown.length] = this.at(number);
    this.#slots = grown;
  }
}
