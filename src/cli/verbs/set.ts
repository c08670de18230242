import { goQuote } from '../../api/go-text.ts';
import type { Container, PodSpec } from '../../api/gen/types.ts';
import { strategicMerge } from '../../api/patch/strategic-merge.ts';
import { resources } from '../../api/resources.ts';
import { messageOf } from '../../base/status-error.ts';
import { bodyText, parseJson } from '../../client/answer.ts';
import type { ApiConnection } from '../api-connection.ts';
import { CliError, throwCollected } from '../cli-error.ts';
import { findObjects, type FoundObject } from '../found-objects.ts';
import { pathOf } from '../object-calls.ts';
import { objectPrinterFor } from '../printers/object-printer.ts';
import { fieldOf, ResourceTypes } from '../resource-types.ts';
import { resolveTargets } from '../targets.ts';
import { dryRunFlag, dryRunOf, dryRunSuffix, filenameFlags, outputFlag, selectorFlag } from '../verb-flags.ts';
import type { Verb, VerbCall } from '../verb.ts';

export const verb: Verb = {
  usage: 'set image (-f FILENAME | TYPE NAME | TYPE/NAME) CONTAINER=IMAGE ... [flags]',
  help: `Set the images of containers in a pod, or in the pod template of a deployment, daemon set, replica set, replication
controller or job. The container * means all of them.`,
  connects: true,
  flags: [
    ...filenameFlags('identifying the object'),
    { name: 'all', kind: 'bool', help: 'All objects of the kind in the namespace.' },
    selectorFlag,
    dryRunFlag,
    outputFlag,
  ],
  run: runSet,
};

async function runSet(call: VerbCall): Promise<number> {
  const [name, ...words] = call.args;
  if (name !== 'image') throw new CliError(`set can image (got: ${call.args.join(' ')})`);
  const { args, images } = splitWords(words);
  const { flags, io, signal } = call;
  const dryRun = dryRunOf(flags);
  const connection = call.connect();
  const selector = flags.optional('selector');
  const { targets, errors: unreadable } = await resolveTargets(
    {
      args,
      filenames: flags.strings('filename'),
      recursive: flags.bool('recursive'),
      allNamespaces: false,
      hasSelector: selector !== undefined,
      all: flags.bool('all'),
      kindAloneMeansAll: false,
    },
    { connection, types: new ResourceTypes(connection, io), io },
    signal,
  );
  const errors: unknown[] = [...unreadable];
  const found = await findObjects(connection, targets, selector, errors, signal);
  throwCollected(errors); // what is not there keeps the rest from being changed, as upstream
  checkImages(images, flags.bool('all') && selector !== undefined);
  const operation = `image updated${dryRunSuffix(dryRun)}`;
  const printer = objectPrinterFor(flags.string('output'), { showManagedFields: false, operation });
  for (const one of found) {
    try {
      const patch = imagePatch(one, images, errors);
      if (patch === undefined) continue;
      const query = new URLSearchParams({ fieldManager: 'kubectl-set' });
      if (dryRun === 'server') query.set('dryRun', 'All');
      const changed =
        dryRun === 'client'
          ? strategicMerge(one.place.type.model, one.object, patch)
          : await patched(connection, one, patch, query, signal);
      io.out(printer.print(changed));
    } catch (error) {
      errors.push(error);
    }
  }
  throwCollected(errors);
  return 0;
}

/** Objects come first, then `CONTAINER=IMAGE`. Upstream: `GetResourcesAndPairs`. */
function splitWords(words: readonly string[]): {
  readonly args: readonly string[];
  readonly images: ReadonlyMap<string, string>;
} {
  const isPair = (word: string): boolean => word.indexOf('=') > 0 || (word.length > 1 && word.endsWith('-'));
  const first = words.findIndex(isPair);
  const [args, pairs] = first < 0 ? [words, []] : [words.slice(0, first), words.slice(first)];
  const late = pairs.find((word) => !isPair(word));
  if (late !== undefined) throw new CliError(`all resources must be specified before image changes: ${late}`);
  const wrong = pairs.filter((word) => !word.includes('='));
  if (wrong.length > 0) throw new CliError(`invalid image format: ${wrong.join(', ')}`);
  const splitPair = (word: string): readonly [string, string] => {
    const equals = word.indexOf('=');
    return [word.slice(0, equals), word.slice(equals + 1)];
  };
  return { args, images: new Map(pairs.map(splitPair)) };
}

function checkImages(images: ReadonlyMap<string, string>, hasAllAndSelector: boolean): void {
  const wrong: CliError[] = [];
  if (hasAllAndSelector) wrong.push(new CliError('cannot set --all and --selector at the same time'));
  if (images.size === 0) wrong.push(new CliError('at least one image update is required'));
  else if (images.size > 1 && images.has('*')) {
    const text =
      'all containers are already specified by *, but saw more than one container_name=container_image pairs';
    wrong.push(new CliError(text));
  }
  throwCollected(wrong);
}

/** The patch that gives an object these images; `undefined`: it has them. */
function imagePatch(
  { place, object }: FoundObject,
  images: ReadonlyMap<string, string>,
  errors: unknown[],
): object | undefined {
  const isPod = place.type.resource === resources.pods.resource;
  const spec = isPod ? object['spec'] : fieldOf(fieldOf(object['spec'], 'template'), 'spec');
  if (typeof spec !== 'object' || spec === null) {
    const { resource, version, kind } = place.type;
    const text = `the object is not a pod or does not have a pod template: *${version}.${kind}`;
    throw new CliError(`error: ${resource}/${place.name} ${text}\n`);
  }
  // The server has checked it.
  const { initContainers = [], containers } = spec as PodSpec;
  for (const name of images.keys()) {
    const isThere = [...initContainers, ...containers].some((one) => name === '*' || one.name === name);
    if (!isThere) errors.push(new CliError(`error: unable to find container named ${goQuote(name)}`));
  }
  const changedIn = (list: readonly Container[]): readonly object[] =>
    list.flatMap(({ name, image: before }) => {
      const image = images.get(name) ?? images.get('*') ?? before;
      return image === before ? [] : [{ name, image }];
    });
  const lists = { initContainers: changedIn(initContainers), containers: changedIn(containers) };
  const changed = Object.entries(lists).filter(([, list]) => list.length > 0);
  if (changed.length === 0) return undefined;
  const podSpec = Object.fromEntries(changed);
  return { spec: isPod ? podSpec : { template: { spec: podSpec } } };
}

async function patched(
  connection: ApiConnection,
  { place }: FoundObject,
  patch: object,
  query: URLSearchParams,
  signal: AbortSignal,
): Promise<unknown> {
  const headers = { accept: 'application/json', 'content-type': 'application/strategic-merge-patch+json' };
  const request = { query, headers, body: JSON.stringify(patch) };
  try {
    const response = await connection.send('PATCH', pathOf(place), request, signal);
    return parseJson(await bodyText(response.body));
  } catch (error) {
    throw new CliError(`failed to patch image update to pod template: ${messageOf(error)}`, { cause: error });
  }
}
