/** Replacing objects: by PUT, by PATCH, through `/status`, `/finalize` and `/approval`. */
import { applyDefaults } from '../api/defaulting.ts';
import type { Draft } from '../api/draft.ts';
import { invalidError } from '../api/field-error.ts';
import type { Namespace, Pod } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import { sameValue } from '../api/validation/same-value.ts';
import { validateUpdate } from '../api/validation/validate.ts';
import { StatusError } from '../base/status-error.ts';
import { isFinished } from './deletion.ts';
import { checkReplaces, keepMeta } from './object-meta.ts';
import { admitPriorityClass } from './priority-admission.ts';
import type { Change, Changed, WriteScope } from './registry.ts';
import type { Served } from './served.ts';
import { prepareApproval, specChanged } from './strategy.ts';
import type { FullObject, StoredObject } from './stored-object.ts';

/** Which part of an object a request replaces. */
export type Part = 'object' | 'status' | 'finalize' | 'approval' | 'ephemeralcontainers';

export interface Target {
  readonly namespace: string;
  readonly name: string;
  readonly part: Part;
}

/**
 * Makes the replacement from the current object (in the version of the path). It must be decoded anew at each call:
 * it is changed in place.
 */
export type MakeNext = (current: FullObject) => Draft<FullObject> | Promise<Draft<FullObject>>;

export function changeObject(served: Served, target: Target, makeNext: MakeNext, scope: WriteScope): Promise<Changed> {
  return served.registry.update(
    target.namespace,
    target.name,
    async (current) => {
      const shown = served.conversion?.fromStored(current.object) ?? current.object;
      const next = await makeNext(shown);
      matchTarget(served, target, next);
      checkReplaces(next, current, served.registry, served.strategy.needsRevision);
      applyDefaults(served.type, next);
      return decideChange(served, target.part, next, current);
    },
    scope,
  );
}

function decideChange(served: Served, part: Part, next: Draft<FullObject>, current: StoredObject): Change {
  // A conversion takes the parts of the object over, so it is still nobody else's.
  const stored = (served.conversion?.toStored(next) ?? next) as Draft<FullObject>;
  const before = current.object;
  keepMeta(stored, before);
  if (part === 'object') served.strategy.prepareChanged(stored, before);
  else if (part === 'status') served.strategy.prepareStatus(stored, before);
  else if (part === 'approval') prepareApproval(stored, before);
  else if (part === 'ephemeralcontainers') prepareEphemeral(stored, before);
  else prepareFinalize(stored, before);
  stored.metadata.resourceVersion = String(current.modRevision);
  const [shownNext, shownBefore] =
    served.conversion === undefined ? [stored, before] : [next, served.conversion.fromStored(before)];
  const errors = validateUpdate(served.type, shownNext, shownBefore, part === 'object' ? '' : part);
  if (errors.length > 0) throw invalidError(served.type, before.metadata.name ?? '', errors);
  admitPriorityClass(served, stored);
  const isNewGeneration = served.strategy.isNewGeneration ?? specChanged;
  const hasSpec = part === 'object' || part === 'ephemeralcontainers';
  if ((before.metadata.generation ?? 0) > 0 && hasSpec && isNewGeneration(stored, before)) {
    stored.metadata.generation = (before.metadata.generation ?? 0) + 1;
  }
  if (isFinished(stored) && !hasNamespaceFinalizers(served, stored)) return { kind: 'remove', shown: stored };
  return sameValue(stored, before) ? { kind: 'keep' } : { kind: 'put', object: stored };
}

/** `/ephemeralcontainers` of a pod changes only these. Upstream: `podEphemeralContainersStrategy`. */
function prepareEphemeral(next: Draft<FullObject>, current: FullObject): void {
  // Only pods have this subresource.
  const pod = next as Draft<Pod>;
  const before = current as Draft<Pod>;
  const { ephemeralContainers } = pod.spec ?? {};
  const spec = { containers: [], ...structuredClone(before.spec) };
  delete spec.ephemeralContainers;
  pod.spec = ephemeralContainers === undefined ? spec : { ...spec, ephemeralContainers };
  if (before.status === undefined) delete pod.status;
  else pod.status = before.status;
}

/** `/finalize` of a namespace changes only the finalizers of its spec. */
function prepareFinalize(next: Draft<FullObject>, current: FullObject): void {
  // Only namespaces have this subresource.
  const namespace = next as Draft<Namespace>;
  const before = current as Namespace;
  const { finalizers } = namespace.spec ?? {};
  namespace.spec = finalizers === undefined ? {} : { finalizers: [...finalizers] };
  if (before.status === undefined) delete namespace.status;
  else namespace.status = { ...before.status, conditions: [...(before.status.conditions ?? [])] };
  if (before.status?.conditions === undefined) delete namespace.status?.conditions;
}

export function hasNamespaceFinalizers(served: Served, object: FullObject): boolean {
  if (served.type.resource !== resources.namespaces.resource) return false;
  // See above.
  return ((object as Namespace).spec?.finalizers?.length ?? 0) > 0;
}

/** The object of a body or a patch must be the one that the path names. Fills in its namespace. */
export function matchTarget(served: Served, target: Target, next: Draft<FullObject>): void {
  const { metadata } = next;
  const name = metadata.name ?? '';
  if (name === '') {
    const text = `the name of the object (${target.name} based on URL) was undeterminable: name must be provided`;
    throw new StatusError('BadRequest', text);
  }
  if (name !== target.name) {
    throw new StatusError(
      'BadRequest',
      `the name of the object (${name}) does not match the name on the URL (${target.name})`,
    );
  }
  const namespace = metadata.namespace ?? '';
  if (namespace !== '' && namespace !== target.namespace) {
    throw new StatusError(
      'BadRequest',
      `the namespace of the object (${namespace}) does not match the namespace on the request (${target.namespace})`,
    );
  }
  if (served.type.namespaced) metadata.namespace = target.namespace;
  else delete metadata.namespace;
}
