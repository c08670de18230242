import { StatusError } from '../../base/status-error.ts';

/** `text` as one word of a POSIX shell. Bytes that no argument can carry (NUL) are refused. */
export function shellWord(text: string): string {
  if (text.includes('\0')) throw new StatusError('BadRequest', 'a command, argument or variable holds a NUL character');
  return /^[A-Za-z0-9_./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

export function shellWords(words: readonly string[]): string {
  return words.map(shellWord).join(' ');
}

/** A field of an fstab line: blanks and backslashes as octal. */
export function fstabField(text: string): string {
  return text.replace(/[\s\\#]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`);
}
