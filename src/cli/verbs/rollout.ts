import type { ControllerRevision, DaemonSet, Deployment, PodTemplateSpec, ReplicaSet } from '../../api/gen/types.ts';
import { hashLabel, isSameTemplate } from '../../api/pod-template-hash.ts';
import { resources, type KubernetesObject, type ResourceType } from '../../api/resources.ts';
import { formatTime } from '../../api/time.ts';
import { messageOf } from '../../base/status-error.ts';
import type { ApiConnection } from '../api-connection.ts';
import { CliError, throwCollected } from '../cli-error.ts';
import { timerNames } from '../cli-io.ts';
import { getObject, listObjects, pathOf, watchRaw, type Place } from '../object-calls.ts';
import { DescribeWriter, localZoneMinutesAt } from '../printers/describe-writer.ts';
import { describeTemplate } from '../printers/describe-workloads.ts';
import { objectPrinterFor } from '../printers/object-printer.ts';
import { describeLayout, TabWriter } from '../printers/tab-writer.ts';
import { ResourceTypes } from '../resource-types.ts';
import { daemonSetRollout, deploymentRollout } from '../rollout-state.ts';
import { resolveTargets, type Target } from '../targets.ts';
import { dryRunFlag, dryRunOf, dryRunSuffix, filenameFlags, selectorFlag } from '../verb-flags.ts';
import type { Verb, VerbCall } from '../verb.ts';

export const verb: Verb = {
  usage: 'rollout (status | history | undo | pause | resume | restart) (TYPE NAME | TYPE/NAME | -f FILENAME) [flags]',
  help: `Look after the rollout of a deployment or a daemon set: watch it, list its revisions, go back to one of them, hold it,
let it go on, or roll the same template out once more.`,
  connects: true,
  flags: [
    ...filenameFlags('identifying the object'),
    selectorFlag,
    { name: 'watch', short: 'w', kind: 'bool', fallback: true, help: 'status: watch until the rollout is done.' },
    { name: 'timeout', kind: 'duration', fallback: 0, help: 'status: how long to watch at most. Zero: for ever.' },
    { name: 'revision', kind: 'int', fallback: 0, help: 'status, history: this revision only.' },
    { name: 'to-revision', kind: 'int', fallback: 0, help: 'undo: the revision to go back to. 0: the one before.' },
    { ...dryRunFlag, help: 'undo: "client" prints the template that it would go back to, "server" has it checked.' },
  ],
  run: runRollout,
};

interface One {
  readonly type: ResourceType;
  readonly place: Place & { readonly name: string };
  readonly call: VerbCall;
  readonly connection: ApiConnection;
}

const subcommands: Readonly<Record<string, (one: One) => Promise<void>>> = {
  status: showStatus,
  history: showHistory,
  undo,
  pause: (one) => setPaused(one, true),
  resume: (one) => setPaused(one, false),
  restart,
};

async function runRollout(call: VerbCall): Promise<number> {
  const [name = '', ...args] = call.args;
  const subcommand = Object.hasOwn(subcommands, name) ? subcommands[name] : undefined;
  if (subcommand === undefined) {
    throw new CliError(`rollout can ${Object.keys(subcommands).join(', ')} (got: ${call.args.join(' ')})`);
  }
  const { flags, io, signal } = call;
  const filenames = flags.strings('filename');
  if (args.length === 0 && filenames.length === 0) throw new CliError('required resource not specified');
  const connection = call.connect();
  const { targets, errors } = await resolveTargets(
    {
      args,
      filenames,
      recursive: flags.bool('recursive'),
      allNamespaces: false,
      hasSelector: flags.optional('selector') !== undefined,
      all: false,
      kindAloneMeansAll: true,
    },
    { connection, types: new ResourceTypes(connection, io), io },
    signal,
  );
  const failures: unknown[] = [...errors];
  const places = await placesOf(call, connection, targets);
  for (const place of places) {
    try {
      await subcommand({ type: place.type, place, call, connection });
    } catch (error) {
      failures.push(error);
    }
  }
  throwCollected(failures);
  if (places.length === 0) io.err(`No resources found in ${connection.namespace} namespace.\n`);
  return 0;
}

