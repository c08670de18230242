import { goQuote } from './go-text.ts';

/**
 * A slow, exact reader of JSON text, for what `JSON.parse` does not tell: Go's words for a syntax error, and keys that
 * occur twice in one object. Only used once something is known to be wrong.
 */
export type JsonScan =
  | { readonly kind: 'broken'; readonly error: string }
  /** Paths of repeated keys, in the order of the text, each once: `spec.containers[0].name`. */
  | { readonly kind: 'whole'; readonly duplicates: readonly string[] };

type Frame =
  | { readonly kind: 'object'; readonly seen: Set<string>; key: string }
  | { readonly kind: 'array'; index: number };

type Expect = 'value' | 'valueOrEnd' | 'keyOrEnd' | 'key' | 'colon' | 'commaOrEnd' | 'nothing';

interface Cursor {
  readonly text: string;
  at: number;
}

class SyntaxProblem extends Error {
  override readonly name = 'SyntaxProblem';
}

const endOfInput = 'unexpected end of JSON input';
const literals: Readonly<Record<string, string>> = { t: 'true', f: 'false', n: 'null' };
const escapes = '"\\/bfnrt';

function quoteChar(text: string, at: number): string {
  const char = String.fromCodePoint(text.codePointAt(at) ?? 0);
  if (char === "'") return "'\\''";
  if (char === '"') return "'\"'";
  const firstByte = new TextEncoder().encode(char)[0] ?? 0; // Go looks at bytes, not at characters
  return `'${goQuote(String.fromCharCode(firstByte)).slice(1, -1)}'`;
}

function fail(cursor: Cursor, context: string): never {
  if (cursor.at >= cursor.text.length) throw new SyntaxProblem(endOfInput);
  throw new SyntaxProblem(`invalid character ${quoteChar(cursor.text, cursor.at)} ${context}`);
}

function skipSpace(cursor: Cursor): void {
  for (; cursor.at < cursor.text.length; cursor.at++) {
    const char = cursor.text.charCodeAt(cursor.at);
    if (char !== 0x20 && char !== 0x0a && char !== 0x0d && char !== 0x09) return;
  }
}

/** Reads a string literal whose quote is at the cursor; returns its value. */
function readString(cursor: Cursor): string {
  const start = cursor.at;
  for (cursor.at++; cursor.at < cursor.text.length; cursor.at++) {
    const char = cursor.text.charAt(cursor.at);
    if (char === '"') {
      cursor.at++;
      // Every escape in it was checked, so it is a JSON string.
      return JSON.parse(cursor.text.slice(start, cursor.at)) as string;
    }
    if (char < ' ') fail(cursor, 'in string literal');
    if (char !== '\\') continue;
    cursor.at++;
    if (cursor.text.charAt(cursor.at) === 'u') {
      for (let digit = 0; digit < 4; digit++) {
        cursor.at++;
        if (!/^[0-9a-fA-F]$/.test(cursor.text.charAt(cursor.at))) fail(cursor, 'in \\u hexadecimal character escape');
      }
    } else if (cursor.at >= cursor.text.length || !escapes.includes(cursor.text.charAt(cursor.at))) {
      fail(cursor, 'in string escape code');
    }
  }
  throw new SyntaxProblem(endOfInput);
}

function readDigits(cursor: Cursor, context: string): void {
  const start = cursor.at;
  while (/^\d$/.test(cursor.text.charAt(cursor.at))) cursor.at++;
  if (cursor.at === start) fail(cursor, context);
}

function readNumber(cursor: Cursor): void {
  if (cursor.text.charAt(cursor.at) === '-') cursor.at++;
  if (cursor.text.charAt(cursor.at) === '0') cursor.at++;
  else readDigits(cursor, 'in numeric literal');
  if (cursor.text.charAt(cursor.at) === '.') {
    cursor.at++;
    readDigits(cursor, 'after decimal point in numeric literal');
  }
  if (/^[eE]$/.test(cursor.text.charAt(cursor.at))) {
    cursor.at++;
    if (/^[+-]$/.test(cursor.text.charAt(cursor.at))) cursor.at++;
    readDigits(cursor, 'in exponent of numeric literal');
  }
}

function readLiteral(cursor: Cursor, word: string): void {
  for (const char of word) {
    if (cursor.text.charAt(cursor.at) !== char) fail(cursor, `in literal ${word} (expecting '${char}')`);
    cursor.at++;
  }
}

