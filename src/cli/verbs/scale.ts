import { bodyText, parseJson } from '../../client/answer.ts';
import { messageOf } from '../../base/status-error.ts';
import type { ApiConnection } from '../api-connection.ts';
import { CliError, throwCollected } from '../cli-error.ts';
import { findObjects } from '../found-objects.ts';
import { pathOf, type Place } from '../object-calls.ts';
import { objectPrinterFor } from '../printers/object-printer.ts';
import { fieldOf, ResourceTypes, textOf } from '../resource-types.ts';
import { resolveTargets } from '../targets.ts';
import { dryRunFlag, dryRunOf, dryRunSuffix, filenameFlags, outputFlag, selectorFlag } from '../verb-flags.ts';
import type { Verb, VerbCall } from '../verb.ts';

export const verb: Verb = {
  usage: 'scale (-f FILENAME | TYPE NAME | TYPE/NAME) --replicas=COUNT [flags]',
  help: 'Set how many pods a deployment, replica set or replication controller keeps running.',
  connects: true,
  flags: [
    ...filenameFlags('identifying the object to scale'),
    { name: 'replicas', kind: 'int', fallback: -1, help: 'The new number. Required.' },
    { name: 'current-replicas', kind: 'int', fallback: -1, help: 'Only if there are to be this many now.' },
    { name: 'resource-version', kind: 'string', fallback: '', help: 'Only if the object has this version now.' },
    { name: 'all', kind: 'bool', help: 'All objects of the kind in the namespace.' },
    selectorFlag,
    dryRunFlag,
    outputFlag,
  ],
  run: runScale,
};

async function runScale(call: VerbCall): Promise<number> {
  const { args, flags, io, signal } = call;
  if (!flags.has('replicas')) throw new CliError('required flag(s) "replicas" not set');
  const replicas = flags.int('replicas');
  if (replicas < 0) {
    throw new CliError('The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0');
  }
  const dryRun = dryRunOf(flags);
  const connection = call.connect();
  const { targets, errors: unreadable } = await resolveTargets(
    {
      args,
      filenames: flags.strings('filename'),
      recursive: flags.bool('recursive'),
      allNamespaces: false,
      hasSelector: flags.optional('selector') !== undefined,
      all: flags.bool('all'),
      kindAloneMeansAll: false,
    },
    { connection, types: new ResourceTypes(connection, io), io },
    signal,
  );
  const errors: unknown[] = [...unreadable];
  const found = await findObjects(connection, targets, flags.optional('selector'), errors, signal);
  if (flags.string('resource-version') !== '' && found.length > 1) {
    throw new CliError('cannot use --resource-version with multiple resources');
  }
  if (found.length === 0) {
    const why = errors.length === 0 ? '' : ` ${errors.map(messageOf).join(', ')}`;
    throw new CliError(`no objects passed to scale${why}`);
  }
  const operation = `scaled${dryRunSuffix(dryRun)}`;
  const printer = objectPrinterFor(flags.string('output'), { showManagedFields: false, operation });
  for (const { place, object } of found) {
    if (dryRun !== 'client') await scaleOne(call, connection, place, dryRun === 'server');
    io.out(printer.print(object));
  }
  throwCollected(errors);
  return 0;
}

async function scaleOne(
  { flags, signal }: VerbCall,
  connection: ApiConnection,
  place: Place,
  isDryRun: boolean,
): Promise<void> {
  const replicas = flags.int('replicas');
  const wanted = { replicas: flags.int('current-replicas'), version: flags.string('resource-version') };
  const scale = { ...place, subresource: 'scale' };
  const query = new URLSearchParams(isDryRun ? { dryRun: 'All' } : {});
  if (wanted.replicas === -1 && wanted.version === '') {
    const headers = { accept: 'application/json', 'content-type': 'application/merge-patch+json' };
    await connection.send(
      'PATCH',
      pathOf(scale),
      { query, headers, body: JSON.stringify({ spec: { replicas } }) },
      signal,
    );
    return;
  }
  const response = await connection.send('GET', pathOf(scale), { headers: { accept: 'application/json' } }, signal);
  const current = parseJson(await bodyText(response.body));
  const found = Number(fieldOf(fieldOf(current, 'spec'), 'replicas') ?? 0);
  if (wanted.replicas !== -1 && found !== wanted.replicas) {
    throw new CliError(`Expected replicas to be ${wanted.replicas}, was ${found}`);
  }
  const version = textOf(fieldOf(current, 'metadata'), 'resourceVersion');
  if (wanted.version !== '' && version !== wanted.version) {
    throw new CliError(`Expected resource version to be ${wanted.version}, was ${version}`);
  }
  const body = JSON.stringify({ ...Object(current), spec: { replicas } });
  const headers = { accept: 'application/json', 'content-type': 'application/json' };
  await connection.send('PUT', pathOf(scale), { query, headers, body }, signal);
}
