/**
 * What differs from kind to kind when objects are written: which fields belong to whom, what the server fills in, how
 * they are deleted. Everything here is pure. Upstream: the `strategy.go` of each registry, and the admission plugins
 * that are always on.
 */
import { admitPod } from '../api/admission.ts';
import type { EvictionSeconds } from '../api/admission.ts';
import { noBudgetStatus } from '../api/disruption-budget.ts';
import type { Draft } from '../api/draft.ts';
import type { CertificateSigningRequest, DaemonSet, Job, Namespace, Pod } from '../api/gen/types.ts';
import { mergeLabelKeys } from '../api/merge-label-keys.ts';
import { qosClassOf } from '../api/qos.ts';
import { resources } from '../api/resources.ts';
import { sameValue } from '../api/validation/same-value.ts';
import type { ResourceType } from '../api/resources.ts';
import type { FullObject } from './stored-object.ts';

export interface Strategy {
  /** Changes a decoded new object: what clients may not set is reset, what the server sets is filled in. */
  prepareNew(object: Draft<FullObject>): void;
  /** The same for a replacement of `current`; status is not touched by a plain update. */
  prepareChanged(next: Draft<FullObject>, current: FullObject): void;
  /** The same for a replacement through `/status`, which changes nothing else. */
  prepareStatus(next: Draft<FullObject>, current: FullObject): void;
  /** Grace in seconds for a DELETE that asked for `askedSeconds`; absent: the kind is deleted at once. */
  readonly graceOf?: (object: FullObject, askedSeconds: number | undefined) => number;
  /** Whether a replacement counts as a new generation; absent: if its spec has changed. */
  readonly isNewGeneration?: (next: FullObject, current: FullObject) => boolean;
  /** What becomes of what it owns when a DELETE does not say. */
  readonly dependents: 'delete' | 'orphan' | 'unowned';
  /** DELETE answers with the object even when it is gone at once. */
  readonly returnsDeleted: boolean;
  /** A PUT of what does not exist creates it. */
  readonly createsOnUpdate: boolean;
  /** An update must say which resourceVersion it replaces. */
  readonly needsRevision: boolean;
  /** Events: they do not count as content, and so may be written into a namespace that is going away. */
  readonly allowedInTerminating: boolean;
}

type Fields = Record<string, unknown>;

/** An object's fields by name: strategies copy whole parts between two objects of one kind. */
function fieldsOf(object: Draft<FullObject> | FullObject): Fields {
  // Every object is a record of JSON values.
  return object as unknown as Fields;
}

function keep(next: Draft<FullObject>, current: FullObject, name: string): void {
  const value = fieldsOf(current)[name];
  if (value === undefined) delete fieldsOf(next)[name];
  else fieldsOf(next)[name] = value;
}

const plain: Strategy = {
  prepareNew() {},
  prepareChanged() {},
  prepareStatus(next, current) {
    for (const name of new Set([...Object.keys(current), ...Object.keys(next)])) {
      if (name !== 'status' && name !== 'metadata') keep(next, current, name);
    }
  },
  dependents: 'delete',
  returnsDeleted: false,
  createsOnUpdate: false,
  needsRevision: false,
  allowedInTerminating: false,
};

/** Kinds with a status: a plain update leaves it alone, an update of the status leaves all else alone. */
const withStatus: Strategy = {
  ...plain,
  prepareChanged: (next, current) => keep(next, current, 'status'),
};

/** Kinds whose controllers tell by `observedGeneration` which spec they have seen. `status`: of a new one. */
function withGeneration(status: Fields): Strategy {
  return {
    ...withStatus,
    prepareNew(object) {
      object.metadata.generation = 1;
      fieldsOf(object)['status'] = { ...status };
    },
  };
}

/** It has no status, though its changes are counted. */
const podTemplates: Strategy = {
  ...plain,
  prepareNew(object) {
    object.metadata.generation = 1;
  },
};

/** Its controller copies its annotations on, so they count too. */
const deployments: Strategy = {
  ...withGeneration({}),
  isNewGeneration: (next, current) =>
    specChanged(next, current) || !sameValue(next.metadata.annotations ?? {}, current.metadata.annotations ?? {}),
  prepareStatus(next, current) {
    plain.prepareStatus(next, current);
    const { labels } = current.metadata;
    if (labels === undefined) delete next.metadata.labels;
    else next.metadata.labels = { ...labels };
  },
};
/** Its pods are told by its UID, unless somebody wants it otherwise. Without a word it leaves them alone, too. */
const jobs: Strategy = {
  ...withGeneration({}),
  dependents: 'orphan',
  prepareNew(object) {
    object.metadata.generation = 1;
    // The cast is the kind that this strategy is for.
    const job = object as Draft<Job>;
    job.status = {};
    selectByUid(job);
  },
};

