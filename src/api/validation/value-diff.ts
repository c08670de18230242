import { sameValue } from './same-value.ts';

const linesMax = 50;

/** What differs between two values, a line for each leaf: `- path: old`, `+ path: new`. For people to read. */
export function diffText(before: unknown, after: unknown): string {
  const lines: string[] = [];
  addDiff(lines, '', before, after);
  if (lines.length > linesMax) lines.splice(linesMax, lines.length, `  ... ${lines.length - linesMax} more lines`);
  return lines.join('\n');
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function addDiff(lines: string[], path: string, before: unknown, after: unknown): void {
  if (sameValue(before, after)) return;
  if (isRecord(before) && isRecord(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      addDiff(lines, path === '' ? key : `${path}.${key}`, before[key], after[key]);
    }
  } else if (Array.isArray(before) && Array.isArray(after)) {
    for (let index = 0; index < Math.max(before.length, after.length); index++) {
      addDiff(lines, `${path}[${index}]`, before[index], after[index]);
    }
  } else {
    if (before !== undefined) lines.push(`- ${path}: ${JSON.stringify(before)}`);
    if (after !== undefined) lines.push(`+ ${path}: ${JSON.stringify(after)}`);
  }
}
