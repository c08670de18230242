/** `/scale`: how many of an object there are to be, and are, whatever its kind. Upstream: each kind's `ScaleREST`. */
import type { Draft } from '../api/draft.ts';
import { invalidError } from '../api/field-error.ts';
import type { LabelSelector, Scale } from '../api/gen/types.ts';
import { matcherOfLabels, matcherOfSelector, selectorText } from '../api/label-selector.ts';
import { apiVersionOf, scaleType } from '../api/resources.ts';
import { checkScale } from '../api/validation/replicated.ts';
import { StatusError } from '../base/status-error.ts';
import { checkReplaces } from './object-meta.ts';
import type { Changed, Registry, WriteScope } from './registry.ts';
import type { FullObject } from './stored-object.ts';

/** What every kind with a `/scale` has. */
interface Scalable extends FullObject {
  readonly spec?: {
    readonly replicas?: number;
    /** Of a ReplicationController just labels. */
    readonly selector?: LabelSelector | Readonly<Record<string, string>>;
  };
  readonly status?: { readonly replicas?: number };
}

/** An object as its scale. */
export function scaleOf(object: FullObject): FullObject {
  // Only kinds with `hasScale` are asked for it.
  const { metadata, kind, spec = {}, status = {} } = object as Scalable;
  const { name, namespace, uid, resourceVersion, creationTimestamp } = metadata;
  const selector = kind === 'ReplicationController' ? labelsText(spec.selector) : setText(spec.selector);
  const scale: Scale = {
    kind: scaleType.kind,
    apiVersion: apiVersionOf(scaleType),
    metadata: withoutAbsent({ name, namespace, uid, resourceVersion, creationTimestamp }),
    spec: (spec.replicas ?? 0) === 0 ? {} : { replicas: spec.replicas ?? 0 },
    status: { replicas: status.replicas ?? 0, ...(selector === '' ? {} : { selector }) },
  };
  // It has metadata.
  return scale as FullObject;
}

function withoutAbsent(meta: Readonly<Record<string, string | undefined>>): Readonly<Record<string, string>> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(meta)) if (value !== undefined) kept[name] = value;
  return kept;
}

function labelsText(selector: unknown): string {
  // The selector of a ReplicationController, as its model has it.
  return selectorText(matcherOfLabels((selector ?? {}) as Readonly<Record<string, string>>));
}

function setText(selector: unknown): string {
  // The selector of all other kinds, as their models have it.
  return selectorText(matcherOfSelector(selector as LabelSelector | undefined));
}

/** Replaces the number of an object by that of the scale which `makeNext` makes of the current one. */
export function changeScale(
  registry: Registry,
  target: { readonly namespace: string; readonly name: string },
  makeNext: (current: FullObject) => Draft<FullObject>,
  scope: WriteScope,
): Promise<Changed> {
  const { namespace, name } = target;
  return registry.update(
    namespace,
    name,
    (current) => {
      const next = makeNext(scaleOf(current.object));
      const found = next.metadata.name ?? '';
      if (found !== '' && found !== name) {
        const text = `the name of the object (${found}) does not match the name on the URL (${name})`;
        throw new StatusError('BadRequest', text);
      }
      checkReplaces(next, current, registry, false);
      next.metadata = { ...next.metadata, name, namespace };
      const errors: Parameters<typeof checkScale>[0] = [];
      // It was decoded as one.
      const scale = next as Scale;
      checkScale(errors, scale);
      if (errors.length > 0) throw invalidError(scaleType, name, errors);
      // Only kinds with `hasScale` have this subresource.
      const object = current.object as Scalable;
      const replicas = scale.spec?.replicas ?? 0;
      if (object.spec?.replicas === replicas) return { kind: 'keep' };
      const generation = (object.metadata.generation ?? 0) + 1;
      const scaled: Scalable = {
        ...object,
        metadata: { ...object.metadata, generation },
        spec: { ...object.spec, replicas },
      };
      return { kind: 'put', object: scaled };
    },
    scope,
  );
}