/** Reads a value, or the opening of one (pushed on the stack); returns what may follow. */
function readValue(cursor: Cursor, stack: Frame[]): Expect {
  const char = cursor.text.charAt(cursor.at);
  if (char === '{' || char === '[') {
    cursor.at++;
    stack.push(char === '{' ? { kind: 'object', seen: new Set(), key: '' } : { kind: 'array', index: 0 });
    return char === '{' ? 'keyOrEnd' : 'valueOrEnd';
  }
  const literal = literals[char];
  if (char === '"') readString(cursor);
  else if (/^[-\d]$/.test(char)) readNumber(cursor);
  else if (literal !== undefined) readLiteral(cursor, literal);
  else fail(cursor, 'looking for beginning of value');
  return stack.length === 0 ? 'nothing' : 'commaOrEnd';
}

function pathOf(stack: readonly Frame[]): string {
  let path = '';
  for (const frame of stack) {
    if (frame.kind === 'array') path += `[${frame.index}]`;
    else path += path === '' ? frame.key : `.${frame.key}`;
  }
  return path;
}

function close(cursor: Cursor, stack: Frame[]): Expect {
  cursor.at++;
  stack.pop();
  return stack.length === 0 ? 'nothing' : 'commaOrEnd';
}

function readAfterValue(cursor: Cursor, stack: Frame[]): Expect {
  const frame = stack.at(-1);
  const char = cursor.text.charAt(cursor.at);
  if (frame?.kind === 'array') {
    if (char === ']') return close(cursor, stack);
    if (char !== ',') fail(cursor, 'after array element');
    frame.index++;
    cursor.at++;
    return 'value';
  }
  if (char === '}') return close(cursor, stack);
  if (char !== ',') fail(cursor, 'after object key:value pair');
  cursor.at++;
  return 'key';
}

function readKey(cursor: Cursor, stack: readonly Frame[], duplicates: Set<string>): Expect {
  const frame = stack.at(-1);
  if (cursor.text.charAt(cursor.at) !== '"' || frame?.kind !== 'object') {
    fail(cursor, 'looking for beginning of object key string');
  }
  frame.key = readString(cursor);
  if (frame.seen.has(frame.key)) duplicates.add(pathOf(stack));
  frame.seen.add(frame.key);
  return 'colon';
}

function step(cursor: Cursor, stack: Frame[], expect: Expect, duplicates: Set<string>): Expect {
  const char = cursor.text.charAt(cursor.at);
  switch (expect) {
    case 'valueOrEnd':
      return char === ']' ? close(cursor, stack) : readValue(cursor, stack);
    case 'keyOrEnd':
      return char === '}' ? close(cursor, stack) : readKey(cursor, stack, duplicates);
    case 'key':
      return readKey(cursor, stack, duplicates);
    case 'colon':
      if (char !== ':') fail(cursor, 'after object key');
      cursor.at++;
      return 'value';
    case 'commaOrEnd':
      return readAfterValue(cursor, stack);
    case 'nothing':
      return fail(cursor, 'after top-level value');
    default:
      return readValue(cursor, stack);
  }
}

export function scanJson(text: string): JsonScan {
  const cursor: Cursor = { text, at: 0 };
  const stack: Frame[] = [];
  const duplicates = new Set<string>();
  let expect: Expect = 'value';
  try {
    for (;;) {
      skipSpace(cursor);
      if (expect === 'nothing' && cursor.at >= text.length) break;
      expect = step(cursor, stack, expect, duplicates);
    }
  } catch (error) {
    if (error instanceof SyntaxProblem) return { kind: 'broken', error: error.message };
    throw error;
  }
  return { kind: 'whole', duplicates: [...duplicates] };
}

/** How many object members `text` (which `JSON.parse` has accepted) writes, repeated ones included. Fast. */
export function countWrittenKeys(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (char === 0x3a /* : */) count++;
    else if (char === 0x22 /* " */) {
      at = text.indexOf('"', at + 1);
      while (isEscaped(text, at)) at = text.indexOf('"', at + 1);
    }
  }
  return count;
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0;
  while (text.charCodeAt(at - 1 - backslashes) === 0x5c) backslashes++;
  return backslashes % 2 === 1;
}
