/**
 * The objects of one kind in the store: read, create, update and delete, each durable when it is acknowledged.
 *
 * Nothing here knows the wire: callers hand in objects in their storage version, already validated. Writes are
 * compare-and-swap on the object's revision; an update whose object has not changed writes nothing.
 */
import type { ResourceType } from '../api/resources.ts';
import { apiVersionOf } from '../api/resources.ts';
import { StatusError } from '../base/status-error.ts';
import type { Compare, KeyValue, Store, TxnResult, WriteOp } from '../store/store.ts';
import { keyBytesMax } from '../store/store.ts';
import { alreadyExists, conflict, notFound, objectModifiedText } from './respond.ts';
import { StoredObject, encodeStored } from './stored-object.ts';
import type { FullObject } from './stored-object.ts';
import { transact } from './transact.ts';
import type { WatchCache } from './watch-cache.ts';

/** An update that loses this often against others gives up with `Conflict`. */
const updateTriesMax = 30;

export interface RegistryDeps {
  readonly store: Store;
  readonly cache: WatchCache;
}

export interface WriteScope {
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
}

/** What an update makes of the current object. */
export type Change =
  | { readonly kind: 'put'; readonly object: FullObject }
  /** Take the object away. `shown`: what the client is told has gone, if it is not the object as it was. */
  | { readonly kind: 'remove'; readonly shown?: FullObject }
  /** Put it, and take it away at once: watchers see both. */
  | { readonly kind: 'putAndRemove'; readonly object: FullObject }
  | { readonly kind: 'keep' };

export interface Changed {
  readonly object: StoredObject;
  /** The object is gone. */
  readonly removed: boolean;
}

export class Registry {
  readonly type: ResourceType;
  readonly cache: WatchCache;
  /** `/registry/pods/` */
  readonly prefix: string;
  readonly #store: Store;
  readonly #kind: { readonly kind: string; readonly apiVersion: string };

  constructor(deps: RegistryDeps, type: ResourceType) {
    this.#store = deps.store;
    this.cache = deps.cache;
    this.type = type;
    this.prefix = storagePrefix(type);
    this.#kind = { kind: type.kind, apiVersion: apiVersionOf(type) };
  }

  key(namespace: string, name: string): string {
    return namespace === '' ? this.prefix + name : `${this.prefix}${namespace}/${name}`;
  }

  /** Keys of one namespace start with this; all keys if `namespace` is `''`. */
  prefixOf(namespace: string): string {
    return namespace === '' ? this.prefix : `${this.prefix}${namespace}/`;
  }

