import { bodyText, parseJson } from '../../client/answer.ts';
import type { ApiConnection } from '../api-connection.ts';
import { messageOf } from '../../base/status-error.ts';
import { CliError, isUnreachable, throwCollected, withSource } from '../cli-error.ts';
import { generatedFlags, generatedObject } from '../generated-object.ts';
import { prepared } from '../manifest-object.ts';
import { manifestsOf, namespaceFor, readManifests, requireFilenames, type Manifest } from '../manifests.ts';
import { pathOf } from '../object-calls.ts';
import { objectPrinterFor } from '../printers/object-printer.ts';
import { fieldOf, ResourceTypes } from '../resource-types.ts';
import { goJson } from '../../api/go-text.ts';
import { parseLabelSelector } from '../../api/label-selector.ts';
import {
  dryRunFlag,
  dryRunOf,
  dryRunSuffix,
  fieldValidationOf,
  filenameFlags,
  managedFieldsFlag,
  outputFlag,
  selectorFlag,
  validateFlag,
} from '../verb-flags.ts';
import type { Verb, VerbCall } from '../verb.ts';

export const verb: Verb = {
  usage:
    'create (-f FILENAME | (namespace | serviceaccount | configmap | secret generic) NAME | ' +
    '(deployment | job) NAME --image=IMAGE [-- COMMAND]) [flags]',
  help: `Create objects from files or from stdin. JSON and YAML are understood; each object is tried, whatever becomes of the
others. Namespaces, service accounts, config maps, secrets, deployments and jobs can also be made without a file.`,
  connects: true,
  flags: [
    ...filenameFlags('to create the objects from'),
    ...generatedFlags,
    dryRunFlag,
    validateFlag,
    outputFlag,
    managedFieldsFlag,
    selectorFlag,
    {
      name: 'field-manager',
      kind: 'string',
      fallback: 'kubectl-create',
      help: 'Name of the manager used to track field ownership.',
    },
    { name: 'save-config', kind: 'bool', help: 'Keep the configuration in an annotation, for a later apply.' },
  ],
  run: runCreate,
};

async function runCreate(call: VerbCall): Promise<number> {
  const { args, flags, io, signal } = call;
  const generated = generatedObject(call, flags);
  if (args.length > 0 && generated === undefined) {
    throw new CliError(`Unexpected args: [${args.join(' ')}]\nSee 'livelet create -h' for help and examples`);
  }
  const filenames = flags.strings('filename');
  const dryRun = dryRunOf(flags);
  const fieldValidation = fieldValidationOf(flags);
  if (generated === undefined) requireFilenames(filenames);
  const isSelected = selectorOf(flags.string('selector'));
  const printer = objectPrinterFor(flags.string('output'), {
    showManagedFields: flags.bool('show-managed-fields'),
    operation: `created${dryRunSuffix(dryRun)}`,
  });
  const connection = call.connect();
  const types = new ResourceTypes(connection, io);
  // What is only printed, and came from no file, names no namespace unless one was asked for.
  const isBare = generated !== undefined && dryRun === 'client' && !connection.namespaceIsExplicit;
  const scope = isBare ? { ...connection, namespace: '' } : connection;
  const errors: unknown[] = [];
  const query = new URLSearchParams({ fieldManager: flags.string('field-manager'), fieldValidation });
  if (dryRun === 'server') query.set('dryRun', 'All');
  let createdCount = 0;
  const onError = (error: unknown): void => void errors.push(error);
  const reading = { recursive: flags.bool('recursive'), validates: fieldValidation !== 'Ignore', onError };
  const manifests =
    generated === undefined
      ? readManifests(filenames, reading, { types, io }, signal)
      : manifestsOf(generated, '', reading.onError, types, signal);
  for await (const manifest of manifests) {
    if (!isSelected(manifest)) continue;
    try {
      const object = prepared(manifest, scope, flags.bool('save-config'));
      const created = dryRun === 'client' ? object : await createOne(manifest, object, connection, query, signal);
      createdCount++;
      io.out(printer.print(created));
    } catch (error) {
      errors.push(error);
    }
  }
  throwCollected(errors);
  if (createdCount === 0) throw new CliError('no objects passed to create');
  return 0;
}

async function createOne(
  manifest: Manifest,
  object: unknown,
  connection: ApiConnection,
  query: URLSearchParams,
  signal: AbortSignal,
): Promise<unknown> {
  const namespace = namespaceFor(manifest, connection);
  const path = pathOf(namespace === undefined ? { type: manifest.type } : { type: manifest.type, namespace });
  const headers = { accept: 'application/json', 'content-type': 'application/json' };
  try {
    const response = await connection.send('POST', path, { query, headers, body: goJson(object) }, signal);
    return parseJson(await bodyText(response.body));
  } catch (error) {
    if (manifest.source === '') throw generatedError(manifest.type.kind, error);
    throw withSource('creating', manifest.source, error);
  }
}

/** Upstream words it so for all but namespaces. */
function generatedError(kind: string, error: unknown): unknown {
  if (kind === 'Namespace' || isUnreachable(error)) return error;
  return new CliError(`failed to create ${kind.toLowerCase()}: ${messageOf(error)}`, { cause: error });
}

/** `-l` picks among the manifests. */
function selectorOf(text: string): (manifest: Manifest) => boolean {
  if (text === '') return () => true;
  const matcher = parseLabelSelector(text);
  return ({ object }) => {
    const labels = fieldOf(fieldOf(object, 'metadata'), 'labels');
    // Values that are no texts match nothing; the server refuses them.
    return matcher.matches(typeof labels === 'object' && labels !== null ? (labels as Record<string, string>) : {});
  };
}
