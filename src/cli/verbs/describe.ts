import type {
  ConfigMap,
  DaemonSet,
  Deployment,
  Event,
  Job,
  Lease,
  Namespace,
  Node,
  Pod,
  ReplicaSet,
  ReplicationController,
  Secret,
  ServiceAccount,
} from '../../api/gen/types.ts';
import { resources, type ResourceType } from '../../api/resources.ts';
import { messageOf, StatusError } from '../../base/status-error.ts';
import type { ApiConnection } from '../api-connection.ts';
import { asOneOfMany, CliError, throwCollected } from '../cli-error.ts';
import { getObject, listObjects, type Place, type WireObject } from '../object-calls.ts';
import { describeEvents } from '../printers/describe-events.ts';
import { describeNode } from '../printers/describe-node.ts';
import {
  describeAny,
  describeConfigMap,
  describeNamespace,
  describeSecret,
  describeServiceAccount,
} from '../printers/describe-objects.ts';
import { describePod } from '../printers/describe-pod.ts';
import {
  describeDaemonSet,
  describeDeployment,
  describeJob,
  describeReplicaSet,
  describeReplicationController,
} from '../printers/describe-workloads.ts';
import { DescribeWriter, localZoneMinutesAt, type DescribeContext } from '../printers/describe-writer.ts';
import { ResourceTypes } from '../resource-types.ts';
import { resolveTargets, type Target, type TargetDeps } from '../targets.ts';
import { allNamespacesFlag, chunkSizeFlag, filenameFlags, selectorFlag } from '../verb-flags.ts';
import type { Verb, VerbCall } from '../verb.ts';

export const verb: Verb = {
  usage: 'describe (-f FILENAME | TYPE [NAME_PREFIX | -l label] | TYPE/NAME) [flags]',
  help: 'Show details of objects, with their events. A name that no object has is taken as the beginning of names.',
  connects: true,
  flags: [
    allNamespacesFlag,
    chunkSizeFlag,
    ...filenameFlags('containing the objects to describe'),
    selectorFlag,
    { name: 'show-events', kind: 'bool', fallback: true, help: 'Display events related to the object.' },
  ],
  run: runDescribe,
};

async function runDescribe(call: VerbCall): Promise<number> {
  const { args, flags, io, signal } = call;
  const filenames = flags.strings('filename');
  if (args.length === 0 && filenames.length === 0) {
    throw new CliError('You must specify the type of resource to describe.');
  }
  const connection = call.connect();
  const deps: TargetDeps = { connection, types: new ResourceTypes(connection, io), io };
  const { targets, errors: unreadable } = await resolveTargets(
    {
      args,
      filenames,
      recursive: flags.bool('recursive'),
      allNamespaces: flags.bool('all-namespaces'),
      hasSelector: flags.optional('selector') !== undefined,
      all: false,
      kindAloneMeansAll: true,
    },
    deps,
    signal,
  );
  const errors: unknown[] = unreadable.map(asOneOfMany);
  const found = await findAll(call, connection, targets, errors);
  const [only] = errors;
  if (errors.length === 1 && args.length === 2 && isNotFound(only) && found.length === 0) {
    return await describeByPrefix(call, deps, only, String(args[0]), String(args[1]));
  }
  const withEvents = flags.bool('show-events');
  let isFirst = true;
  for (const { type, object, missing } of found) {
    try {
      const text =
        missing === undefined
          ? await describeOne(call, connection, type, object, withEvents)
          : await describeMissing(call, connection, type, object, missing);
      io.out(isFirst ? text : `\n\n${text}`);
      isFirst = false;
    } catch (error) {
      errors.push(error);
    }
  }
  if (found.length === 0 && errors.length === 0) {
    const where = flags.bool('all-namespaces') ? '' : ` in ${connection.namespace} namespace.`;
    io.err(`No resources found${where}\n`);
  }
  throwCollected(errors);
  return 0;
}

interface Found {
  readonly type: ResourceType;
  readonly object: WireObject;
  /** It is not there any more, which only events tell of: why. */
  readonly missing?: string;
}

function isNotFound(error: unknown): boolean {
  return error instanceof StatusError && error.reason === 'NotFound';
}