  /** The newest state; `undefined` if there is no such object. */
  async find(namespace: string, name: string, signal: AbortSignal): Promise<KeyValue | undefined> {
    const key = this.key(namespace, name);
    if (!isStorableKey(key)) return undefined;
    return (await this.#store.get(key, signal)).item;
  }

  async get(namespace: string, name: string, signal: AbortSignal): Promise<StoredObject> {
    const item = await this.find(namespace, name, signal);
    if (item === undefined) throw notFound(this.type, name);
    return this.cache.intern(item);
  }

  /**
   * Stores a new object. `alsoHolds` must hold too (else `Conflict`, and the caller may look again); `alsoPut` is
   * written with it, under the same revision.
   */
  async create(
    object: FullObject,
    scope: WriteScope,
    also: { readonly holds: readonly Compare[]; readonly put: readonly WriteOp[] } = { holds: [], put: [] },
  ): Promise<StoredObject> {
    const name = object.metadata.name ?? '';
    const key = this.key(object.metadata.namespace ?? '', name);
    const value = encodeStored(object);
    if (scope.dryRun) {
      if ((await this.#store.get(key, scope.signal)).item !== undefined) throw alreadyExists(this.type, name);
      return this.#unsaved(key, value, 0);
    }
    const holds = [{ key, modRevision: 0 }, ...also.holds];
    const writes: WriteOp[] = [{ kind: 'put', key, value }, ...also.put];
    const result = await transact(this.#store, holds, writes, scope.signal);
    if (result.succeeded) return this.#saved(key, value, result.revision, result.revision);
    if (result.current[0] !== undefined) throw alreadyExists(this.type, name);
    throw conflict(this.type, name, objectModifiedText);
  }

  /**
   * Changes an object. `change` is called with its newest state, again if another write came between; what it throws
   * ends the update.
   */
  async update(
    namespace: string,
    name: string,
    change: (current: StoredObject) => Change | Promise<Change>,
    scope: WriteScope,
  ): Promise<Changed> {
    let item = await this.find(namespace, name, scope.signal);
    for (let tries = 0; tries < updateTriesMax; tries++) {
      if (item === undefined) throw notFound(this.type, name);
      const current = this.cache.intern(item);
      const next = await change(current);
      if (next.kind === 'keep') return { object: current, removed: false };
      const done = await this.#write(current, next, scope);
      if (done.kind === 'written') return done.changed;
      item = done.current;
    }
    throw conflict(this.type, name, objectModifiedText);
  }

  async #write(
    current: StoredObject,
    change: Exclude<Change, { kind: 'keep' }>,
    scope: WriteScope,
  ): Promise<
    | { readonly kind: 'written'; readonly changed: Changed }
    | { readonly kind: 'lost'; readonly current: KeyValue | undefined }
  > {
    const { key } = current;
    if (change.kind === 'remove') {
      const removed = await this.#remove(current, scope);
      if (removed.kind === 'lost' || change.shown === undefined) return removed;
      const shown = this.#unsaved(key, encodeStored(change.shown), current.modRevision);
      return { kind: 'written', changed: { object: shown, removed: true } };
    }
    const value = encodeStored(change.object);
    let object: StoredObject = current;
    if (scope.dryRun) object = this.#unsaved(key, value, current.modRevision);
    else if (value !== current.value) {
      const result = await this.#txn(current, { kind: 'put', key, value }, scope.signal);
      if (!result.succeeded) return { kind: 'lost', current: result.current[0] };
      object = this.#saved(key, value, current.createRevision, result.revision);
    }
    if (change.kind === 'put') return { kind: 'written', changed: { object, removed: false } };
    if (scope.dryRun) return { kind: 'written', changed: { object, removed: true } };
    const removed = await this.#remove(object, scope);
    // Whoever removed it in between did what was asked.
    return removed.kind === 'lost' && removed.current === undefined
      ? { kind: 'written', changed: { object, removed: true } }
      : removed;
  }

  async #remove(
    current: StoredObject,
    scope: WriteScope,
  ): Promise<
    | { readonly kind: 'written'; readonly changed: Changed }
    | { readonly kind: 'lost'; readonly current: KeyValue | undefined }
  > {
    if (scope.dryRun) return { kind: 'written', changed: { object: current, removed: true } };
    const result = await this.#txn(current, { kind: 'delete', key: current.key }, scope.signal);
    if (!result.succeeded) return { kind: 'lost', current: result.current[0] };
    const object = this.#saved(current.key, current.value, current.createRevision, result.revision);
    return { kind: 'written', changed: { object, removed: true } };
  }

  #txn(current: StoredObject, write: WriteOp, signal: AbortSignal): Promise<TxnResult> {
    const { key, modRevision } = current;
    return transact(this.#store, [{ key, modRevision }], [write], signal);
  }

  #saved(key: string, value: string, createRevision: number, modRevision: number): StoredObject {
    return new StoredObject(this.#kind, { key, value, createRevision, modRevision });
  }

  /** A version of an object that is not written: for answers. */
  #unsaved(key: string, value: string, revision: number): StoredObject {
    return new StoredObject(this.#kind, { key, value, createRevision: revision, modRevision: revision });
  }
}

/** `/registry/pods/`: events of both groups lie together. */
export function storagePrefix(type: ResourceType): string {
  return `/registry/${type.resource}/`;
}

/** Whether a key can be in the store at all: names from a URL can be anything. */
export function isStorableKey(key: string): boolean {
  if (key.length > keyBytesMax) return false;
  for (let i = 0; i < key.length; i++) {
    const code = key.charCodeAt(i);
    if (code < 0x21 || code > 0x7e) return false;
  }
  return true;
}

/** A revision from a client. Absent and `''`: `undefined`. Anything but digits: 400. */
export function parseRevision(text: string | null | undefined, field = 'resourceVersion'): number | undefined {
  if (text === null || text === undefined || text === '') return undefined;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  const problem = /^\d+$/.test(text) ? 'value out of range' : 'invalid syntax';
  const quoted = JSON.stringify(text);
  const what = `${field}: Invalid value: ${quoted}: strconv.ParseUint: parsing ${quoted}: ${problem}`;
  throw new StatusError('BadRequest', `invalid resource version: ${what}`);
}
