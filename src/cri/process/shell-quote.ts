import { StatusError } from '../../base/status-error.ts';

/** `text` as one word of a POSIX shell. Bytes that no argument can carry (NUL) are refused. */
export function shellWord(text: string): string {
  if (text.includes('\0')) throw new StatusError('BadRequest', 'a command, argument or variable holds a NUL character');
  return /^[A-Za-z0-9_./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

export function shellWords(words: readonly string[]): string {
  return words.map(shellWord).join(' ');
}

/** A line of an fstab. */
export function tableLine(source: string, target: string, type: string, options: string): string {
  return `${tableField(source)} ${tableField(target)} ${type} ${options} 0 0\n`;
}

/** Blanks and backslashes as octal. */
function tableField(text: string): string {
  return text.replace(/[\s\\#]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`);
}
