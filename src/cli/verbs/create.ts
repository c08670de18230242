import { bodyText, parseJson } from '../../client/answer.ts';
import type { ApiConnection } from '../api-connection.ts';
import { CliError, throwCollected, withSource } from '../cli-error.ts';
import { prepared } from '../manifest-object.ts';
import { namespaceFor, readManifests, requireFilenames, type Manifest } from '../manifests.ts';
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
  usage: 'create -f FILENAME [flags]',
  help: 'Create objects from files or from stdin. JSON and YAML are understood; each object is tried, whatever becomes of the others.',
  connects: true,
  flags: [
    ...filenameFlags('to create the objects from'),
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
  const { flags, io, signal } = call;
  if (call.args.length > 0) {
    throw new CliError(`Unexpected args: [${call.args.join(' ')}]\nSee 'livelet create -h' for help and examples`);
  }
  const filenames = flags.strings('filename');
  const dryRun = dryRunOf(flags);
  const fieldValidation = fieldValidationOf(flags);
  requireFilenames(filenames);
  const isSelected = selectorOf(flags.string('selector'));
  const printer = objectPrinterFor(flags.string('output'), {
    showManagedFields: flags.bool('show-managed-fields'),
    operation: `created${dryRunSuffix(dryRun)}`,
  });
  const connection = call.connect();
  const types = new ResourceTypes(connection, io);
  const errors: unknown[] = [];
  const query = new URLSearchParams({ fieldManager: flags.string('field-manager'), fieldValidation });
  if (dryRun === 'server') query.set('dryRun', 'All');
  let createdCount = 0;
  const reading = { recursive: flags.bool('recursive'), onError: (error: unknown) => void errors.push(error) };
  for await (const manifest of readManifests(filenames, reading, { types, io }, signal)) {
    if (!isSelected(manifest)) continue;
    try {
      const object = prepared(manifest, connection, flags.bool('save-config'));
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
    throw withSource('creating', manifest.source, error);
  }
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
