/** The only source of randomness. Production wires `HostEntropy`, tests and the simulator wire `SeededEntropy`. */
export interface Entropy {
  /** Uniform in [0, 1). */
  unit(): number;
  /** `count` random bytes. In production they come from the operating system, and are fit for secrets. */
  bytes(count: number): Uint8Array;
  /** An independent stream; adding a consumer never shifts the draws of another. */
  fork(label: string): Entropy;
}

const hexDigits = '0123456789abcdef';

/** `byteCount` random bytes as lower-case hexadecimal digits. */
export function randomHex(entropy: Entropy, byteCount: number): string {
  let text = '';
  for (const byte of entropy.bytes(byteCount)) text += hexDigits.charAt(byte >> 4) + hexDigits.charAt(byte & 15);
  return text;
}

/** A random (version 4) UUID, as the API server gives to each object. */
export function randomUuid(entropy: Entropy): string {
  const bytes = entropy.bytes(16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  let hex = '';
  for (const byte of bytes) hex += hexDigits.charAt(byte >> 4) + hexDigits.charAt(byte & 15);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** Upstream's alphabet for what it makes up in names: no vowels and no look-alikes. */
export const nameAlphabet = 'bcdfghjklmnpqrstvwxz2456789';

/** `length` characters for a generated name, e.g. `x7k2q`. Upstream: `rand.String`. */
export function randomNameSuffix(entropy: Entropy, length: number): string {
  let text = '';
  for (let i = 0; i < length; i++) text += nameAlphabet.charAt(Math.floor(entropy.unit() * nameAlphabet.length));
  return text;
}
