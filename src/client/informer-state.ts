import type { Entropy } from '../base/entropy.ts';
import { backoffMs } from '../base/backoff.ts';
import { unreachable } from '../base/status-error.ts';

/**
 * What an informer is doing. Any failure leads through `waiting`, and back to where it was; only a version that has
 * expired leads back to the list.
 *
 *     listing --listed--> watching --ended or failed--> waiting --> watching --expired--> listing
 *        '--failed--> waiting --> listing
 */
export type InformerState =
  | { readonly kind: 'listing'; readonly failures: number }
  | { readonly kind: 'watching'; readonly resourceVersion: string; readonly failures: number }
  | { readonly kind: 'waiting'; readonly delayMs: number; readonly next: ListingOrWatching };

type ListingOrWatching = Extract<InformerState, { kind: 'listing' | 'watching' }>;

export type InformerEvent =
  | { readonly kind: 'listed'; readonly resourceVersion: string }
  /** The server ended it in good order. `resourceVersion`: the last one seen. */
  | { readonly kind: 'watchEnded'; readonly resourceVersion: string; readonly livedMs: number }
  | { readonly kind: 'watchFailed'; readonly resourceVersion: string; readonly livedMs: number }
  /** The version is too old, of the watch or of the next page of the list. */
  | { readonly kind: 'expired'; readonly livedMs: number }
  | { readonly kind: 'failed' }
  | { readonly kind: 'waited' };

export const firstInformerState: InformerState = { kind: 'listing', failures: 0 };

const retryLimits = { firstMs: 800, maxMs: 30_000 } as const; // upstream's reflector
const steadyAfterMs = 30_000; // a watch that lived so long ends a run of failures
const shortWatchMs = 1_000; // one that ended sooner counts as failed: a server that keeps doing so is given time

/** What follows on `event`. An event that does not fit the state (there is none) leaves it as it is. */
export function nextInformerState(state: InformerState, event: InformerEvent, entropy: Entropy): InformerState {
  switch (event.kind) {
    case 'listed':
      return { kind: 'watching', resourceVersion: event.resourceVersion, failures: failuresOf(state) };
    case 'waited':
      return state.kind === 'waiting' ? state.next : state;
    case 'failed':
      return retry({ kind: 'listing', failures: failuresOf(state) + 1 }, entropy);
    case 'expired': {
      // The first time at once; a server that keeps saying so is given time.
      const next: ListingOrWatching = { kind: 'listing', failures: failuresAfter(state, event.livedMs) + 1 };
      return next.failures === 1 ? next : retry(next, entropy);
    }
    case 'watchEnded':
    case 'watchFailed': {
      const { resourceVersion, livedMs } = event;
      const failures = failuresAfter(state, livedMs);
      if (event.kind === 'watchEnded' && livedMs >= shortWatchMs)
        return { kind: 'watching', resourceVersion, failures };
      return retry({ kind: 'watching', resourceVersion, failures: failures + 1 }, entropy);
    }
    default:
      return unreachable(event);
  }
}

function failuresOf(state: InformerState): number {
  return state.kind === 'waiting' ? state.next.failures : state.failures;
}

function failuresAfter(state: InformerState, livedMs: number): number {
  return livedMs >= steadyAfterMs ? 0 : failuresOf(state);
}

function retry(next: ListingOrWatching, entropy: Entropy): InformerState {
  return { kind: 'waiting', delayMs: backoffMs(next.failures - 1, retryLimits, entropy), next };
}