async function findAll(
  { flags, signal }: VerbCall,
  connection: ApiConnection,
  targets: readonly Target[],
  errors: unknown[],
): Promise<Found[]> {
  const found: Found[] = [];
  for (const target of targets) {
    try {
      const objects =
        target.kind === 'object'
          ? [await getObject(connection, target, signal)]
          : (
              await listObjects(
                connection,
                target,
                { labelSelector: flags.optional('selector') },
                chunkSize(flags),
                signal,
              )
            ).items;
      found.push(...objects.map((object) => ({ type: target.type, object })));
    } catch (error) {
      const isOfFile = target.kind === 'object' && target.source !== undefined;
      if (isOfFile && isNotFound(error)) found.push({ ...missingObject(target), missing: messageOf(error) });
      else errors.push(error);
    }
  }
  return found;
}

function missingObject({ type, namespace, name }: Extract<Target, { kind: 'object' }>): Found {
  const metadata = namespace === undefined ? { name } : { name, namespace };
  return { type, object: { metadata } };
}

function chunkSize(flags: VerbCall['flags']): number {
  return flags.int('chunk-size');
}

async function describeByPrefix(
  call: VerbCall,
  deps: TargetDeps,
  notFound: unknown,
  kind: string,
  prefix: string,
): Promise<number> {
  const { flags, io, signal } = call;
  const type = await deps.types.named(kind, signal);
  const place: Place = type.namespaced ? { type, namespace: deps.connection.namespace } : { type };
  const { items } = await listObjects(deps.connection, place, {}, chunkSize(flags), signal);
  const matching = items.filter((object) => object.metadata?.name?.startsWith(prefix) === true);
  if (matching.length === 0) throw notFound;
  const withEvents = flags.bool('show-events');
  for (const object of matching) {
    io.out(`${await describeOne(call, deps.connection, type, object, withEvents)}\n`);
  }
  return 0;
}

/** Of a pod that is gone, what its events say. Upstream: `PodDescriber.Describe`. */
async function describeMissing(
  { io, flags, signal }: VerbCall,
  connection: ApiConnection,
  type: ResourceType,
  object: WireObject,
  why: string,
): Promise<string> {
  const isPod = type.resource === resources.pods.resource && type.group === '';
  const events =
    isPod && flags.bool('show-events')
      ? await findEvents(connection, type, object, chunkSize(flags), signal, '', '')
      : [];
  if (events.length === 0) throw new StatusError('NotFound', why);
  const writer = new DescribeWriter({ nowMs: io.clock.wallMs(), zoneMinutesAt: localZoneMinutesAt });
  writer.line(0, `Pod '${object.metadata?.name ?? ''}': error '${why}', but found events.`);
  describeEvents(writer, events);
  return writer.text();
}

async function describeOne(
  { io, flags, signal }: VerbCall,
  connection: ApiConnection,
  type: ResourceType,
  object: WireObject,
  withEvents: boolean,
): Promise<string> {
  const context: DescribeContext = { nowMs: io.clock.wallMs(), zoneMinutesAt: localZoneMinutesAt };
  const eventsOf = async (uid?: string, kind?: string): Promise<readonly Event[] | undefined> =>
    withEvents ? await findEvents(connection, type, object, chunkSize(flags), signal, uid, kind) : undefined;
  const is = (other: ResourceType): boolean => other.resource === type.resource && other.group === type.group;
  // Each object is what its type says: the server answered it under that type's path.
  if (is(resources.pods)) {
    const mirrored = object.metadata?.annotations?.['kubernetes.io/config.mirror'];
    return describePod(object as Pod, await eventsOf(mirrored, ''), context);
  }
  if (is(resources.nodes)) {
    const node = object as Node; // see above
    return await describeNodeWith(node, connection, eventsOf, chunkSize(flags), context, signal);
  }
  if (is(resources.namespaces)) return describeNamespace(object as Namespace, context); // see above
  if (is(resources.configmaps)) return describeConfigMap(object as ConfigMap, await eventsOf(), context); // see above
  if (is(resources.secrets)) return describeSecret(object as Secret, context); // see above
  if (is(resources.serviceaccounts)) {
    return describeServiceAccount(object as ServiceAccount, await eventsOf(), context); // see above
  }
  const workload = await describeWorkload(type, object, { connection, pageSize: chunkSize(flags), signal });
  return workload === undefined ? describeAny(object, await eventsOf(), context) : workload(await eventsOf(), context);
}

