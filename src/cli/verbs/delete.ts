import { bodyText, parseJson } from '../../client/answer.ts';
import { StatusError } from '../../base/status-error.ts';
import type { ApiConnection } from '../api-connection.ts';
import { CliError, throwCollected, withSource } from '../cli-error.ts';
import { timerNames } from '../cli-io.ts';
import { listObjects, pathOf, getObject, watchRaw } from '../object-calls.ts';
import { fieldOf, ResourceTypes, textOf } from '../resource-types.ts';
import { resolveTargets, type Target } from '../targets.ts';
import {
  allNamespacesFlag,
  cascadeFlag,
  dryRunFlag,
  dryRunOf,
  dryRunSuffix,
  fieldSelectorFlag,
  filenameFlags,
  outputFlag,
  selectorFlag,
} from '../verb-flags.ts';
import type { Verb, VerbCall } from '../verb.ts';

export const verb: Verb = {
  usage: 'delete ([-f FILENAME] | TYPE [(NAME... | -l label | --all)]) [flags]',
  help: 'Delete objects by file, stdin, name, selector, or all of a kind. Waits until they are gone, unless --wait=false.',
  connects: true,
  flags: [
    allNamespacesFlag,
    cascadeFlag,
    dryRunFlag,
    fieldSelectorFlag,
    ...filenameFlags('containing the objects to delete'),
    outputFlag,
    selectorFlag,
    { name: 'all', kind: 'bool', help: 'Delete all objects of the kind in the namespace.' },
    { name: 'force', kind: 'bool', help: 'Remove objects from the API at once, without waiting for a graceful end.' },
    {
      name: 'grace-period',
      kind: 'int',
      fallback: -1,
      help: 'Seconds given to the object to end gracefully. Ignored if negative. 1: at once. 0 only with --force.',
    },
    { name: 'ignore-not-found', kind: 'bool', help: 'An object that does not exist is no error. Default with --all.' },
    { name: 'now', kind: 'bool', help: 'Same as --grace-period=1.' },
    { name: 'timeout', kind: 'duration', fallback: 0, help: 'How long to wait until they are gone. Zero: a week.' },
    { name: 'wait', kind: 'bool', fallback: true, help: 'Wait for the objects to be gone.' },
  ],
  run: runDelete,
};

const weekMs = 7 * 24 * 3_600_000;
const pollMs = 1_000; // only where the watch ended early

interface Named {
  readonly type: Target['type'];
  readonly namespace?: string;
  readonly name: string;
  readonly source?: string;
}

async function runDelete(call: VerbCall): Promise<number> {
  const { flags, io, signal } = call;
  const grace = gracePeriodOf(call);
  const dryRun = dryRunOf(flags);
  checkCascade(flags.string('cascade'));
  const connection = call.connect();
  const { targets, errors: unreadable } = await resolveTargets(
    {
      args: call.args,
      filenames: flags.strings('filename'),
      recursive: flags.bool('recursive'),
      allNamespaces: flags.bool('all-namespaces'),
      hasSelector: hasSelector(call),
      all: flags.bool('all'),
      kindAloneMeansAll: false,
      doing: 'deleting',
    },
    { connection, types: new ResourceTypes(connection, io), io },
    signal,
  );
  if (grace === 0) {
    io.err(
      'Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. ' +
        'The resource may continue to run on the cluster indefinitely.\n',
    );
  }
  const errors: unknown[] = [...unreadable];
  const deleted: (Named & { readonly uid: string })[] = [];
  const named = await namedObjects(call, connection, targets, errors);
  for (const object of named) {
    try {
      const uid = dryRun === 'client' ? '' : await deleteOne(call, connection, object, grace, dryRun === 'server');
      deleted.push({ ...object, uid });
      io.out(deletedLine(object, flags.string('output'), grace, dryRunSuffix(dryRun)));
    } catch (error) {
      if (!ignoresNotFound(call) || !isNotFound(error)) errors.push(error);
    }
  }
  throwCollected(errors);
  if (named.length === 0) io.out('No resources found\n');
  if (flags.bool('wait') && dryRun === 'none') await waitUntilGone(call, connection, deleted);
  return 0;
}

function hasSelector({ flags }: Pick<VerbCall, 'flags'>): boolean {
  return flags.optional('selector') !== undefined || flags.optional('field-selector') !== undefined;
}

/** `undefined`: the object's own. */
function gracePeriodOf({ flags }: VerbCall): number | undefined {
  const output = flags.string('output');
  if (output !== '' && output !== 'name') {
    throw new CliError(`unexpected -o output mode: ${output}. We only support '-o name'`);
  }
  if (flags.bool('all') && hasSelector({ flags })) {
    throw new CliError("setting 'all' parameter but found a non empty selector. ");
  }
  const given = flags.int('grace-period');
  const isForced = flags.bool('force');
  if (flags.bool('now')) {
    if (given !== -1) throw new CliError('--now and --grace-period cannot be specified together');
    if (isForced) throw new CliError('--force and --grace-period greater than 0 cannot be specified together');
    return 1;
  }
  if (isForced && given > 0) {
    throw new CliError('--force and --grace-period greater than 0 cannot be specified together');
  }
  if (isForced) return 0;
  if (given < 0) return undefined;
  return given === 0 ? 1 : given; // a zero by mistake would lose data: only --force means it
}

