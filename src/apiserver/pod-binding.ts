/** Binding a pod to a node: what the scheduler does at the end. Upstream: `BindingREST`. */
import { decodeObject } from '../api/decode-body.ts';
import { invalidError, notSupported, required } from '../api/field-error.ts';
import type { FieldError } from '../api/field-error.ts';
import type { Binding, Pod, PodCondition } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import { formatTime } from '../api/time.ts';
import { StatusError } from '../base/status-error.ts';
import { checkReplaces } from './object-meta.ts';
import type { Registry, WriteScope } from './registry.ts';
import type { FullObject, StoredObject } from './stored-object.ts';

/** `name`: of the pod, from the path; `''` for the old `POST /bindings`, where the binding's own name tells it. */
export function parseBinding(value: unknown, namespace: string, name: string): Binding {
  const { object } = decodeObject<Binding>(resources.bindings, value, 'Ignore');
  const found = object.metadata?.name ?? '';
  if (name !== '' && found !== '' && found !== name) {
    throw new StatusError('BadRequest', 'name in URL does not match name in Binding object');
  }
  const foundNamespace = object.metadata?.namespace ?? '';
  if (foundNamespace !== '' && foundNamespace !== namespace) {
    throw new StatusError(
      'BadRequest',
      'the namespace of the provided object does not match the namespace sent on the request',
    );
  }
  const errors: FieldError[] = [];
  const { kind = '', name: target = '' } = object.target;
  if (kind !== '' && kind !== 'Node') errors.push(notSupported('target.kind', kind, ['Node', '<empty>']));
  if (target === '') errors.push(required('target.name'));
  if (errors.length > 0) throw invalidError(resources.bindings, found, errors);
  return object;
}

export async function bindPod(
  pods: Registry,
  target: { readonly namespace: string; readonly name: string },
  binding: Binding,
  nowMs: number,
  scope: WriteScope,
): Promise<void> {
  await pods.update(
    target.namespace,
    target.name,
    (current) => {
      checkReplaces({ metadata: copyMeta(binding) }, current, pods, false);
      return { kind: 'put', object: bound(current, binding, nowMs) };
    },
    scope,
  );
}

function copyMeta(binding: Binding): { uid?: string; resourceVersion?: string } {
  const { uid, resourceVersion } = binding.metadata ?? {};
  return { ...(uid === undefined ? {} : { uid }), ...(resourceVersion === undefined ? {} : { resourceVersion }) };
}

function bound(current: StoredObject, binding: Binding, nowMs: number): FullObject {
  // It comes from the registry of pods.
  const pod = current.object as Pod & FullObject;
  const name = pod.metadata.name ?? '';
  if (pod.metadata.deletionTimestamp !== undefined) {
    throw cannotBind(name, `pod ${name} is being deleted, cannot be assigned to a host`);
  }
  const nodeName = pod.spec?.nodeName ?? '';
  if (nodeName !== '') throw cannotBind(name, `pod ${name} is already assigned to node ${JSON.stringify(nodeName)}`);
  if ((pod.spec?.schedulingGates?.length ?? 0) > 0) {
    throw cannotBind(name, `pod ${name} has non-empty .spec.schedulingGates`);
  }
  const annotations = { ...pod.metadata.annotations, ...binding.metadata?.annotations };
  const next: Pod & FullObject = {
    ...pod,
    metadata: Object.keys(annotations).length === 0 ? pod.metadata : { ...pod.metadata, annotations },
    spec: { containers: [], ...pod.spec, nodeName: binding.target.name ?? '' },
    status: { ...pod.status, conditions: withScheduled(pod, nowMs) },
  };
  return next;
}

function withScheduled(pod: Pod, nowMs: number): PodCondition[] {
  const conditions = pod.status?.conditions ?? [];
  const before = conditions.find((condition) => condition.type === 'PodScheduled');
  const scheduled: PodCondition = {
    type: 'PodScheduled',
    status: 'True',
    ...(pod.metadata?.generation === undefined ? {} : { observedGeneration: pod.metadata.generation }),
    lastProbeTime: null,
    lastTransitionTime:
      before?.status === 'True' && before.lastTransitionTime !== undefined
        ? before.lastTransitionTime
        : formatTime(nowMs),
  };
  return before === undefined
    ? [...conditions, scheduled]
    : conditions.map((condition) => (condition === before ? scheduled : condition));
}

function cannotBind(name: string, text: string): StatusError {
  return new StatusError('Conflict', `Operation cannot be fulfilled on pods/binding "${name}": ${text}`, {
    details: { name, kind: 'pods/binding' },
  });
}