type DescribeEnd = (events: readonly Event[] | undefined, context: DescribeContext) => string;

/** Of what manages pods, with what it manages; `undefined`: it is something else. */
async function describeWorkload(
  type: ResourceType,
  object: WireObject,
  from: { readonly connection: ApiConnection; readonly pageSize: number; readonly signal: AbortSignal },
): Promise<DescribeEnd | undefined> {
  const { namespace = '' } = object.metadata ?? {};
  const list = async (listed: ResourceType): Promise<readonly WireObject[]> =>
    (await listObjects(from.connection, { type: listed, namespace }, {}, from.pageSize, from.signal)).items;
  // The server's pods are of this shape.
  const pods = async (): Promise<readonly Pod[]> => (await list(resources.pods)) as readonly Pod[];
  const is = (other: ResourceType): boolean => other.resource === type.resource && other.group === type.group;
  // Each object is what its type says: the server answered it under that type's path.
  if (is(resources.replicationcontrollers)) {
    const own = await pods();
    const controller = object as ReplicationController; // see above
    return (events, context) => describeReplicationController(controller, own, events, context);
  }
  if (is(resources.replicasets)) {
    const own = await pods();
    return (events, context) => describeReplicaSet(object as ReplicaSet, own, events, context); // see above
  }
  if (is(resources.daemonsets)) {
    const own = await pods();
    return (events, context) => describeDaemonSet(object as unknown as DaemonSet, own, events, context); // see above
  }
  if (is(resources.deployments)) {
    const sets = (await list(resources.replicasets)) as readonly ReplicaSet[]; // see above
    return (events, context) => describeDeployment(object as Deployment, sets, events, context); // see above
  }
  if (is(resources.jobs)) return (events, context) => describeJob(object as Job, events, context); // see above
  return undefined;
}

/** Events about the object, by its UID, or by another that its events are filed under. `kind` `''`: of any kind. */
async function findEvents(
  connection: ApiConnection,
  type: ResourceType,
  object: WireObject,
  pageSize: number,
  signal: AbortSignal,
  uid = object.metadata?.uid ?? '',
  kind = type.kind,
): Promise<readonly Event[]> {
  const { name = '', namespace = '' } = object.metadata ?? {};
  const terms = [`involvedObject.name=${name}`, `involvedObject.namespace=${namespace}`];
  if (kind !== '') terms.push(`involvedObject.kind=${kind}`);
  if (uid !== '') terms.push(`involvedObject.uid=${uid}`);
  const place: Place = namespace === '' ? { type: resources.events } : { type: resources.events, namespace };
  try {
    const { items } = await listObjects(connection, place, { fieldSelector: terms.join(',') }, pageSize, signal);
    // The server's events are of this shape.
    return items as readonly unknown[] as readonly Event[];
  } catch (error) {
    if (signal.aborted) throw error;
    return []; // the description matters more than its last section, as upstream has it
  }
}

async function describeNodeWith(
  node: Node,
  connection: ApiConnection,
  eventsOf: (uid?: string) => Promise<readonly Event[] | undefined>,
  pageSize: number,
  context: DescribeContext,
  signal: AbortSignal,
): Promise<string> {
  const name = node.metadata?.name ?? '';
  const fieldSelector = `spec.nodeName=${name},status.phase!=Succeeded,status.phase!=Failed`;
  const { items } = await listObjects(connection, { type: resources.pods }, { fieldSelector }, pageSize, signal);
  // The kubelet files its own events under the node's name instead of its UID.
  const byUid = await eventsOf();
  const byName = node.metadata?.uid === name ? [] : await eventsOf(name);
  const lease = await leaseOf(name, connection, signal);
  const events = byUid === undefined ? undefined : [...byUid, ...(byName ?? [])];
  // The server's pods are of this shape.
  return describeNode(node, { pods: items as readonly Pod[], lease, events }, context);
}

async function leaseOf(name: string, connection: ApiConnection, signal: AbortSignal): Promise<Lease | string> {
  try {
    const place: Place = { type: resources.leases, namespace: 'kube-node-lease', name };
    // The server's leases are of this shape.
    return (await getObject(connection, place, signal)) as Lease;
  } catch (error) {
    return messageOf(error);
  }
}
