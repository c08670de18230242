/**
 * How objects lie in the store, and how the wire text of one is made without parsing it.
 *
 * A value is JSON that begins with `{"metadata":{` and has neither `apiVersion`, `kind` nor
 * `metadata.resourceVersion`: these are known from the key and from the revision. So a GET is
 * the head with kind, apiVersion and `"metadata":{"resourceVersion":"7",` followed by the value after its first 13
 * characters.
 */
import type { KubernetesObject } from '../api/resources.ts';
import { invariant } from '../base/status-error.ts';
import type { KeyValue } from '../store/store.ts';

const head = '{"metadata":{';

/** An object with the fields that every stored object has. */
export interface FullObject extends KubernetesObject {
  readonly metadata: NonNullable<KubernetesObject['metadata']>;
}

/** The text to store for `object`. Its metadata must have a name (so that it is never empty). */
export function encodeStored(object: FullObject): string {
  const { apiVersion: _apiVersion, kind: _kind, metadata, ...rest } = object;
  const { resourceVersion: _resourceVersion, managedFields: _managedFields, selfLink: _selfLink, ...kept } = metadata;
  const value = JSON.stringify({ metadata: kept, ...rest });
  invariant(value.startsWith(head) && value.charAt(head.length) === '"', `stored text begins ${value.slice(0, 20)}`);
  return value;
}

/** The text of a stored value on the wire, without its kind: as an item of a list. */
export function itemText(value: string, revision: number): string {
  return objectText(head, value, revision);
}

/** What comes before the metadata of an object's text on the wire. */
export function wireHead(kind: string, apiVersion: string): string {
  return `{"kind":${JSON.stringify(kind)},"apiVersion":${JSON.stringify(apiVersion)},"metadata":{`;
}

/** The text of a stored value on the wire. `kindHead` is from `wireHead`. Revision 0 (a dry run) is not shown. */
export function objectText(kindHead: string, value: string, revision: number): string {
  if (revision === 0) return kindHead + value.slice(head.length);
  return `${kindHead}"resourceVersion":"${revision}",${value.slice(head.length)}`;
}

/** Parses a stored value. Kind and apiVersion come first, as on the wire. */
export function decodeStored(kind: string, apiVersion: string, value: string, revision: number): FullObject {
  // Only `encodeStored` makes values, so it has metadata.
  return JSON.parse(objectText(wireHead(kind, apiVersion), value, revision)) as FullObject;
}

/** One version of one object, shared by everyone who looks at it, and parsed only when somebody does. */
export class StoredObject implements KeyValue {
  readonly key: string;
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly #kind: string;
  readonly #apiVersion: string;
  #object: FullObject | undefined;

  constructor(type: { readonly kind: string; readonly apiVersion: string }, item: KeyValue) {
    this.#kind = type.kind;
    this.#apiVersion = type.apiVersion;
    this.key = item.key;
    this.value = item.value;
    this.createRevision = item.createRevision;
    this.modRevision = item.modRevision;
  }

  /** In its storage version. Never changed by anybody. */
  get object(): FullObject {
    this.#object ??= decodeStored(this.#kind, this.#apiVersion, this.value, this.modRevision);
    return this.#object;
  }

  /** Forgets the parsed form, which is some times as large as the text; it is made again when it is asked for. */
  release(): void {
    this.#object = undefined;
  }
}
