import { randomInt } from 'node:crypto';

/** `length` letters of `alphabet`, each as likely as any other; good enough for secrets. */
export function randomText(alphabet: string, length: number): string {
  return Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join('');
}