async function placesOf(
  { flags, signal }: VerbCall,
  connection: ApiConnection,
  targets: readonly Target[],
): Promise<readonly One['place'][]> {
  const places: One['place'][] = [];
  for (const target of targets) {
    if (target.kind === 'object') places.push(target);
    else {
      const selectors = { labelSelector: flags.optional('selector') };
      const { items } = await listObjects(connection, target, selectors, 500, signal);
      places.push(...items.map(({ metadata }) => ({ ...target, name: metadata?.name ?? '' })));
    }
  }
  return places;
}

function isDeployment({ resource, group }: ResourceType): boolean {
  return resource === resources.deployments.resource && group === resources.deployments.group;
}

function isDaemonSet({ resource, group }: ResourceType): boolean {
  return resource === resources.daemonsets.resource && group === resources.daemonsets.group;
}

/** `ReplicaSet.apps`. */
function kindText({ kind, group }: ResourceType): string {
  return group === '' ? kind : `${kind}.${group}`;
}

function print({ call }: One, object: unknown, operation: string): void {
  call.io.out(objectPrinterFor('', { showManagedFields: false, operation }).print(object));
}

async function showStatus(one: One): Promise<void> {
  const { call, type } = one;
  const { flags, io, signal } = call;
  const revision = flags.int('revision');
  if (revision < 0) throw new CliError(`revision must be a positive integer: ${revision}`);
  if (!isDeployment(type) && !isDaemonSet(type)) {
    throw new CliError(`no status viewer has been implemented for ${kindText(type)}`);
  }
  const isDone = (object: unknown): boolean => {
    // The server answered it under its type's path.
    const state = isDeployment(type)
      ? deploymentRollout(object as Deployment, revision)
      : daemonSetRollout(object as DaemonSet);
    io.out(state.text);
    return state.isDone || !flags.bool('watch');
  };
  const ending = new AbortController(); // ends the watch
  const onAbort = (): void => ending.abort(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  const timerDone = new AbortController();
  const timeoutMs = flags.durationMs('timeout');
  const timer =
    timeoutMs === 0
      ? undefined
      : io.clock.sleep(timeoutMs, timerNames.rolloutTimeout, timerDone.signal).then(
          () => ending.abort(new CliError('timed out waiting for the condition')),
          () => {}, // done in time
        );
  try {
    await untilDone(one, isDone, ending.signal);
  } catch (error) {
    throw ending.signal.aborted ? ending.signal.reason : error;
  } finally {
    signal.removeEventListener('abort', onAbort);
    timerDone.abort();
    await timer;
  }
}

const pollMs = 1_000; // only where the watch ended early

async function untilDone(
  { call, connection, place }: One,
  isDone: (object: unknown) => boolean,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const found = await getObject(connection, place, signal);
    if (isDone(found)) return;
    const { name, ...collection } = place;
    const options = { resourceVersion: found.metadata?.resourceVersion ?? '', asTables: false };
    for await (const event of watchRaw(
      connection,
      collection,
      { fieldSelector: `metadata.name=${name}` },
      options,
      signal,
    )) {
      if (event.type === 'DELETED') throw new CliError('object has been deleted');
      if (isDone(event.object)) return;
    }
    signal.throwIfAborted();
    await call.io.clock.sleep(pollMs, timerNames.rolloutPoll, signal);
  }
}

interface Revision {
  readonly number: bigint; // 64 bits
  readonly template: PodTemplateSpec;
  readonly source: KubernetesObject;
}

