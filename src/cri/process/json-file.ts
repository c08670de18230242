import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';

const unfinishedSuffix = '.tmp';
let writeCount = 0;

/** Replaces `file` as a whole: a reader, or a later start, sees the old or the new text, never a part. Not fsynced. */
export async function writeJsonFile(file: string, value: unknown): Promise<void> {
  const temporary = `${file}.${process.pid}-${writeCount++}${unfinishedSuffix}`;
  await fsp.writeFile(temporary, JSON.stringify(value), { mode: 0o600 });
  await fsp.rename(temporary, file);
}

/** Removes what a process that was killed in the middle of `writeJsonFile` has left in this directory. */
export function removeUnfinished(directory: string): void {
  for (const name of fs.readdirSync(directory)) {
    if (name.endsWith(unfinishedSuffix)) fs.rmSync(path.join(directory, name));
  }
}

/** `undefined`: not there, or not JSON (after a power cut). */
export function readJsonFile(file: string): unknown {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch {
    return undefined; // as said above
  }
}
