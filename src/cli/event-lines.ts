import { formatTime } from '../api/time.ts';
import type { NodeEvent } from '../main/livelet.ts';
import type { CliIo } from './cli-io.ts';

const rememberedMax = 1_000;

/**
 * Prints what happens to the pods of a node that has no API server to keep it, a line each: when, to which container,
 * what. Of what is told again and again about one container only the first is printed.
 */
export function eventLines(io: Pick<CliIo, 'clock' | 'out'>): (event: NodeEvent) => void {
  const lastBySubject = new Map<string, string>(); // the oldest first
  return ({ object, reason, message }) => {
    const subject = subjectOf(object);
    const text = `${reason}  ${message.replaceAll(/\s*\n\s*/g, ' ')}`;
    if (lastBySubject.get(subject) === text) return;
    lastBySubject.delete(subject);
    lastBySubject.set(subject, text);
    const [oldest] = lastBySubject.keys();
    if (lastBySubject.size > rememberedMax && oldest !== undefined) lastBySubject.delete(oldest);
    io.out(`${formatTime(io.clock.wallMs())}  ${subject}  ${text}\n`);
  };
}

/** `NAMESPACE/POD/CONTAINER`, `NAMESPACE/POD` or `node NAME`. */
function subjectOf({ kind, namespace, name = '', fieldPath = '' }: NodeEvent['object']): string {
  if (kind === 'Node') return `node ${name}`;
  const [, container] = /\{(.*)\}$/.exec(fieldPath) ?? [];
  return [namespace ?? '', name, ...(container === undefined ? [] : [container])].join('/');
}
