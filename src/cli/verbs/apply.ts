import { resources, type ResourceType } from '../../api/resources.ts';
import { goJson, goQuote } from '../../api/go-text.ts';
import { bodyText, parseJson } from '../../client/answer.ts';
import { StatusError } from '../../base/status-error.ts';
import type { ApiConnection } from '../api-connection.ts';
import { CliError, throwCollected, withSource } from '../cli-error.ts';
import { prepared, withLastApplied } from '../manifest-object.ts';
import { readManifests, requireFilenames, type Manifest } from '../manifests.ts';
import { getObject, pathOf, type Place, type WireObject } from '../object-calls.ts';
import { lastAppliedAnnotation } from '../printers/describe-writer.ts';
import { objectPrinterFor, type ObjectPrinter } from '../printers/object-printer.ts';
import { ResourceTypes, textOf } from '../resource-types.ts';
import { threeWayPatch, type JsonMap } from '../three-way-patch.ts';
import {
  dryRunFlag,
  dryRunOf,
  dryRunSuffix,
  fieldValidationOf,
  filenameFlags,
  managedFieldsFlag,
  outputFlag,
  validateFlag,
  type DryRun,
} from '../verb-flags.ts';
import type { Verb, VerbCall } from '../verb.ts';

export const verb: Verb = {
  usage: 'apply -f FILENAME [flags]',
  help: `Apply a configuration to objects: what does not exist is created, what exists is changed to what the file says. Fields that were
in the file last time and are no more are removed; those that others have set stay.`,
  connects: true,
  flags: [
    ...filenameFlags('that contains the configuration'),
    dryRunFlag,
    validateFlag,
    outputFlag,
    managedFieldsFlag,
    {
      name: 'field-manager',
      kind: 'string',
      fallback: 'kubectl-client-side-apply',
      help: 'Name of the manager used to track field ownership.',
    },
  ],
  run: runApply,
};

const conflictTriesMax = 5;

async function runApply(call: VerbCall): Promise<number> {
  const { flags, io, signal } = call;
  if (call.args.length > 0) {
    throw new CliError(`Unexpected args: [${call.args.join(' ')}]\nSee 'livelet apply -h' for help and examples`);
  }
  const filenames = flags.strings('filename');
  const dryRun = dryRunOf(flags);
  const write = writeOptions(call, dryRun);
  requireFilenames(filenames);
  printersByOperation(call, dryRun).created(); // an unknown -o is an error before anything is done
  const connection = call.connect();
  const types = new ResourceTypes(connection, io);
  const errors: unknown[] = [];
  let appliedCount = 0;
  const printers = printersByOperation(call, dryRun);
  const validates = fieldValidationOf(flags) !== 'Ignore';
  const onError = (error: unknown): void => void errors.push(error);
  const reading = { recursive: flags.bool('recursive'), validates, onError };
  for await (const manifest of readManifests(filenames, reading, { types, io }, signal)) {
    appliedCount++;
    try {
      const { object, operation } = await applyOne(manifest, { connection, write, dryRun, call }, signal);
      io.out(printers[operation]().print(object));
    } catch (error) {
      errors.push(error);
    }
  }
  throwCollected(errors);
  if (appliedCount === 0) throw new CliError('no objects passed to apply');
  return 0;
}

type Operation = 'created' | 'configured' | 'unchanged';

function printersByOperation({ flags }: VerbCall, dryRun: DryRun): Readonly<Record<Operation, () => ObjectPrinter>> {
  const printerFor = (operation: Operation) => (): ObjectPrinter =>
    objectPrinterFor(flags.string('output'), {
      showManagedFields: flags.bool('show-managed-fields'),
      operation: operation + dryRunSuffix(dryRun),
    });
  return { created: printerFor('created'), configured: printerFor('configured'), unchanged: printerFor('unchanged') };
}

function writeOptions({ flags }: VerbCall, dryRun: DryRun): URLSearchParams {
  const query = new URLSearchParams({
    fieldManager: flags.string('field-manager'),
    fieldValidation: fieldValidationOf(flags),
  });
  if (dryRun === 'server') query.set('dryRun', 'All');
  return query;
}

interface ApplyDeps {
  readonly connection: ApiConnection;
  readonly write: URLSearchParams;
  readonly dryRun: DryRun;
  readonly call: VerbCall;
}

interface Applied {
  readonly object: unknown;
  readonly operation: Operation;
}

