import type { KubernetesObject, ObjectList, ResourceType } from '../api/resources.ts';
import type { DeleteOptions } from '../api/gen/types.ts';

/**
 * What controllers, the scheduler, the kubelet and the CLI use to reach the API server: in process
 * (`client/in-process-client.ts`) or over HTTPS (`client/http/`); callers see no difference. Objects that come from it
 * are
 * never changed by anybody. Every failure is a `StatusError`; a server that cannot be reached is `ServiceUnavailable`.
 */
export interface ObjectRef {
  /** Required for namespaced kinds. */
  readonly namespace?: string;
  readonly name: string;
  /** E.g. `status`, `binding`. */
  readonly subresource?: string;
}

export interface ListOptions {
  /** Absent: all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Page size; absent: everything in one answer. */
  readonly limit?: number;
  readonly continueToken?: string;
  readonly resourceVersion?: string;
}

export interface ClientWatchOptions {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Go on after this one. Absent: first an ADDED for every object there is. */
  readonly resourceVersion?: string;
  readonly allowWatchBookmarks?: boolean;
}

export type WatchEvent<T> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  /** Only its metadata.resourceVersion counts. */
  | { readonly type: 'BOOKMARK'; readonly object: KubernetesObject };

export type PatchType = 'json' | 'merge' | 'strategic';

export interface WriteOptions {
  readonly dryRun?: boolean;
  /** `Strict`, `Warn` (default of the server) or `Ignore`. */
  readonly fieldValidation?: 'Strict' | 'Warn' | 'Ignore';
  readonly fieldManager?: string;
}

export interface Client {
  get<T extends KubernetesObject>(type: ResourceType<T>, ref: ObjectRef, signal: AbortSignal): Promise<T>;
  list<T extends KubernetesObject>(
    type: ResourceType<T>,
    options: ListOptions,
    signal: AbortSignal,
  ): Promise<ObjectList<T>>;
  /**
   * Ends without an error when `signal` aborts or the server ends it; throws `Expired` when it must be listed again.
   */
  watch<T extends KubernetesObject>(
    type: ResourceType<T>,
    options: ClientWatchOptions,
    signal: AbortSignal,
  ): AsyncIterable<WatchEvent<T>>;
  /** `ref.name` is only needed for a subresource (`pods/NAME/binding`); `Created` is what the server answered. */
  create<T extends KubernetesObject>(
    type: ResourceType<T>,
    ref: { readonly namespace?: string; readonly name?: string; readonly subresource?: string },
    object: KubernetesObject,
    signal: AbortSignal,
    options?: WriteOptions,
  ): Promise<T>;
  /** Replaces it; with a resourceVersion in it, `Conflict` if it has changed since. */
  update<T extends KubernetesObject>(
    type: ResourceType<T>,
    ref: ObjectRef,
    object: T,
    signal: AbortSignal,
    options?: WriteOptions,
  ): Promise<T>;
  patch<T extends KubernetesObject>(
    type: ResourceType<T>,
    ref: ObjectRef,
    patch: { readonly type: PatchType; readonly body: unknown },
    signal: AbortSignal,
    options?: WriteOptions,
  ): Promise<T>;
  /** The object as it was, or is being deleted, or a `Status`. */
  delete<T extends KubernetesObject>(
    type: ResourceType<T>,
    ref: ObjectRef,
    options: DeleteOptions,
    signal: AbortSignal,
  ): Promise<KubernetesObject>;
}
