/** Creating objects: server fields, admission, validation, and the write. */
import { admitRuntimeClass, admitRuntimeScheduling } from '../api/admission-runtime-class.ts';
import { admitServiceAccount, mirrorPodProblem } from '../api/admission-service-account.ts';
import { applyDefaults } from '../api/defaulting.ts';
import type { Draft } from '../api/draft.ts';
import { invalidError } from '../api/field-error.ts';
import type { Namespace, Pod, RuntimeClass } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import { validateCreate } from '../api/validation/validate.ts';
import type { Clock } from '../base/clock.ts';
import { randomNameSuffix } from '../base/entropy.ts';
import type { Entropy } from '../base/entropy.ts';
import { StatusError, hasReason } from '../base/status-error.ts';
import type { Compare, WriteOp } from '../store/store.ts';
import { fillNewMeta, generateName, wantsGeneratedName } from './object-meta.ts';
import { admitPodPriority, admitPriorityClass } from './priority-admission.ts';
import type { Registry, WriteScope } from './registry.ts';
import { alreadyExists, forbidden, notFound } from './respond.ts';
import type { Served } from './served.ts';
import { mirrorAnnotation } from './strategy.ts';
import type { FullObject, StoredObject } from './stored-object.ts';
import { encodeStored } from './stored-object.ts';

/** Upstream: RetryGenerateName. */
const generatedNameTriesMax = 8;
/** Comes with its namespace, or soon after somebody deleted it. Upstream: 10 tries. */
const defaultAccount = 'default';
const defaultAccountTriesMax = 10;
const defaultAccountRetryMs = 100; // and up to as much again
/** How often a create is tried again because its namespace changed meanwhile. */
const namespaceTriesMax = 5;

export interface CreatorDeps {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly namespaces: Registry;
  readonly serviceAccounts: Registry;
  readonly priorityClasses: Registry;
  readonly runtimeClasses: Registry;
}

/** One request, whatever names are tried for it. */
interface Creation {
  readonly served: Served;
  readonly namespace: string;
  /** As refusals say it: admission comes before a name is made, so that what is tried again is refused alike. */
  readonly askedName: string;
  readonly scope: WriteScope;
}

export class ObjectCreator {
  readonly #deps: CreatorDeps;

  constructor(deps: CreatorDeps) {
    this.#deps = deps;
  }

  /** `object`: just decoded, in the version of `served`, and nobody else's. `namespace` is that of the path. */
  async create(served: Served, namespace: string, object: Draft<FullObject>, scope: WriteScope): Promise<StoredObject> {
    matchNamespace(served, namespace, object);
    applyDefaults(served.type, object);
    fillNewMeta(object, this.#deps.entropy, this.#deps.clock.wallMs());
    const { name = '', generateName: base = '' } = object.metadata;
    const askedName = [name, base].find((text) => text !== '') ?? 'Unknown';
    const creation = { served, namespace, askedName, scope };
    return wantsGeneratedName(object) ? this.#createNamed(creation, base, object) : this.#createOnce(creation, object);
  }

  async #createNamed(creation: Creation, base: string, object: Draft<FullObject>): Promise<StoredObject> {
    for (let tries = 1; ; tries++) {
      object.metadata.name = generateName(base, this.#deps.entropy);
      try {
        return await this.#createOnce(creation, object);
      } catch (error) {
        if (!hasReason(error, 'AlreadyExists')) throw error;
        if (tries < generatedNameTriesMax) continue;
        const { message } = alreadyExists(creation.served.type, object.metadata.name);
        const text = `${message}, the server was not able to generate a unique name for the object`;
        throw new StatusError('AlreadyExists', text, { details: { ...error.details, retryAfterSeconds: 1 } });
      }
    }
  }

  async #createOnce(creation: Creation, object: Draft<FullObject>): Promise<StoredObject> {
    const { served, scope } = creation;
    // A conversion takes the parts of the object over, so this is still nobody else's.
    const stored = (served.conversion?.toStored(object) ?? object) as Draft<FullObject>;
    served.strategy.prepareNew(stored);
    for (let tries = 1; ; tries++) {
      const holds = await this.#admit(creation, stored, tries === 1);
      const errors = validateCreate(served.type, object);
      if (errors.length > 0) throw invalidError(served.type, object.metadata.name ?? '', errors);
      admitPriorityClass(served, stored);
      try {
        return await served.registry.create(stored, scope, { holds, put: this.#companions(served, stored) });
      } catch (error) {
        if (!hasReason(error, 'Conflict') || tries >= namespaceTriesMax) throw error;
      }
    }
  }

  /** Whether it may be created here now; the answer holds as long as the returned comparisons hold. */
  async #admit(creation: Creation, object: FullObject, mayBeStale: boolean): Promise<Compare[]> {
    const { served, namespace, askedName, scope } = creation;
    if (namespace === '') return [];
    const found = await this.#lookUp(this.#deps.namespaces, '', namespace, mayBeStale, scope.signal);
    if (found === undefined) throw notFound(resources.namespaces, namespace);
    // It comes from the registry of namespaces.
    const { metadata } = found.object as Namespace & FullObject;
    if (metadata.deletionTimestamp !== undefined && !served.strategy.allowedInTerminating) {
      const text = `unable to create new content in namespace ${namespace} because it is being terminated`;
      throw forbidden(served.type, askedName, text, [
        {
          reason: 'NamespaceTerminating',
          message: `namespace ${namespace} is being terminated`,
          field: 'metadata.namespace',
        },
      ]);
    }
    if (served.type.resource === resources.pods.resource) await this.#admitPod(creation, object);
    return [{ key: found.key, modRevision: found.modRevision }];
  }

  /** Upstream: the admission plugins ServiceAccount, Priority and RuntimeClass. */
  async #admitPod({ namespace, askedName, scope }: Creation, object: FullObject): Promise<void> {
    // The caller looked at its kind, and nobody else has it.
    const pod = object as Draft<Pod>;
    const isMirror = object.metadata.annotations?.[mirrorAnnotation] !== undefined;
    const problem = isMirror ? mirrorPodProblem(pod) : await this.#admitAccount(namespace, pod, scope.signal);
    const refusal = (text: string): StatusError => forbidden(resources.pods, askedName, text);
    if (problem !== undefined) throw refusal(problem);
    const priorityProblem = await admitPodPriority(pod, this.#deps.priorityClasses, scope.signal);
    if (priorityProblem !== undefined) throw refusal(priorityProblem);
    const classProblem = isMirror ? undefined : await this.#admitRuntimeClass(pod, scope.signal);
    if (classProblem !== undefined) throw refusal(classProblem);
  }

  async #admitRuntimeClass(pod: Draft<Pod>, signal: AbortSignal): Promise<string | undefined> {
    const { runtimeClassName: name = '' } = pod.spec ?? {};
    const found = name === '' ? undefined : await this.#lookUp(this.#deps.runtimeClasses, '', name, true, signal);
    if (name !== '' && found === undefined) return `pod rejected: RuntimeClass "${name}" not found`;
    // Its registry has no other kind.
    const runtimeClass = found?.object as (RuntimeClass & FullObject) | undefined;
    return admitRuntimeClass(pod, runtimeClass) ?? admitRuntimeScheduling(pod, runtimeClass);
  }