async function applyOne(manifest: Manifest, deps: ApplyDeps, signal: AbortSignal): Promise<Applied> {
  const { type, name, source } = manifest;
  const object = prepared(manifest, deps.connection, false);
  const namespace = textOf(object['metadata'], 'namespace');
  if (name === '' && textOf(object['metadata'], 'generateName') !== '') {
    throw new CliError(`from ${textOf(object['metadata'], 'generateName')}: cannot use generate name with apply`);
  }
  const place: Place = type.namespaced ? { type, namespace, name } : { type, name };
  const modified = withLastApplied(object);
  if (name === '') throw namelessError(type, namespace, source);
  const current = await currentOf(place, source, deps.connection, signal);
  if (current === undefined) {
    const created =
      deps.dryRun === 'client'
        ? modified
        : await send('POST', { ...place }, withoutNulls(modified), deps, source, signal);
    return { object: created, operation: 'created' };
  }
  if (lastAppliedOf(current) === undefined) {
    deps.call.io.err(
      `Warning: resource ${type.resource}/${name} is missing the ${lastAppliedAnnotation} annotation which is required by ` +
        'livelet apply. livelet apply should only be used on resources created declaratively by either livelet create ' +
        '--save-config or livelet apply. The missing annotation will be patched automatically.\n',
    );
  }
  return await patchUntilDone(place, modified, current, deps, source, signal);
}

function namelessError({ group, version, resource, kind }: ResourceType, namespace: string, source: string): CliError {
  return new CliError(
    'error when retrieving current configuration of:\n' +
      `Resource: "${group}/${version}, Resource=${resource}", GroupVersionKind: "${group}/${version}, Kind=${kind}"\n` +
      `Name: "", Namespace: "${namespace}"\nfrom server for: ${goQuote(source)}: resource name may not be empty`,
  );
}

async function currentOf(
  place: Place,
  source: string,
  connection: ApiConnection,
  signal: AbortSignal,
): Promise<WireObject | undefined> {
  try {
    return await getObject(connection, place, signal);
  } catch (error) {
    if (error instanceof StatusError && error.reason === 'NotFound') return undefined;
    throw withSource('retrieving current configuration of', source, error);
  }
}

async function patchUntilDone(
  place: Place,
  modified: JsonMap,
  first: WireObject,
  deps: ApplyDeps,
  source: string,
  signal: AbortSignal,
): Promise<Applied> {
  let current = first;
  for (let tries = 1; ; tries++) {
    const patch = threeWayPatch(modelOf(place.type), lastAppliedOf(current), modified, current);
    if (Object.keys(patch).length === 0) return { object: current, operation: 'unchanged' };
    if (deps.dryRun === 'client') return { object: current, operation: 'configured' };
    try {
      return { object: await send('PATCH', place, patch, deps, source, signal), operation: 'configured' };
    } catch (error) {
      const isConflict = error instanceof StatusError && error.reason === 'Conflict';
      if (!isConflict || tries >= conflictTriesMax) throw error;
      current = await getObject(deps.connection, place, signal);
    }
  }
}

/** Kinds of this package have a strategic merge patch; of others only the server knows. */
function modelOf(type: ResourceType): string | undefined {
  const own: readonly ResourceType[] = Object.values(resources);
  return own.includes(type) ? type.model : undefined;
}

function lastAppliedOf(object: WireObject): JsonMap | undefined {
  const text = object.metadata?.annotations?.[lastAppliedAnnotation];
  if (text === undefined) return undefined;
  try {
    // An object that was applied is a map; anything else is caught below.
    return JSON.parse(text) as JsonMap;
  } catch (error) {
    throw new CliError(
      `the annotation ${lastAppliedAnnotation} of ${goQuote(object.metadata?.name ?? '')} is not JSON`,
      {
        cause: error,
      },
    );
  }
}

async function send(
  method: 'POST' | 'PATCH',
  place: Place,
  body: unknown,
  { connection, write }: ApplyDeps,
  source: string,
  signal: AbortSignal,
): Promise<unknown> {
  const { name: _name, ...collection } = place;
  const contentType =
    modelOf(place.type) === undefined ? 'application/merge-patch+json' : 'application/strategic-merge-patch+json';
  const headers = {
    accept: 'application/json',
    'content-type': method === 'POST' ? 'application/json' : contentType,
  };
  const path = pathOf(method === 'POST' ? collection : place);
  try {
    const response = await connection.send(method, path, { query: write, headers, body: goJson(body) }, signal);
    return parseJson(await bodyText(response.body));
  } catch (error) {
    throw withSource(method === 'POST' ? 'creating' : 'patching', source, error);
  }
}

/** A null in a manifest means that a field shall not be there: for a new object it is left out. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([, field]) => field !== null);
  return Object.fromEntries(kept.map(([name, field]) => [name, withoutNulls(field)]));
}