/** Upstream: `generateSelector`. */
function selectByUid({ metadata, spec }: Draft<Job>): void {
  if (spec === undefined || spec.manualSelector === true) return;
  const { uid = '', name = '' } = metadata ?? {};
  spec.template.metadata ??= {};
  const labels = (spec.template.metadata.labels ??= {});
  for (const prefix of ['', 'batch.kubernetes.io/']) {
    labels[`${prefix}job-name`] ??= name;
    labels[`${prefix}controller-uid`] ??= uid;
  }
  spec.selector ??= {};
  spec.selector.matchLabels ??= {};
  spec.selector.matchLabels['batch.kubernetes.io/controller-uid'] ??= uid;
}

const templateGeneration = 'deprecated.daemonset.template.generation';
const noDaemons = withGeneration({
  currentNumberScheduled: 0,
  desiredNumberScheduled: 0,
  numberMisscheduled: 0,
  numberReady: 0,
});

/** As upstream it still counts its templates, in an annotation: that was a field once. */
const daemonSets: Strategy = {
  ...noDaemons,
  prepareNew(object) {
    noDaemons.prepareNew(object);
    object.metadata.annotations = { ...object.metadata.annotations, [templateGeneration]: '1' };
  },
  prepareChanged(next, current) {
    noDaemons.prepareChanged(next, current);
    const before = Number(current.metadata.annotations?.[templateGeneration] ?? 0);
    // The casts are the kind that this strategy is for.
    const isSame = sameValue((next as Draft<DaemonSet>).spec?.template, (current as DaemonSet).spec?.template);
    const count = String(isSame ? before : before + 1);
    next.metadata.annotations = { ...next.metadata.annotations, [templateGeneration]: count };
  },
};

const replicaSets: Strategy = withGeneration({ replicas: 0 });
/** Older than the garbage collector: without a word it leaves its pods alone. */
const replicationControllers: Strategy = { ...replicaSets, dependents: 'orphan' };

const namespaceFinalizer = 'kubernetes';

const namespaces: Strategy = {
  ...withStatus,
  prepareNew(object) {
    // The cast is the kind that this strategy is for.
    const namespace = object as Draft<Namespace>;
    const finalizers = namespace.spec?.finalizers ?? [];
    namespace.spec = {
      finalizers: finalizers.includes(namespaceFinalizer) ? finalizers : [...finalizers, namespaceFinalizer],
    };
    namespace.status = { phase: 'Active' };
    labelWithName(namespace);
  },
  prepareChanged(next, current) {
    // As above. The finalizers of the spec change only through `/finalize`.
    keep(next, current, 'spec');
    keep(next, current, 'status');
    labelWithName(next as Draft<Namespace>);
  },
};

function labelWithName(namespace: Draft<Namespace>): void {
  namespace.metadata ??= {};
  namespace.metadata.labels = {
    ...namespace.metadata.labels,
    'kubernetes.io/metadata.name': namespace.metadata.name ?? '',
  };
}

/** Annotation of a pod that mirrors a static pod: it is exempt from most of admission. */
export const mirrorAnnotation = 'kubernetes.io/config.mirror';

const podsWith = (evictionSeconds: EvictionSeconds | undefined): Strategy => ({
  ...withStatus,
  prepareNew(object) {
    // The cast is the kind that this strategy is for.
    const pod = object as Draft<Pod>;
    pod.status = { phase: 'Pending', qosClass: qosClassOf(pod.spec ?? { containers: [] }) };
    if (pod.metadata !== undefined) pod.metadata.generation = 1;
    mergeLabelKeys(pod);
    admitPod(pod, evictionSeconds);
  },
  prepareChanged(next, current) {
    keep(next, current, 'status');
    // As above. Of admission, what is about service accounts and priority is for new pods alone.
    const pod = next as Draft<Pod>;
    keepPriority(pod, current as Pod);
    const { serviceAccount, serviceAccountName } = pod.spec ?? {};
    admitPod(pod, evictionSeconds);
    if (pod.spec === undefined) return;
    if (serviceAccount === undefined) delete pod.spec.serviceAccount;
    if (serviceAccountName === undefined) delete pod.spec.serviceAccountName;
  },
  prepareStatus(next, current) {
    plain.prepareStatus(next, current);
    const { ownerReferences } = current.metadata;
    if (ownerReferences === undefined) delete next.metadata.ownerReferences;
    else next.metadata.ownerReferences = ownerReferences.map((owner) => ({ ...owner }));
    // As above. The class is decided when the pod is created.
    const qosClass = (current as Pod).status?.qosClass;
    const { status } = next as Draft<Pod>;
    if (status !== undefined && qosClass !== undefined) status.qosClass = qosClass;
  },
  graceOf(object, askedSeconds) {
    // As above.
    const { spec, status } = object as Pod;
    if ((spec?.nodeName ?? '') === '' || status?.phase === 'Failed' || status?.phase === 'Succeeded') return 0;
    const seconds = askedSeconds ?? spec?.terminationGracePeriodSeconds ?? 0;
    return seconds < 0 ? 1 : seconds;
  },
  returnsDeleted: true,
});

