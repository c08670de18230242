import { resources, apiVersionOf, type ResourceType } from '../../api/resources.ts';
import type { Event } from '../../api/gen/types.ts';
import { CliError } from '../cli-error.ts';
import { listObjects, watchRaw, type Place } from '../object-calls.ts';
import { ageOfEvent } from '../printers/describe-events.ts';
import { wallMsOf } from '../printers/describe-writer.ts';
import { objectPrinterFor } from '../printers/object-printer.ts';
import { escapeTerminal, tableLayout, TabWriter } from '../printers/tab-writer.ts';
import { ResourceTypes } from '../resource-types.ts';
import { allNamespacesFlag, chunkSizeFlag, managedFieldsFlag, outputFlag } from '../verb-flags.ts';
import type { Verb, VerbCall } from '../verb.ts';

export const verb: Verb = {
  usage: 'events [(-o|--output=)json|yaml|name] [--for TYPE/NAME] [--watch] [--types=Normal,Warning] [flags]',
  help: 'List events, the latest last: what happened to the objects of a namespace.',
  connects: true,
  flags: [
    allNamespacesFlag,
    chunkSizeFlag,
    managedFieldsFlag,
    outputFlag,
    { name: 'for', kind: 'string', help: 'Only events about this object (TYPE/NAME).' },
    { name: 'no-headers', kind: 'bool', help: "Don't print headers." },
    { name: 'types', kind: 'strings', help: 'Only events of these types.' },
    { name: 'watch', short: 'w', kind: 'bool', help: 'After listing, watch for more events.' },
  ],
  run: runEvents,
};

async function runEvents(call: VerbCall): Promise<number> {
  const { flags, io, signal } = call;
  const types = flags.strings('types').map((type) => type.toLowerCase());
  if (types.some((type) => type !== 'normal' && type !== 'warning')) {
    throw new CliError('valid --types are Normal or Warning');
  }
  const connection = call.connect();
  const isWanted = (event: Event): boolean => types.length === 0 || types.includes((event.type ?? '').toLowerCase());
  const fieldSelector = await selectorOf(call, new ResourceTypes(connection, io));
  const place: Place = flags.bool('all-namespaces')
    ? { type: resources.events }
    : { type: resources.events, namespace: connection.namespace };
  const show = shower(call);
  if (flags.bool('watch')) {
    const options = { resourceVersion: '', asTables: false };
    for await (const { type, object } of watchRaw(connection, place, { fieldSelector }, options, signal)) {
      // Events expire after an hour: that is no news. The server's events are of this shape.
      const event = object as Event;
      if (type !== 'DELETED' && isWanted(event)) show([event], event);
    }
    return signal.aborted ? 130 : 0; // 128 + SIGINT
  }
  const { items } = await listObjects(connection, place, { fieldSelector }, flags.int('chunk-size'), signal);
  // See above.
  const events = (items as readonly unknown[] as readonly Event[]).filter(isWanted);
  if (events.length === 0) {
    const where = flags.bool('all-namespaces') ? '' : ` in ${connection.namespace} namespace`;
    io.err(`No events found${where}.\n`);
    return 0;
  }
  const sorted = events.toSorted((a, b) => sortTimeOf(a) - sortTimeOf(b));
  show(sorted, { apiVersion: 'v1', kind: 'EventList', metadata: {}, items: sorted });
  return 0;
}

async function selectorOf({ flags, signal }: VerbCall, types: ResourceTypes): Promise<string> {
  const about = flags.optional('for');
  if (about === undefined) return '';
  const parts = about.split('/');
  if (parts.length > 2) throw new CliError('arguments in resource/name form may not have more than one slash');
  const [kind = '', name] = parts;
  if (name === undefined) throw new CliError('--for must be in resource/name form');
  const type: ResourceType = await types.named(kind.toLowerCase(), signal);
  return (
    `involvedObject.kind=${type.kind},involvedObject.apiVersion=${apiVersionOf(type)},` + `involvedObject.name=${name}`
  );
}

function sortTimeOf(event: Event): number {
  return wallMsOf(event.series?.lastObservedTime) ?? wallMsOf(event.lastTimestamp) ?? wallMsOf(event.eventTime) ?? 0;
}

/** Prints rows, or with `-o` the object that stands for them. */
function shower({ flags, io }: VerbCall): (events: readonly Event[], whole: unknown) => void {
  const format = flags.string('output');
  if (format !== '') {
    const printer = objectPrinterFor(format, { showManagedFields: flags.bool('show-managed-fields') });
    return (_events, whole) => io.out(printer.print(whole));
  }
  const withNamespace = flags.bool('all-namespaces');
  const tabs = new TabWriter(tableLayout);
  let needsHeader = !flags.bool('no-headers');
  return (events) => {
    if (needsHeader) tabs.write(`${withNamespace ? 'NAMESPACE\t' : ''}LAST SEEN\tTYPE\tREASON\tOBJECT\tMESSAGE\n`);
    needsHeader = false;
    for (const event of events) {
      const { kind = '', name = '' } = event.involvedObject;
      const cells = [event.type ?? '', event.reason ?? '', `${kind}/${name}`, (event.message ?? '').trim()];
      const namespace = withNamespace ? `${event.metadata.namespace ?? ''}\t` : '';
      tabs.write(`${namespace}${ageOfEvent(event, io.clock.wallMs())}\t${cells.map(escapeTerminal).join('\t')}\n`);
    }
    io.out(tabs.flush());
  };
}