function checkCascade(cascade: string): void {
  if (['background', 'orphan', 'foreground'].includes(cascade)) return;
  throw new CliError(`invalid cascade value (${cascade}). Must be "background", "foreground", or "orphan"`);
}

function ignoresNotFound({ flags }: VerbCall): boolean {
  if (flags.has('ignore-not-found')) return flags.bool('ignore-not-found');
  return (
    flags.bool('all') || flags.optional('selector') !== undefined || flags.optional('field-selector') !== undefined
  );
}

function isNotFound(error: unknown): boolean {
  return error instanceof StatusError && error.reason === 'NotFound';
}

/** Lists are read first: each of their objects is then deleted by name. */
async function namedObjects(
  { flags, signal }: VerbCall,
  connection: ApiConnection,
  targets: readonly Target[],
  errors: unknown[],
): Promise<Named[]> {
  const selectors = { labelSelector: flags.optional('selector'), fieldSelector: flags.optional('field-selector') };
  const named: Named[] = [];
  for (const target of targets) {
    if (target.kind === 'object') {
      named.push(target);
      continue;
    }
    try {
      const { items } = await listObjects(connection, target, selectors, 500, signal);
      for (const { metadata } of items) {
        const namespace = target.type.namespaced ? metadata?.namespace : undefined;
        const name = metadata?.name ?? '';
        named.push(namespace === undefined ? { type: target.type, name } : { type: target.type, name, namespace });
      }
    } catch (error) {
      errors.push(error);
    }
  }
  return named;
}

/** Resolves to the UID of what is being deleted; `''` if the server does not tell. */
async function deleteOne(
  { flags, signal }: VerbCall,
  connection: ApiConnection,
  object: Named,
  grace: number | undefined,
  isDryRun: boolean,
): Promise<string> {
  const propagation = { background: 'Background', foreground: 'Foreground', orphan: 'Orphan' } as const;
  const cascade = flags.string('cascade');
  const body = JSON.stringify({
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    ...(grace === undefined ? {} : { gracePeriodSeconds: grace }),
    // Checked by `checkCascade`.
    propagationPolicy: propagation[cascade as keyof typeof propagation],
    ...(isDryRun ? { dryRun: ['All'] } : {}),
  });
  const headers = { accept: 'application/json', 'content-type': 'application/json' };
  try {
    const response = await connection.send('DELETE', pathOf(object), { headers, body }, signal);
    const answer = parseJson(await bodyText(response.body));
    return textOf(fieldOf(answer, 'details'), 'uid') || textOf(fieldOf(answer, 'metadata'), 'uid');
  } catch (error) {
    throw object.source === undefined ? error : withSource('deleting', object.source, error);
  }
}

/** `pod "web" deleted from default namespace`. */
function deletedLine(
  { type, namespace, name }: Named,
  output: string,
  grace: number | undefined,
  suffix: string,
): string {
  const kind = type.group === '' ? type.kind.toLowerCase() : `${type.kind.toLowerCase()}.${type.group}`;
  if (output === 'name') return `${kind}/${name}\n`;
  const operation = grace === 0 ? 'force deleted' : 'deleted';
  const place = namespace === undefined ? '' : ` from ${namespace} namespace`;
  return `${kind} "${name}" ${operation}${place}${suffix}\n`;
}

async function waitUntilGone(
  { flags, io, signal }: VerbCall,
  connection: ApiConnection,
  deleted: readonly (Named & { readonly uid: string })[],
): Promise<void> {
  const untilMs = io.clock.monoMs() + (flags.durationMs('timeout') || weekMs);
  for (const object of deleted) {
    const controller = new AbortController(); // ends the watch
    const onAbort = (): void => controller.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    const timerDone = new AbortController();
    const timer = io.clock
      .sleep(Math.max(0, untilMs - io.clock.monoMs()), timerNames.deleteTimeout, timerDone.signal)
      .then(
        () => controller.abort(timedOut(object)),
        () => {}, // gone in time
      );
    try {
      while (!(await isGone(connection, object, controller.signal))) {
        await io.clock.sleep(pollMs, timerNames.deletePoll, controller.signal);
      }
    } catch (error) {
      throw controller.signal.aborted ? controller.signal.reason : error;
    } finally {
      signal.removeEventListener('abort', onAbort);
      timerDone.abort();
      await timer;
    }
  }
}

function timedOut({ type, name }: Named): CliError {
  return new CliError(`timed out waiting for the condition on ${type.resource}/${name}`);
}

/**
 * Looks once, and then watches until the object goes or the watch ends. Another object of the same name counts as
 * gone.
 */
async function isGone(
  connection: ApiConnection,
  object: Named & { readonly uid: string },
  signal: AbortSignal,
): Promise<boolean> {
  const isOther = (found: unknown): boolean =>
    object.uid !== '' && textOf(fieldOf(found, 'metadata'), 'uid') !== object.uid;
  try {
    const found = await getObject(connection, object, signal);
    if (isOther(found)) return true;
    const { name, ...collection } = object;
    const options = { resourceVersion: found.metadata?.resourceVersion ?? '', asTables: false };
    const selectors = { fieldSelector: `metadata.name=${name}` };
    for await (const event of watchRaw(connection, collection, selectors, options, signal)) {
      if (event.type === 'DELETED' || isOther(event.object)) return true;
    }
    return false;
  } catch (error) {
    if (isNotFound(error)) return true;
    if (error instanceof StatusError && (error.reason === 'Expired' || error.reason === 'Gone')) return false;
    throw error;
  }
}
