/** How Go prints what ends up in messages: durations, quoted strings, parse errors of numbers. */
import { goQuote } from '../../api/go-text.ts';

export { goQuote };

/** Go's `time.Duration` of whole seconds: `0s`, `1s`, `1m20s`, `1h0m0s`. */
export function goSeconds(seconds: number): string {
  const hours = Math.floor(seconds / 3_600);
  const minutes = Math.floor((seconds % 3_600) / 60);
  const rest = `${seconds % 60}s`;
  if (hours > 0) return `${hours}h${minutes}m${rest}`;
  return minutes > 0 ? `${minutes}m${rest}` : rest;
}

const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Go's `%q` of bytes: what is not UTF-8 is written byte by byte. */
export function goQuoteBytes(bytes: Uint8Array): string {
  let text: string;
  try {
    text = strictDecoder.decode(bytes);
  } catch {
    // Not UTF-8 as a whole.
    return `"${Array.from(bytes, (byte) => goQuoteByte(byte)).join('')}"`;
  }
  return goQuote(text);
}

function goQuoteByte(byte: number): string {
  if (byte >= 0x80) return `\\x${byte.toString(16)}`;
  return goQuote(String.fromCharCode(byte)).slice(1, -1);
}

/** Go's `strconv.Atoi`: a decimal integer with an optional sign, or the error's text. */
export function goAtoi(text: string): { readonly value: number } | { readonly error: string } {
  if (!/^[+-]?[0-9]+$/.test(text)) return { error: `strconv.Atoi: parsing ${goQuote(text)}: invalid syntax` };
  const value = BigInt(text.startsWith('+') ? text.slice(1) : text);
  if (BigInt.asIntN(64, value) !== value)
    return { error: `strconv.Atoi: parsing ${goQuote(text)}: value out of range` };
  return { value: Number(value) };
}

/** Go's `net.JoinHostPort`: an IPv6 address gets brackets. */
export function joinHostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
