/** JSON Patch (RFC 6902) through the package `rfc6902`. */
import { applyPatch } from 'rfc6902';
import type { Operation } from 'rfc6902';

/**
 * Applies `operations` to a copy of `document` and returns the copy. Throws an `Error` that says which operation
 * failed and why; then nothing is applied.
 */
export function applyJsonPatch(document: unknown, operations: readonly unknown[]): unknown {
  const holder = { document: structuredClone(document) };
  const checked = operations.map(checkOperation).map(underHolder);
  const problems = applyPatch(holder, checked);
  for (const [index, problem] of problems.entries()) {
    if (problem !== null) throw new Error(`operation ${index} of the JSON patch: ${problem.message || problem.name}`);
  }
  return holder.document;
}

const names: ReadonlySet<string> = new Set(['add', 'remove', 'replace', 'move', 'copy', 'test']);

function checkOperation(operation: unknown, index: number): Operation {
  const fields = new Map<string, unknown>(
    typeof operation === 'object' && operation !== null ? Object.entries(operation) : [],
  );
  const op = fields.get('op');
  const isPointer = (text: unknown): boolean => typeof text === 'string' && (text === '' || text.startsWith('/'));
  if (typeof op !== 'string' || !names.has(op)) throw new Error(`operation ${index} of the JSON patch: unknown op`);
  if (!isPointer(fields.get('path'))) throw new Error(`operation ${index} of the JSON patch: bad path`);
  if ((op === 'move' || op === 'copy') && !isPointer(fields.get('from'))) {
    throw new Error(`operation ${index} of the JSON patch: bad from`);
  }
  if ((op === 'add' || op === 'replace' || op === 'test') && !fields.has('value')) {
    throw new Error(`operation ${index} of the JSON patch: no value`);
  }
  // The fields that its kind needs were checked above.
  return operation as Operation;
}

/** The package cannot replace the whole document, so the document is put one level down. */
function underHolder(operation: Operation): Operation {
  const moved = { ...operation, path: `/document${operation.path}` };
  // Only two kinds have a `from`.
  return 'from' in operation ? ({ ...moved, from: `/document${operation.from}` } as Operation) : (moved as Operation);
}
