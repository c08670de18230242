import { unreachable } from '../base/status-error.ts';

/**
 * One pod on this node. Once it leaves `syncing` no container of it may start, and there is no way back.
 *
 *     waiting --admitted--> syncing --ending--> terminating --ended--> terminated
 *        \______________ ending _______________/
 *
 * `waiting`: known, nothing done yet (but containers of an earlier kubelet may run). `syncing`: its containers are kept
 * running. `terminating`: they are being ended. `terminated`: all have ended; the object may still be in the API, for a
 * pod that ran to its end for ever. Only when it is removed there as well is everything of it removed from the node.
 */
export type PodState =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'syncing' }
  | { readonly kind: 'terminating'; readonly ending: PodEnding; readonly isRemoved: boolean }
  | { readonly kind: 'terminated'; readonly isRemoved: boolean };

/** Why and how a pod is ended. */
export interface PodEnding {
  /**
   * `finished`: it ran to its end, was rejected or ran out of time. `shutdown`: this kubelet stops; the pod lives on.
   */
  readonly cause: 'deleted' | 'removed' | 'finished' | 'shutdown';
  /** Replaces every container's own grace period; `undefined`: their own. Only ever gets shorter. */
  readonly graceSeconds: number | undefined;
}

export type PodEvent =
  /** It is going to be synced for the first time. */
  | { readonly kind: 'admitted' }
  /** The object has a deletionTimestamp, the pod is finished, or the kubelet shuts down. */
  | { readonly kind: 'ending'; readonly ending: PodEnding }
  /** The object is gone from the API. */
  | { readonly kind: 'removed'; readonly graceSeconds: number | undefined }
  | { readonly kind: 'ended' };

export function nextPodState(state: PodState, event: PodEvent): PodState {
  switch (event.kind) {
    case 'admitted':
      return state.kind === 'waiting' ? { kind: 'syncing' } : state;
    case 'ending':
      return onEnding(state, event.ending, false);
    case 'removed':
      return onEnding(state, { cause: 'removed', graceSeconds: event.graceSeconds }, true);
    case 'ended':
      return state.kind === 'terminating' ? { kind: 'terminated', isRemoved: state.isRemoved } : state;
    default:
      return unreachable(event);
  }
}

function onEnding(state: PodState, ending: PodEnding, isRemoved: boolean): PodState {
  switch (state.kind) {
    case 'waiting':
    case 'syncing':
      return { kind: 'terminating', ending, isRemoved };
    case 'terminating': {
      const graceSeconds = shorter(state.ending.graceSeconds, ending.graceSeconds);
      const removed = state.isRemoved || isRemoved;
      const isSame = graceSeconds === state.ending.graceSeconds && removed === state.isRemoved;
      return isSame ? state : { kind: 'terminating', ending: { ...state.ending, graceSeconds }, isRemoved: removed };
    }
    case 'terminated':
      return isRemoved && !state.isRemoved ? { kind: 'terminated', isRemoved } : state;
    default:
      return unreachable(state);
  }
}

function shorter(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined) return b;
  return b === undefined ? a : Math.min(a, b);
}
