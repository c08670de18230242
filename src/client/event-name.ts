/**
 * `NAME.HEXNANOS`, as every event is called: the hexadecimal digits are nanoseconds since 1970. `nanosWithinMs`: 0 to
 * 999,999, drawn at random where the clock has only milliseconds, since two components may write about one object at
 * once.
 */
export function eventName(objectName: string, wallMs: number, nanosWithinMs: number): string {
  const nanos = BigInt(Math.floor(wallMs)) * 1_000_000n + BigInt(nanosWithinMs);
  return `${objectName}.${nanos.toString(16)}`;
}

/** Events about objects without a namespace are in `default`. */
export function eventNamespace(objectNamespace: string | undefined): string {
  return objectNamespace === undefined || objectNamespace === '' ? 'default' : objectNamespace;
}