/** By number; those of a deployment are its replica sets. */
async function revisionsOf(one: One, what: string): Promise<readonly Revision[]> {
  const { type, place, connection, call } = one;
  if (!isDeployment(type) && !isDaemonSet(type)) {
    throw new CliError(`no ${what} has been implemented for "${kindText(type)}"`);
  }
  const owner = await getObject(connection, place, call.signal);
  const listed = isDeployment(type) ? resources.replicasets : resources.controllerrevisions;
  const { name: _name, ...around } = place;
  const { items } = await listObjects(connection, { ...around, type: listed }, {}, 500, call.signal);
  const own = items.filter(({ metadata }) =>
    metadata?.ownerReferences?.some(({ controller, uid }) => controller === true && uid === owner.metadata?.uid),
  );
  return own.map((object) => revisionOf(object)).sort((a, b) => (a.number < b.number ? -1 : 1));
}

function revisionOf(object: KubernetesObject): Revision {
  const { spec } = object as ReplicaSet; // either is of its kind's shape
  if (spec !== undefined) {
    const text = object.metadata?.annotations?.['deployment.kubernetes.io/revision'] ?? '';
    const number = /^\d+$/.test(text) ? BigInt(text) : 0n;
    return { number, template: spec.template ?? {}, source: object };
  }
  const { revision, data } = object as ControllerRevision; // as above
  // The daemon set controller wrote it so.
  const template =
    (data as { readonly spec?: { readonly template?: PodTemplateSpec } } | undefined)?.spec?.template ?? {};
  const { $patch: _directive, ...rest } = template as PodTemplateSpec & { readonly $patch?: string }; // as above
  return { number: BigInt(revision), template: rest, source: object };
}

const causeAnnotation = 'kubernetes.io/change-cause';

async function showHistory(one: One): Promise<void> {
  const { call, connection, place } = one;
  const wanted = call.flags.int('revision');
  if (wanted < 0) throw new CliError(`revision must be a positive integer: ${wanted}`);
  const revisions = await revisionsOf(one, 'history viewer');
  const object = await getObject(connection, place, call.signal);
  if (revisions.length === 0) return print(one, object, '\nNo rollout history found.');
  if (wanted > 0) {
    const found = revisions.find(({ number }) => number === BigInt(wanted));
    if (found === undefined) throw new CliError('unable to find the specified revision');
    return print(one, object, `with revision #${wanted}\n${templateText(one, found)}`);
  }
  const tabs = new TabWriter(describeLayout);
  tabs.write('REVISION\tCHANGE-CAUSE\n');
  for (const { number, source } of revisions) {
    tabs.write(`${number}\t${source.metadata?.annotations?.[causeAnnotation] ?? '<none>'}\n`);
  }
  print(one, object, `\n${tabs.flush()}`);
}

function templateText({ call }: One, { template }: Revision): string {
  const context = { nowMs: call.io.clock.wallMs(), zoneMinutesAt: localZoneMinutesAt };
  const writer = new DescribeWriter(context, false);
  describeTemplate(writer, template);
  return writer.text();
}

/** Annotations of a deployment that are not taken from the revision. */
const keptAnnotations = [
  'kubectl.kubernetes.io/last-applied-configuration',
  'deployment.kubernetes.io/revision',
  'deployment.kubernetes.io/revision-history',
  'deployment.kubernetes.io/desired-replicas',
  'deployment.kubernetes.io/max-replicas',
  'deprecated.deployment.rollback.to',
] as const;

