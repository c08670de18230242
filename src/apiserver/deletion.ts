/**
 * Decides what a DELETE does to an object; pure. Upstream: `rest.BeforeDelete` and the registry around it.
 *
 *   first DELETE, grace > 0        -> mark (deletionTimestamp = now + grace)        the object stays
 *   a shorter grace later          -> mark again, the timestamp moves back          the object stays
 *   an equal or longer one         -> pending: nothing changes
 *   grace 0, no finalizers         -> mark with grace 0, then remove
 *   finalizers                     -> mark (again: they may change); whoever removes the last one removes the object
 *   a kind without grace           -> remove (or mark, if it has finalizers)
 */
import { formatTime, parseTime } from '../api/time.ts';
import type { FullObject } from './stored-object.ts';

export type Deletion =
  | { readonly kind: 'pending' }
  | { readonly kind: 'mark'; readonly object: FullObject; readonly thenRemove: boolean }
  | { readonly kind: 'remove' };

export interface DeletionRequest {
  /** What the client asked for, in seconds; negative means 1. */
  readonly gracePeriodSeconds: number | undefined;
  /** Those that it has from now on. */
  readonly finalizers: readonly string[];
  readonly nowMs: number;
}

/**
 * `gracePeriodOf`: the grace of a kind that is deleted gracefully, in seconds, for what was asked; `undefined` for all
 * other kinds.
 */
export function decideDeletion(
  before: FullObject,
  request: DeletionRequest,
  gracePeriodOf: ((object: FullObject, askedSeconds: number | undefined) => number) | undefined,
): Deletion {
  const object = withFinalizers(before, request.finalizers);
  const asked =
    request.gracePeriodSeconds === undefined
      ? undefined
      : request.gracePeriodSeconds < 0
        ? 1
        : request.gracePeriodSeconds;
  if (gracePeriodOf === undefined) return withoutGrace(object, request.nowMs);
  if (object.metadata.deletionTimestamp !== undefined) return again(object, asked, request.nowMs);
  const seconds = gracePeriodOf(object, asked);
  return {
    kind: 'mark',
    object: marked(object, request.nowMs + seconds * 1_000, seconds),
    thenRemove: seconds === 0 && !hasFinalizers(object),
  };
}

function withoutGrace(object: FullObject, nowMs: number): Deletion {
  if (!hasFinalizers(object)) return { kind: 'remove' };
  const { deletionTimestamp } = object.metadata;
  const atMs = deletionTimestamp === undefined ? nowMs : Math.min(nowMs, parseTime(deletionTimestamp) ?? nowMs);
  return { kind: 'mark', object: marked(object, atMs, 0), thenRemove: false };
}

/** A DELETE of a gracefully deleted object that is already being deleted. */
function again(object: FullObject, asked: number | undefined, nowMs: number): Deletion {
  const { deletionTimestamp, deletionGracePeriodSeconds } = object.metadata;
  const current = Math.max(deletionGracePeriodSeconds ?? 0, 0);
  if (current === 0) return withoutGrace(object, nowMs); // an earlier removal was not finished
  if (asked === undefined || asked >= current || deletionTimestamp === undefined) return { kind: 'pending' };
  if (asked === 0) return { kind: 'mark', object: marked(object, nowMs, 0), thenRemove: !hasFinalizers(object) };
  const startedMs = (parseTime(deletionTimestamp) ?? nowMs) - current * 1_000;
  const wantedMs = startedMs + asked * 1_000;
  // Never into the past: what is left is then one second.
  const lateSeconds = Math.max(1, Math.ceil((nowMs - startedMs) / 1_000));
  const object2 =
    wantedMs >= nowMs ? marked(object, wantedMs, asked) : marked(object, nowMs + 1_000, Math.min(asked, lateSeconds));
  return { kind: 'mark', object: object2, thenRemove: false };
}

function marked(object: FullObject, atMs: number, seconds: number): FullObject {
  const { metadata } = object;
  const isFirst = metadata.deletionTimestamp === undefined;
  const bumped = isFirst && (metadata.generation ?? 0) > 0 ? { generation: (metadata.generation ?? 0) + 1 } : {};
  return {
    ...object,
    metadata: {
      ...metadata,
      ...bumped,
      deletionTimestamp: formatTime(atMs),
      deletionGracePeriodSeconds: seconds,
    },
  };
}

/** The object itself if it has just these. */
function withFinalizers(object: FullObject, finalizers: readonly string[]): FullObject {
  const { finalizers: before = [], ...metadata } = object.metadata;
  if (before.length === finalizers.length && before.every((name, index) => name === finalizers[index])) return object;
  return { ...object, metadata: finalizers.length === 0 ? metadata : { ...metadata, finalizers } };
}

function hasFinalizers(object: FullObject): boolean {
  return (object.metadata.finalizers?.length ?? 0) > 0;
}

/** Whether an update of `object` has just finished its deletion, so that it must be removed instead. */
export function isFinished(object: FullObject): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds } = object.metadata;
  return deletionTimestamp !== undefined && (deletionGracePeriodSeconds ?? 0) === 0 && !hasFinalizers(object);
}
