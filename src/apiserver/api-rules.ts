/** Stand-ins until `src/api/` has its patches. */
/** RFC 7386. Returns a new value. */
export function mergePatch(document: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const isObject = typeof document === 'object' && document !== null && !Array.isArray(document);
  const merged = new Map<string, unknown>(isObject ? Object.entries(document) : []);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key);
    else merged.set(key, mergePatch(merged.get(key), value));
  }
  return Object.fromEntries(merged);
}

/** Strategic merge by the field table. Returns a new value. */
export function strategicMerge(_model: string, document: unknown, patch: unknown): unknown {
  return mergePatch(document, patch);
}