async function undo(one: One): Promise<void> {
  const { call, connection, place, type } = one;
  const wanted = call.flags.int('to-revision');
  const notFound = (): CliError => new CliError(`unable to find specified revision ${wanted} in history`);
  if (wanted < 0) throw notFound();
  const revisions = await revisionsOf(one, 'rollbacker');
  const object = await getObject(connection, place, call.signal);
  const found = wanted === 0 ? revisions.at(-2) : revisions.find(({ number }) => number === BigInt(wanted));
  if (found === undefined && wanted > 0) throw notFound();
  if (found === undefined) {
    throw new CliError(
      isDeployment(type)
        ? `no rollout history found for deployment "${place.name}"`
        : 'no last revision to roll back to',
    );
  }
  const dryRun = dryRunOf(call.flags);
  if (dryRun === 'client') return print(one, object, `${templateText(one, found)}${dryRunSuffix(dryRun)}`);
  const { spec } = object as Deployment; // or a daemon set, which has the same template
  if (spec?.paused === true) {
    const text = "you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume' and try again";
    throw new CliError(text);
  }
  if (isSameTemplate(found.template, spec?.template)) {
    return print(one, object, `skipped rollback (current template already matches revision ${wanted})`);
  }
  try {
    if (isDeployment(type)) await undoDeployment(one, object, found);
    else await patch(one, 'strategic', (found.source as ControllerRevision).data); // see `revisionsOf`
  } catch (error) {
    throw new CliError(`failed restoring revision ${wanted}: ${messageOf(error)}`, { cause: error });
  }
  print(one, object, `rolled back${dryRunSuffix(dryRun)}`);
}

async function undoDeployment(one: One, object: KubernetesObject, { template, source }: Revision): Promise<void> {
  const { [hashLabel]: _hash, ...labels } = template.metadata?.labels ?? {};
  const annotations: Record<string, string> = { ...source.metadata?.annotations };
  for (const name of keptAnnotations) {
    delete annotations[name];
    const kept = object.metadata?.annotations?.[name];
    if (kept !== undefined) annotations[name] = kept;
  }
  const value = { ...template, metadata: { ...template.metadata, labels } };
  await patch(one, 'json', [
    { op: 'replace', path: '/spec/template', value },
    { op: 'replace', path: '/metadata/annotations', value: annotations },
  ]);
}

async function setPaused(one: One, isPaused: boolean): Promise<void> {
  const { type, place } = one;
  const subject = `${type.resource}${type.group === '' ? '' : `.${type.group}`} "${place.name}"`;
  if (!isDeployment(type)) throw new CliError(`${subject} ${isPaused ? 'pausing' : 'resuming'} is not supported`);
  const object = await getObject(one.connection, place, one.call.signal);
  const { spec } = object as Deployment; // see `isDeployment`
  if ((spec?.paused === true) === isPaused) {
    throw new CliError(`${subject} ${isPaused ? 'is already paused' : 'is not paused'}`);
  }
  await patch(one, 'strategic', { spec: { paused: isPaused ? true : null } });
  print(one, object, isPaused ? 'paused' : 'resumed');
}

async function restart(one: One): Promise<void> {
  const { type, place, call } = one;
  const subject = `${type.resource}${type.group === '' ? '' : `.${type.group}`} "${place.name}"`;
  if (!isDeployment(type) && !isDaemonSet(type)) throw new CliError(`${subject} restarting is not supported`);
  const object = await getObject(one.connection, place, call.signal);
  const { spec } = object as Deployment; // or a daemon set, which is never paused
  if (spec?.paused === true) {
    throw new CliError(`${subject} can't restart paused deployment (run rollout resume first)`);
  }
  const annotations = { 'kubectl.kubernetes.io/restartedAt': formatTime(call.io.clock.wallMs()) };
  await patch(one, 'strategic', { spec: { template: { metadata: { annotations } } } });
  print(one, object, 'restarted');
}

const patchTypes = {
  json: 'application/json-patch+json',
  strategic: 'application/strategic-merge-patch+json',
} as const;

async function patch({ connection, place, call }: One, kind: keyof typeof patchTypes, body: unknown): Promise<void> {
  const headers = { accept: 'application/json', 'content-type': patchTypes[kind] };
  const query = new URLSearchParams({ fieldManager: 'kubectl-rollout' });
  if (dryRunOf(call.flags) === 'server') query.set('dryRun', 'All');
  await connection.send('PATCH', pathOf(place), { query, headers, body: JSON.stringify(body) }, call.signal);
}
