/** Deleting objects, one or many. */
import { decode, DecodeError } from '../api/decode.ts';
import { forbidden as forbiddenField, invalid, invalidError } from '../api/field-error.ts';
import type { FieldError } from '../api/field-error.ts';
import type { DeleteOptions, Namespace } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import { systemPriorityClasses } from '../api/system-priority-classes.ts';
import { formatTime } from '../api/time.ts';
import type { Clock } from '../base/clock.ts';
import { StatusError } from '../base/status-error.ts';
import { hasNamespaceFinalizers } from './change-object.ts';
import { decideDeletion } from './deletion.ts';
import { parseBool, parseDryRun, parseInteger } from './query-options.ts';
import type { Change, Changed } from './registry.ts';
import { forbidden } from './respond.ts';
import type { Served } from './served.ts';
import type { FullObject, StoredObject } from './stored-object.ts';

/** What a DELETE asks for, checked. */
export interface Deleting {
  readonly gracePeriodSeconds: number | undefined;
  readonly uid: string | undefined;
  readonly resourceVersion: string | undefined;
  readonly dryRun: boolean;
  /** What becomes of what it owns. */
  readonly propagation: Propagation;
  /** What depends on it is to go first: if it is not gone at once, the answer is 202. */
  readonly dependentsFirst: boolean;
}

/** `unsaid`: as its finalizers say, else as usual for its kind. */
type Propagation = 'background' | 'foreground' | 'orphan' | 'unsaid';

/** From the body if there is one, else from the query. `value`: the parsed body. */
export function parseDeleting(query: URLSearchParams, value: unknown): Deleting {
  const options = value === undefined ? fromQuery(query) : fromBody(value);
  const errors: FieldError[] = [];
  const { orphanDependents, propagationPolicy } = options;
  if (orphanDependents !== undefined && propagationPolicy !== undefined) {
    const detail = 'orphanDependents and deletionPropagation cannot be both set';
    errors.push(invalid('propagationPolicy', propagationPolicy, detail));
  }
  if (propagationPolicy !== undefined && !policies.has(propagationPolicy)) {
    const supported = [...policies].map((policy) => `"${policy}"`).join(', ');
    errors.push({
      ...forbiddenField('propagationPolicy', `supported values: ${supported}, "nil"`),
      type: 'FieldValueNotSupported',
      badValue: propagationPolicy,
    });
  }
  const dryRun = parseDryRun([...(options.dryRun ?? []), ...query.getAll('dryRun')], errors);
  if (errors.length > 0) throw invalidError({ group: 'meta.k8s.io', kind: 'DeleteOptions' }, '', errors);
  return {
    gracePeriodSeconds: options.gracePeriodSeconds,
    uid: options.preconditions?.uid,
    resourceVersion: options.preconditions?.resourceVersion,
    dryRun,
    propagation: propagationOf(options),
    dependentsFirst: propagationPolicy === 'Foreground' || orphanDependents === false,
  };
}

function propagationOf({ orphanDependents, propagationPolicy }: DeleteOptions): Propagation {
  if (orphanDependents !== undefined) return orphanDependents ? 'orphan' : 'background';
  switch (propagationPolicy) {
    case 'Background':
      return 'background';
    case 'Foreground':
      return 'foreground';
    case 'Orphan':
      return 'orphan';
    default:
      return 'unsaid';
  }
}

const policies: ReadonlySet<string> = new Set(['Background', 'Foreground', 'Orphan']);

function fromBody(value: unknown): DeleteOptions {
  try {
    const { object } = decode<DeleteOptions>('DeleteOptions', value, 'Ignore');
    const kind = object.kind ?? 'DeleteOptions';
    if (kind !== 'DeleteOptions') {
      throw new StatusError('BadRequest', `decoded object cannot be converted to DeleteOptions`);
    }
    return object;
  } catch (error) {
    if (error instanceof DecodeError) throw new StatusError('BadRequest', error.message);
    throw error;
  }
}

function fromQuery(query: URLSearchParams): DeleteOptions {
  const gracePeriodSeconds = parseInteger(query.get('gracePeriodSeconds'));
  const propagationPolicy = query.get('propagationPolicy');
  const orphanDependents = query.get('orphanDependents');
  return {
    ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
    ...(propagationPolicy === null ? {} : { propagationPolicy }),
    ...(orphanDependents === null ? {} : { orphanDependents: parseBool(orphanDependents) }),
  };
}

/** Namespaces that the cluster cannot do without. Upstream: the admission plugin NamespaceLifecycle. */
const immortalNamespaces: ReadonlySet<string> = new Set(['default', 'kube-system', 'kube-public']);