/** Who leaves them out means those that the pod has. */
function keepPriority({ spec: next }: Draft<Pod>, { spec: current }: Pod): void {
  if (next === undefined) return;
  if (current?.priority !== undefined) next.priority ??= current.priority;
  if (current?.preemptionPolicy !== undefined) next.preemptionPolicy ??= current.preemptionPolicy;
}

/** Who asks is filled in by the server; what is asked never changes. */
const signingRequests: Strategy = {
  ...withStatus,
  prepareNew(object) {
    fieldsOf(object)['status'] = {};
  },
  prepareChanged(next, current) {
    keep(next, current, 'spec');
    keep(next, current, 'status');
  },
};

/** `/approval` changes only the conditions of a signing request. */
export function prepareApproval(next: Draft<FullObject>, current: FullObject): void {
  plain.prepareStatus(next, current);
  // Only signing requests have this subresource.
  const request = next as Draft<CertificateSigningRequest & FullObject>;
  const { status } = current as CertificateSigningRequest;
  const conditions = request.status?.conditions;
  request.status = conditions === undefined ? {} : { conditions };
  if (status?.certificate !== undefined) request.status.certificate = status.certificate;
}

/** Whoever judges a signing request need not say when. Upstream: `populateConditionTimestamps`. */
export function stampConditions(next: Draft<FullObject>, current: FullObject, now: string): void {
  // The caller looked at its kind.
  const { status } = next as Draft<CertificateSigningRequest & FullObject>;
  const before = (current as CertificateSigningRequest).status?.conditions ?? [];
  for (const condition of status?.conditions ?? []) {
    const same = before.find(({ type, status: was }) => type === condition.type && was === condition.status);
    condition.lastUpdateTime ??= now;
    condition.lastTransitionTime ??= same?.lastTransitionTime ?? now;
  }
}

const leases: Strategy = { ...plain, createsOnUpdate: true, needsRevision: true };
const events: Strategy = {
  ...plain,
  createsOnUpdate: true,
  allowedInTerminating: true,
  dependents: 'unowned',
};
const serviceAccounts: Strategy = { ...plain, returnsDeleted: true };

const strategyByResource: ReadonlyMap<string, Strategy> = new Map([
  [resources.podtemplates.resource, podTemplates],
  [resources.replicationcontrollers.resource, replicationControllers],
  [resources.replicasets.resource, replicaSets],
  [resources.deployments.resource, deployments],
  [resources.jobs.resource, jobs],
  [resources.daemonsets.resource, daemonSets],
  [resources.nodes.resource, withStatus],
  [resources.namespaces.resource, namespaces],
  [resources.leases.resource, leases],
  [resources.events.resource, events],
  [resources.serviceaccounts.resource, serviceAccounts],
  [resources.certificatesigningrequests.resource, signingRequests],
  [resources.poddisruptionbudgets.resource, withGeneration({ ...noBudgetStatus })],
]);

/** `evictionSeconds`: as in `admitPod`. */
export function strategyOf(type: ResourceType, evictionSeconds?: EvictionSeconds): Strategy {
  if (type.resource === resources.pods.resource) return podsWith(evictionSeconds);
  return strategyByResource.get(type.resource) ?? (type.hasStatus ? withStatus : plain);
}

/** Whether the spec (all but metadata and status) of two objects differs: then its generation rises. */
export function specChanged(next: FullObject, current: FullObject): boolean {
  const { metadata: _m, status: _s, apiVersion: _a, kind: _k, ...a } = fieldsOf(next);
  const { metadata: _m2, status: _s2, apiVersion: _a2, kind: _k2, ...b } = fieldsOf(current);
  return !sameValue(a, b);
}
