/** Answers requests about objects: every verb on every served kind. Callers have checked who asks. */
import { servicesRefused } from './kubernetes-service.ts';
import { parseFieldSelector } from '../api/field-selector.ts';
import type { Draft } from '../api/draft.ts';
import type { CertificateSigningRequest, Node, Eviction, Pod } from '../api/gen/types.ts';
import { parseLabelSelector } from '../api/label-selector.ts';
import { evictions, resources } from '../api/resources.ts';
import type { ResourceType } from '../api/resources.ts';
import { formatTime } from '../api/time.ts';
import { successStatus } from '../api/status.ts';
import type { Clock } from '../base/clock.ts';
import type { Entropy } from '../base/entropy.ts';
import type { HttpRequest, HttpResponse, UserInfo } from '../base/http.ts';
import { StatusError, hasReason } from '../base/status-error.ts';
import type { Store } from '../store/store.ts';
import { newObjectProblem, ownNodeProblem } from './authorize-node.ts';
import { nodeNameOf } from './authorize.ts';
import { changeObject, matchTarget } from './change-object.ts';
import type { Part } from './change-object.ts';
import type { ObjectCreator } from './create-object.ts';
import { deleteObject, parseDeleting } from './delete-object.ts';
import { listPage } from './list.ts';
import { negotiate } from './negotiate.ts';
import type { Accepted } from './negotiate.ts';
import { proxyToNode } from './node-proxy.ts';
import { checkNodePodRequest } from './node-restriction.ts';
import { parsePatch } from './patch.ts';
import type { JsonPatch } from './patch.ts';
import { bindPod, parseBinding } from './pod-binding.ts';
import { evictPod, matchEviction } from './pod-eviction.ts';
import { podLog } from './pod-log.ts';
import { parsePodProxyName, proxyToPod } from './pod-proxy.ts';
import type { PodTransport } from './pod-proxy.ts';
import type { NodeTransport } from './pod-log.ts';
import { podStream } from './pod-streams.ts';
import type { PodStream } from './pod-streams.ts';
import { parseListQuery, parseWriteQuery } from './query-options.ts';
import type { ListQuery } from './query-options.ts';
import type { BodyReader, YamlCodec } from './request-body.ts';
import { jsonObjects, representationOf } from './representation.ts';
import type { Representation } from './representation.ts';
import { forbidden, jsonResponse, noSuchPath, notFound, warningHeader, wrongMethod } from './respond.ts';
import type { ResourceRoute } from './route.ts';
import { changeScale } from './scale.ts';
import { scaleOfServed } from './served.ts';
import type { Served } from './served.ts';
import type { FullObject, StoredObject } from './stored-object.ts';
import { stampConditions } from './strategy.ts';
import { tableMaker } from './table-view.ts';
import { triggerOf } from './watch-cache.ts';
import type { WatchTrigger } from './watch-cache.ts';
import { startWatch } from './watch-request.ts';

export interface ResourceRequestsDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly nodes: NodeTransport;
  readonly pods?: PodTransport | undefined;
  readonly jsonPatch: JsonPatch;
  readonly yaml?: YamlCodec | undefined;
  readonly reader: BodyReader;
  readonly creator: ObjectCreator;
  readonly servedOf: (type: ResourceType) => Served;
}

/** What upstream calls the verb of a request. */
export type RequestVerb =
  | 'get'
  | 'list'
  | 'watch'
  | 'create'
  | 'update'
  | 'patch'
  | 'delete'
  | 'deletecollection'
  | 'connect';

export function verbOf(request: HttpRequest, route: ResourceRoute): RequestVerb | undefined {
  if (route.subresource === 'proxy') return 'connect';
  switch (request.method) {
    case 'GET':
    case 'HEAD': {
      if (route.name !== '' && !route.watchPrefix) return 'get';
      const watch = request.query.get('watch');
      return route.watchPrefix || (watch !== null && watch !== 'false' && watch !== '0') ? 'watch' : 'list';
    }
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return route.name === '' ? 'deletecollection' : 'delete';
    default:
      return undefined;
  }
}

const podStreams: readonly PodStream[] = ['exec', 'attach', 'portforward'];

export class ResourceRequests {
  readonly #deps: ResourceRequestsDeps;
  readonly #jsonByType = new Map<ResourceType, Representation>();