/** Upstream: `IsKnownSystemPriorityClass`. */
const systemClasses: ReadonlySet<string> = new Set(systemPriorityClasses.map(({ name }) => name));

export function deleteObject(
  deps: { readonly clock: Clock },
  served: Served,
  target: { readonly namespace: string; readonly name: string },
  deleting: Deleting,
  signal: AbortSignal,
): Promise<Changed> {
  if (served.type.resource === resources.namespaces.resource && immortalNamespaces.has(target.name)) {
    throw forbidden(served.type, target.name, 'this namespace may not be deleted');
  }
  if (served.type.resource === resources.priorityclasses.resource && systemClasses.has(target.name)) {
    throw forbidden(served.type, target.name, 'this is a system priority class and cannot be deleted');
  }
  return served.registry.update(
    target.namespace,
    target.name,
    (current) => {
      checkPreconditions(served, current, deleting);
      return decide(served, current.object, deleting, deps.clock.wallMs());
    },
    { dryRun: deleting.dryRun, signal },
  );
}

/** Fails with Conflict. */
export function checkPreconditions(served: Served, current: StoredObject, deleting: Deleting): void {
  const { name = '', uid = '' } = current.object.metadata;
  if (deleting.uid !== undefined && deleting.uid !== uid) {
    const text =
      `the UID in the precondition (${deleting.uid}) does not match the UID in record (${uid}). ` +
      'The object might have been deleted and then recreated';
    throw preconditionFailed(served, name, text);
  }
  const revision = String(current.modRevision);
  if (deleting.resourceVersion !== undefined && deleting.resourceVersion !== revision) {
    const text =
      `the ResourceVersion in the precondition (${deleting.resourceVersion}) does not match the ` +
      `ResourceVersion in record (${revision}). The object might have been modified`;
    throw preconditionFailed(served, name, text);
  }
}

/** Upstream names the kind here, not the resource. */
function preconditionFailed(served: Served, name: string, text: string): StatusError {
  const { group, kind } = served.registry.type;
  return new StatusError('Conflict', `Operation cannot be fulfilled on ${kind} "${name}": ${text}`, {
    details: { name, ...(group === '' ? {} : { group }), kind },
  });
}

function decide(served: Served, object: FullObject, deleting: Deleting, nowMs: number): Change {
  if (hasNamespaceFinalizers(served, object)) return terminateNamespace(object, nowMs);
  const finalizers = finalizersFor(object, deleting.propagation, served.strategy.dependents);
  const request = { gracePeriodSeconds: deleting.gracePeriodSeconds, finalizers, nowMs };
  const deletion = decideDeletion(object, request, served.strategy.graceOf);
  switch (deletion.kind) {
    case 'pending':
      return { kind: 'keep' };
    case 'remove':
      return { kind: 'remove' };
    default:
      return { kind: deletion.thenRemove ? 'putAndRemove' : 'put', object: deletion.object };
  }
}

const orphanFinalizer = 'orphan';
const foregroundFinalizer = 'foregroundDeletion';

/**
 * The finalizers with which an object is deleted: the garbage collector takes away those of its own when it has dealt
 * with what the object owns. Upstream: `deletionFinalizersForGarbageCollection`.
 */
function finalizersFor(
  { metadata }: FullObject,
  propagation: Propagation,
  usual: Served['strategy']['dependents'],
): readonly string[] {
  const before = metadata.finalizers ?? [];
  const others = before.filter((name) => name !== orphanFinalizer && name !== foregroundFinalizer);
  if (usual === 'unowned') return others;
  const said =
    propagation !== 'unsaid'
      ? propagation
      : before.includes(orphanFinalizer)
        ? 'orphan'
        : before.includes(foregroundFinalizer)
          ? 'foreground'
          : usual;
  if (said === 'orphan') return [...others, orphanFinalizer];
  return said === 'foreground' ? [...others, foregroundFinalizer] : others;
}

/** A namespace first becomes Terminating; its controller empties it, and then takes its finalizer away. */
function terminateNamespace(object: FullObject, nowMs: number): Change {
  // Only namespaces have finalizers in their spec.
  const namespace = object as FullObject & Namespace;
  if (namespace.metadata.deletionTimestamp !== undefined) return { kind: 'keep' };
  const next: FullObject & Namespace = {
    ...namespace,
    metadata: { ...namespace.metadata, deletionTimestamp: formatTime(nowMs) },
    status: { ...namespace.status, phase: 'Terminating' },
  };
  return { kind: 'put', object: next };
}