  async #admitAccount(namespace: string, pod: Draft<Pod>, signal: AbortSignal): Promise<string | undefined> {
    const { serviceAccounts, clock, entropy } = this.#deps;
    const name = pod.spec?.serviceAccountName ?? defaultAccount;
    for (let tries = 1; ; tries++) {
      const found = await this.#lookUp(serviceAccounts, namespace, name, true, signal);
      if (found !== undefined) return admitServiceAccount(pod, found.object, () => randomNameSuffix(entropy, 5));
      if (name !== defaultAccount || tries >= defaultAccountTriesMax) break;
      const delayMs = defaultAccountRetryMs * (1 + entropy.unit());
      await clock.sleep(delayMs, 'apiserver.admission.serviceAccount', signal);
    }
    return `error looking up service account ${namespace}/${name}: serviceaccount "${name}" not found`;
  }

  /** From the cache if it `mayBeStale`; from the store what is not there. */
  async #lookUp(
    registry: Registry,
    namespace: string,
    name: string,
    mayBeStale: boolean,
    signal: AbortSignal,
  ): Promise<StoredObject | undefined> {
    const cached = !mayBeStale ? undefined : registry.cache.get(registry.key(namespace, name));
    if (cached !== undefined) return cached;
    const item = await registry.find(namespace, name, signal);
    return item === undefined ? undefined : registry.cache.intern(item);
  }

  /** Each namespace is born with the service account `default`, so that no pod in it has to wait for a controller. */
  #companions(served: Served, object: FullObject): WriteOp[] {
    if (served.type.resource !== resources.namespaces.resource) return [];
    const account = this.#newServiceAccount(object.metadata.name ?? '');
    const key = this.#deps.serviceAccounts.key(object.metadata.name ?? '', account.metadata.name ?? '');
    return [{ kind: 'put', key, value: encodeStored(account) }];
  }

  #newServiceAccount(namespace: string): FullObject {
    const account: Draft<FullObject> = { metadata: { name: defaultAccount, namespace } };
    fillNewMeta(account, this.#deps.entropy, this.#deps.clock.wallMs());
    return account;
  }
}

/** The namespace in the object must be that of the path; a missing one is filled in. */
function matchNamespace(served: Served, namespace: string, object: Draft<FullObject>): void {
  const found = object.metadata.namespace ?? '';
  if (found !== '' && found !== namespace) {
    throw new StatusError(
      'BadRequest',
      'the namespace of the provided object does not match the namespace sent on the request',
    );
  }
  if (served.type.namespaced) object.metadata.namespace = namespace;
  else delete object.metadata.namespace;
}