  constructor(deps: ResourceRequestsDeps) {
    this.#deps = deps;
  }

  handle(
    request: HttpRequest,
    route: ResourceRoute,
    verb: RequestVerb,
    signal: AbortSignal,
  ): Promise<HttpResponse> | HttpResponse {
    const node = route.type === resources.pods && request.user !== undefined ? nodeNameOf(request.user) : undefined;
    if (node !== undefined) return this.#handleOfNode(node, request, route, verb, signal);
    return this.#dispatch(request, route, verb, signal);
  }

  async #handleOfNode(
    node: string,
    request: HttpRequest,
    route: ResourceRoute,
    verb: RequestVerb,
    signal: AbortSignal,
  ): Promise<HttpResponse> {
    const { reader, servedOf } = this.#deps;
    const pods = servedOf(resources.pods).registry;
    const nodes = servedOf(resources.nodes).registry;
    // It is read as a pod.
    const newPod = (): Pod => reader.readObject(resources.pods, request, 'Ignore').object as Pod;
    await checkNodePodRequest({ node, verb, route, newPod, pods, nodes }, signal);
    return this.#dispatch(request, route, verb, signal);
  }

  #dispatch(
    request: HttpRequest,
    route: ResourceRoute,
    verb: RequestVerb,
    signal: AbortSignal,
  ): Promise<HttpResponse> | HttpResponse {
    if (route.subresource !== '') return this.#subresource(request, route, verb, signal);
    const isServed = verb !== 'connect' && route.type.verbs.includes(verb);
    if (!isServed) throw route.type === resources.services ? servicesRefused() : wrongMethod();
    switch (verb) {
      case 'get':
        return this.#get(request, route, signal);
      case 'list':
        return this.#list(request, route, signal);
      case 'watch':
        return this.#watch(request, route, signal);
      case 'create':
        if (route.name !== '' || (route.type.namespaced && route.namespace === '')) throw wrongMethod();
        if (route.type === resources.bindings) return this.#bind(request, route, signal);
        return this.#create(request, route, signal);
      case 'update':
        if (route.name === '') throw wrongMethod();
        return this.#update(request, route, 'object', signal);
      case 'patch':
        if (route.name === '') throw wrongMethod();
        return this.#patch(request, route, 'object', signal);
      case 'delete':
        return this.#delete(request, route, signal);
      case 'deletecollection':
        if (route.type.namespaced && route.namespace === '') throw wrongMethod();
        return this.#deleteCollection(request, route, signal);
      default:
        throw wrongMethod();
    }
  }

  #subresource(
    request: HttpRequest,
    route: ResourceRoute,
    verb: RequestVerb,
    signal: AbortSignal,
  ): Promise<HttpResponse> | HttpResponse {
    const { type, subresource } = route;
    if (type === resources.nodes && subresource === 'proxy') return this.#proxy(request, route, signal);
    if (type === resources.pods && subresource === 'proxy') return this.#proxyToPod(request, route, signal);
    // Kubernetes has it, and nothing here acts on it: refused in words.
    if (type === resources.pods && subresource === 'resize') {
      const details = { name: route.name, kind: 'pods/resize' };
      throw new StatusError('NotFound', 'pods/resize is not served here', { details });
    }
    if (route.rest !== '') throw noSuchPath();
    if (subresource === 'scale' && type.hasScale) return this.#scale(request, route, verb, signal);
    const stream = type === resources.pods ? podStreams.find((each) => each === subresource) : undefined;
    if (stream !== undefined) return this.#stream(request, route, stream, signal);
    const isStatus = subresource === 'status' && type.hasStatus;
    const isApproval = subresource === 'approval' && type === resources.certificatesigningrequests;
    const isFinalize = subresource === 'finalize' && type === resources.namespaces;
    const isEphemeral = subresource === 'ephemeralcontainers' && type === resources.pods;
    const isLog = subresource === 'log' && type === resources.pods;
    const isBinding = subresource === 'binding' && type === resources.pods;
    const isEviction = subresource === 'eviction' && type === resources.pods;
    const isServed = isStatus || isFinalize || isLog || isBinding || isApproval || isEphemeral || isEviction;
    if (!isServed) throw noSuchPath();
    if (isEphemeral && verb === 'get') return this.#get(request, route, signal);
    if (isEphemeral && verb === 'update') return this.#update(request, route, 'ephemeralcontainers', signal);
    if (isEphemeral && verb === 'patch') return this.#patch(request, route, 'ephemeralcontainers', signal);
    if (isEviction && verb === 'create') return this.#evict(request, route, signal);
    if (isLog && verb === 'get') return this.#log(request, route, signal);
    if (isBinding && verb === 'create') return this.#bind(request, route, signal);
    if (isFinalize && verb === 'update') return this.#update(request, route, 'finalize', signal);
    if (isApproval && verb === 'update') return this.#update(request, route, 'approval', signal);
    if (isApproval && verb === 'patch') return this.#patch(request, route, 'approval', signal);
    if ((isStatus || isApproval) && verb === 'get') return this.#get(request, route, signal);
    if (isStatus && verb === 'update') return this.#update(request, route, 'status', signal);
    if (isStatus && verb === 'patch') return this.#patch(request, route, 'status', signal);
    throw wrongMethod();
  }

  async #scale(
    request: HttpRequest,
    route: ResourceRoute,
    verb: RequestVerb,
    signal: AbortSignal,
  ): Promise<HttpResponse> {
    const served = this.#deps.servedOf(route.type);
    const shown = scaleOfServed(served);
    if (verb === 'get') return this.#answer(request, shown, await this.#find(served, route, signal), 200);
    if (verb !== 'update' && verb !== 'patch') throw wrongMethod();
    const optionsKind = verb === 'update' ? 'UpdateOptions' : 'PatchOptions';
    const { dryRun, fieldValidation } = parseWriteQuery(request.query, optionsKind);
    this.#accepted(request);
    const { reader } = this.#deps;
    const patch = verb === 'patch' ? parsePatch(request, this.#deps.jsonPatch) : undefined;
    const makeNext = (current: FullObject): Draft<FullObject> =>
      patch === undefined
        ? reader.readObject(shown.type, request, fieldValidation).object
        : reader.decodeValue(shown.type, patch.apply(shown.type.model, current), fieldValidation).object;
    const changed = await changeScale(served.registry, route, makeNext, { dryRun, signal });
    return this.#answer(request, shown, changed.object, 200);
  }

  #accepted(request: HttpRequest): Accepted {
    return negotiate(request.headers['accept'], { views: true, encodings: this.#deps.reader.encodings });
  }

  #representation(request: HttpRequest, served: Served): Representation {
    const accepted = this.#accepted(request);
    if (accepted.view === 'object' && accepted.encoding === 'json') return this.#json(served);
    const maker = tableMaker(request.query.get('includeObject'), this.#deps.clock);
    return representationOf(served, { accepted, yaml: this.#deps.yaml, tableMaker: maker });
  }

  #json(served: Served): Representation {
    let json = this.#jsonByType.get(served.type);
    if (json === undefined) this.#jsonByType.set(served.type, (json = jsonObjects(served)));
    return json;
  }

  #answer(
    request: HttpRequest,
    served: Served,
    stored: StoredObject,
    status: number,
    warnings: readonly string[] = [],
  ): HttpResponse {
    const representation = this.#representation(request, served);
    const headers: Record<string, string> = {
      'content-type': representation.contentType,
      'cache-control': 'no-cache, private',
    };
    if (warnings.length > 0) headers['warning'] = warningHeader(warnings);
    return { status, headers, body: representation.object(stored) };
  }

  async #get(request: HttpRequest, route: ResourceRoute, signal: AbortSignal): Promise<HttpResponse> {
    const served = this.#deps.servedOf(route.type);
    const stored = await this.#find(served, route, signal);
    return this.#answer(request, served, stored, 200);
  }

  /** The object of a path; names in errors are those of the path's group. */
  async #find(served: Served, route: ResourceRoute, signal: AbortSignal): Promise<StoredObject> {
    const item = await served.registry.find(route.namespace, route.name, signal);
    if (item === undefined) throw notFound(served.type, route.name);
    return served.registry.cache.intern(item);
  }

  async #list(request: HttpRequest, route: ResourceRoute, signal: AbortSignal): Promise<HttpResponse> {
    const served = this.#deps.servedOf(route.type);
    const representation = this.#representation(request, served);
    const query = parseListQuery(request.query, false);
    const { matches, onlyName } = selection(served, query, route.name);
    const scope = { store: this.#deps.store, registry: served.registry, namespace: route.namespace, matches, onlyName };
    const page = await listPage(scope, query, signal);
    return {
      status: 200,
      headers: { 'content-type': representation.contentType, 'cache-control': 'no-cache, private' },
      body: representation.list(page),
    };
  }

  async #watch(request: HttpRequest, route: ResourceRoute, signal: AbortSignal): Promise<HttpResponse> {
    const served = this.#deps.servedOf(route.type);
    const representation = this.#representation(request, served);
    const query = parseListQuery(request.query, route.watchPrefix);
    const selected = selection(served, query, route.name);
    return startWatch(this.#deps, { served, namespace: route.namespace, ...selected, query, representation }, signal);
  }

  async #create(request: HttpRequest, route: ResourceRoute, signal: AbortSignal): Promise<HttpResponse> {
    const served = this.#deps.servedOf(route.type);
    const { dryRun, fieldValidation } = parseWriteQuery(request.query, 'CreateOptions');
    this.#accepted(request); // before anything is written
    const { object, warnings } = this.#deps.reader.readObject(route.type, request, fieldValidation);
    if (route.type === resources.certificatesigningrequests) fillRequester(object, request.user);
    checkNewOfNode(route.type, object, request.user);
    const stored = await this.#deps.creator.create(served, route.namespace, object, { dryRun, signal });
    return this.#answer(request, served, stored, 201, warnings);
  }

  async #update(request: HttpRequest, route: ResourceRoute, part: Part, signal: AbortSignal): Promise<HttpResponse> {
    const served = this.#deps.servedOf(route.type);
    const { dryRun, fieldValidation } = parseWriteQuery(request.query, 'UpdateOptions');
    this.#accepted(request);
    const read = (): ReturnType<BodyReader['readObject']> =>
      this.#deps.reader.readObject(route.type, request, fieldValidation);
    const target = { namespace: route.namespace, name: route.name, part };
    const first = read(); // whatever is stored, a bad body is told first
    const { warnings } = first;
    matchTarget(served, target, first.object);
    let unused: typeof first | undefined = first; // it is changed in place, so that every try needs one of its own
    const makeNext = (current: FullObject): Draft<FullObject> => {
      const { object } = unused ?? read();
      unused = undefined;
      this.#complete(route.type, part, object, current, request.user);
      return object;
    };
    try {
      const changed = await changeObject(served, target, makeNext, { dryRun, signal });
      return this.#answer(request, served, changed.object, 200, warnings);
    } catch (error) {
      const mayCreate = part === 'object' && served.strategy.createsOnUpdate && hasReason(error, 'NotFound');
      if (!mayCreate) throw error;
    }
    const { object } = read();
    delete object.metadata.resourceVersion;
    const stored = await this.#deps.creator.create(served, route.namespace, object, { dryRun, signal });
    return this.#answer(request, served, stored, 201, warnings);
  }

  #complete(
    type: ResourceType,
    part: Part,
    next: Draft<FullObject>,
    current: FullObject,
    user: UserInfo | undefined,
  ): void {
    checkChangeByNode(type, part, next, current, user);
    const isJudged = type === resources.certificatesigningrequests && part !== 'object';
    if (isJudged) stampConditions(next, current, formatTime(this.#deps.clock.wallMs()));
  }

  async #patch(request: HttpRequest, route: ResourceRoute, part: Part, signal: AbortSignal): Promise<HttpResponse> {
    const served = this.#deps.servedOf(route.type);
    const patch = parsePatch(request, this.#deps.jsonPatch);
    const { dryRun, fieldValidation } = parseWriteQuery(request.query, 'PatchOptions');
    this.#accepted(request);
    let warnings: readonly string[] = [];
    const makeNext = (current: FullObject): Draft<FullObject> => {
      const patched = patch.apply(route.type.model, current);
      try {
        const read = this.#deps.reader.decodeValue(route.type, patched, fieldValidation);
        warnings = read.warnings;
        this.#complete(route.type, part, read.object, current, request.user);
        return read.object;
      } catch (error) {
        if (!hasReason(error, 'BadRequest')) throw error;
        throw patch.invalid(patched, withoutPrefix(error.message));
      }
    };
    const target = { namespace: route.namespace, name: route.name, part };
    const changed = await changeObject(served, target, makeNext, { dryRun, signal });
    return this.#answer(request, served, changed.object, 200, warnings);
  }

  async #delete(request: HttpRequest, route: ResourceRoute, signal: AbortSignal): Promise<HttpResponse> {
    const served = this.#deps.servedOf(route.type);
    this.#accepted(request);
    const deleting = parseDeleting(request.query, this.#deps.reader.readOptions(request, 'DeleteOptions'));
    const changed = await deleteObject(this.#deps, served, route, deleting, signal);
    if (!changed.removed || served.strategy.returnsDeleted) {
      return this.#answer(request, served, changed.object, !changed.removed && deleting.dependentsFirst ? 202 : 200);
    }
    const { name = '', uid = '' } = changed.object.object.metadata;
    const { group, resource } = route.type;
    const details = { name, ...(group === '' ? {} : { group }), kind: resource, uid };
    return jsonResponse(200, JSON.stringify(successStatus(details)));
  }

  async #deleteCollection(request: HttpRequest, route: ResourceRoute, signal: AbortSignal): Promise<HttpResponse> {
    const served = this.#deps.servedOf(route.type);
    const representation = this.#representation(request, served);
    const deleting = parseDeleting(request.query, this.#deps.reader.readOptions(request, 'DeleteOptions'));
    const query = parseListQuery(request.query, false);
    const { matches, onlyName } = selection(served, query, '');
    const scope = { store: this.#deps.store, registry: served.registry, namespace: route.namespace, matches, onlyName };
    const page = await listPage(scope, query, signal);
    const deleted: StoredObject[] = [];
    for (const item of page.items) {
      const { namespace = '', name = '' } = served.registry.cache.intern(item).object.metadata;
      try {
        const changed = await deleteObject(this.#deps, served, { namespace, name }, deleting, signal);
        deleted.push(changed.object);
      } catch (error) {
        if (!hasReason(error, 'NotFound')) throw error; // someone else was faster
      }
    }
    const body = representation.list({ ...page, items: deleted });
    return { status: 200, headers: { 'content-type': representation.contentType }, body };
  }

  async #log(request: HttpRequest, route: ResourceRoute, signal: AbortSignal): Promise<HttpResponse> {
    const stored = await this.#find(this.#deps.servedOf(route.type), route, signal);
    // It comes from the registry of pods.
    return podLog(this.#deps.nodes, stored.object as Pod, request, signal);
  }

  async #stream(
    request: HttpRequest,
    route: ResourceRoute,
    stream: PodStream,
    signal: AbortSignal,
  ): Promise<HttpResponse> {
    if (request.method !== 'GET' && request.method !== 'POST') throw wrongMethod();
    const stored = await this.#find(this.#deps.servedOf(route.type), route, signal);
    // It comes from the registry of pods.
    return podStream(this.#deps.nodes, stored.object as Pod, stream, request, signal);
  }

  async #proxy(request: HttpRequest, route: ResourceRoute, signal: AbortSignal): Promise<HttpResponse> {
    const [name = ''] = route.name.split(':'); // NAME:PORT is allowed; a node has one server
    await this.#find(this.#deps.servedOf(route.type), { ...route, name }, signal);
    return proxyToNode(this.#deps.nodes, name, route.rest, request, signal);
  }

  async #proxyToPod(request: HttpRequest, route: ResourceRoute, signal: AbortSignal): Promise<HttpResponse> {
    const { pods, servedOf } = this.#deps;
    if (pods === undefined) throw new StatusError('ServiceUnavailable', 'there is no way to pods from here');
    const target = parsePodProxyName(route.name);
    const stored = await this.#find(servedOf(route.type), { ...route, name: target.name }, signal);
    // It comes from the registry of pods.
    return proxyToPod(pods, stored.object as Pod, target, route.rest, request, signal);
  }

  async #evict(request: HttpRequest, route: ResourceRoute, signal: AbortSignal): Promise<HttpResponse> {
    const { dryRun } = parseWriteQuery(request.query, 'CreateOptions');
    // It was decoded as one.
    const eviction = this.#deps.reader.readObject(evictions, request, 'Ignore').object as Eviction;
    matchEviction(eviction, route.name);
    const deleting = parseDeleting(new URLSearchParams(), eviction.deleteOptions);
    const pods = this.#deps.servedOf(resources.pods);
    const budgets = this.#deps.servedOf(resources.poddisruptionbudgets).registry;
    await evictPod({ ...this.#deps, pods, budgets }, route, { ...deleting, dryRun: dryRun || deleting.dryRun }, signal);
    return jsonResponse(201, JSON.stringify({ ...successStatus(), code: 201 }));
  }

  async #bind(request: HttpRequest, route: ResourceRoute, signal: AbortSignal): Promise<HttpResponse> {
    const { dryRun } = parseWriteQuery(request.query, 'CreateOptions');
    const read = this.#deps.reader.readObject(resources.bindings, request, 'Ignore');
    const binding = parseBinding(read.object, route.namespace, route.name);
    const target = {
      namespace: route.namespace,
      name: route.name === '' ? (binding.metadata?.name ?? '') : route.name,
    };
    if (target.name === '') throw new StatusError('BadRequest', 'Name parameter required.');
    const pods = this.#deps.servedOf(resources.pods).registry;
    await bindPod(pods, target, binding, this.#deps.clock.wallMs(), { dryRun, signal });
    return jsonResponse(201, JSON.stringify({ ...successStatus(), code: 201 }));
  }
}

/** A node makes no Node and no lease but its own, and gives itself no range of addresses. */
function checkNewOfNode(type: ResourceType, object: FullObject, user: UserInfo | undefined): void {
  const node = user === undefined ? undefined : nodeNameOf(user);
  const problem = node === undefined ? undefined : newObjectProblem(node, type, object);
  if (problem !== undefined) throw forbidden(type, object.metadata.name ?? '', problem);
}

/** A node changes neither its taints, nor its range of addresses, nor the labels that are not for it. */
function checkChangeByNode(
  type: ResourceType,
  part: Part,
  next: FullObject,
  current: FullObject,
  user: UserInfo | undefined,
): void {
  const node = type !== resources.nodes || part !== 'object' || user === undefined ? undefined : nodeNameOf(user);
  // The type says that both are Nodes.
  const problem = node === undefined ? undefined : ownNodeProblem(node, next as Node, current as Node);
  if (problem !== undefined) throw forbidden(type, current.metadata.name ?? '', problem);
}

/** A signing request says who asks: whatever the client wrote there. Upstream: `csrStrategy.PrepareForCreate`. */
function fillRequester(object: Draft<FullObject>, user: UserInfo | undefined): void {
  // The caller looked at its kind, and nobody else has it.
  const spec = (object as Draft<CertificateSigningRequest & FullObject>).spec as
    | Draft<CertificateSigningRequest>['spec']
    | undefined;
  if (spec === undefined || user === undefined) return;
  for (const name of ['uid', 'groups', 'extra'] as const) delete spec[name];
  spec.username = user.name;
  spec.groups = [...user.groups];
  if (user.uid !== undefined) spec.uid = user.uid;
  if (user.extra !== undefined)
    spec.extra = Object.fromEntries(Object.entries(user.extra).map(([k, v]) => [k, [...v]]));
}

/** Upstream tells only the decoder's own words here. */
function withoutPrefix(message: string): string {
  const at = message.indexOf(' cannot be handled');
  return at < 0 ? message : message.slice(message.indexOf(': ', at) + 2);
}

interface Selection {
  readonly matches: ((object: StoredObject) => boolean) | undefined;
  readonly onlyName: string | undefined;
  readonly trigger: WatchTrigger | undefined;
}

/** `name`: from the path of an old `/watch/` request. */
function selection(served: Served, query: ListQuery, name: string): Selection {
  const labels = query.labelSelector === '' ? undefined : parseLabelSelector(query.labelSelector);
  const fieldText = name === '' ? query.fieldSelector : `metadata.name=${name}`;
  const fields = fieldText === '' ? undefined : parseFieldSelector(served.type, fieldText);
  const needsLabels = labels !== undefined && labels.requirements.length > 0;
  const needsFields = fields !== undefined && fields.requirements.length > 0;
  const onlyName = fields?.exactValueOf('metadata.name');
  const trigger = triggerOf(fields);
  if (!needsLabels && !needsFields) return { matches: undefined, onlyName, trigger };
  const { conversion } = served;
  const matches = (stored: StoredObject): boolean => {
    const { object } = stored;
    if (needsLabels && !labels.matches(object.metadata.labels)) return false;
    if (!needsFields) return true;
    return fields.matches(conversion === undefined ? object : conversion.fromStored(object));
  };
  return { matches, onlyName, trigger };
}
