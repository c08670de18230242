import { LineCounter, parseDocument, YAMLParseError, type ScalarTag, type Tags } from 'yaml';

/** What is in a file of manifests, in order. `failed`: why the rest of the file cannot be read, in kubectl's words. */
export interface ManifestDocuments {
  readonly values: readonly unknown[];
  readonly failed: string | undefined;
}

/**
 * Splits a file into its documents and decodes them as kubectl does: JSON if it begins with a brace, else YAML 1.1
 * (so `yes` is true, `010` is 8, a date is a string). Documents without content are left out. A later key wins over
 * an equal earlier one.
 */
export function decodeDocuments(text: string): ManifestDocuments {
  const withoutMark = text.startsWith('\uFEFF') ? text.slice(1) : text;
  return /^\s*\{/.test(withoutMark) ? decodeJsonStream(withoutMark) : decodeYamlStream(withoutMark);
}

function decodeYamlStream(text: string): ManifestDocuments {
  const values: unknown[] = [];
  for (const document of text.split(/\n---[^\S\n]*(?:\n|$)|\n---(?=[^\S\n]+\S)/)) {
    const decoded = decodeYaml(document);
    if ('error' in decoded) return { values, failed: `error converting YAML to JSON: ${decoded.error}` };
    if (decoded.value !== null && decoded.value !== undefined) values.push(decoded.value);
  }
  return { values, failed: undefined };
}

/** Objects one after another. What is no JSON may still be YAML that begins with a brace. */
function decodeJsonStream(text: string): ManifestDocuments {
  const values: unknown[] = [];
  let rest = text.trim();
  while (rest !== '') {
    const end = endOfJsonObject(rest);
    if (end === undefined) return values.length === 0 ? yamlAfterAll(rest) : { values, failed: 'unexpected EOF' };
    try {
      values.push(JSON.parse(rest.slice(0, end)));
    } catch {
      return values.length === 0 ? yamlAfterAll(rest) : { values, failed: 'invalid JSON' }; // its text is Node's own
    }
    rest = rest.slice(end).trim();
  }
  return { values, failed: undefined };
}

function yamlAfterAll(text: string): ManifestDocuments {
  const decoded = decodeYamlStream(text);
  return decoded.failed === undefined ? decoded : { values: [], failed: 'unexpected EOF' };
}

/** Where the object at the start of `text` ends; `undefined` if it does not. */
function endOfJsonObject(text: string): number | undefined {
  let depth = 0;
  let isQuoted = false;
  for (let index = 0; index < text.length; index++) {
    const char = text[index];
    if (isQuoted) {
      if (char === '\\') index++;
      else if (char === '"') isQuoted = false;
    } else if (char === '"') {
      isQuoted = true;
    } else if (char === '{' || char === '[') {
      depth++;
    } else if (char === '}' || char === ']') {
      depth--;
      if (depth === 0) return index + 1;
    }
  }
  return undefined;
}

// A date stays a string and 12:30 is no number, unlike in all of YAML 1.1; 0o14 is a number.
const tagsLeftOut = new Set(['timestamp', 'intTime', 'floatTime']);
const octal: ScalarTag = {
  tag: 'tag:yaml.org,2002:int',
  default: true,
  format: 'OCT',
  test: /^[-+]?0o[0-7_]+$/,
  resolve: (text) => (text.startsWith('-') ? -1 : 1) * Number.parseInt(text.replaceAll(/[-+_]|0o/g, ''), 8),
};

// The library's own begins with any letter e: `name: e1` would be a number.
const float: ScalarTag = {
  tag: 'tag:yaml.org,2002:float',
  default: true,
  format: 'EXP',
  test: /^[-+]?(?:\.[0-9][0-9_]*|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?$/,
  resolve: (text) => Number.parseFloat(text.replaceAll('_', '')),
};

function customTags(tags: Tags): Tags {
  const kept = tags.filter((tag) => {
    if (typeof tag === 'string') return !tagsLeftOut.has(tag);
    if (tag.tag === float.tag) return 'test' in tag && tag.test?.test('.inf') === true;
    return tag.tag !== 'tag:yaml.org,2002:timestamp' && !('format' in tag && tag.format === 'TIME');
  });
  return [octal, ...kept, float]; // after the whole numbers
}

function decodeYaml(text: string): { readonly value: unknown } | { readonly error: string } {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    version: '1.1',
    uniqueKeys: false,
    customTags,
    lineCounter: lines,
    prettyErrors: false,
  });
  if (document.errors.length > 0) return { error: goYamlText(document.errors, text, lines) };
  try {
    const value: unknown = document.toJS({ maxAliasCount: aliasesMax });
    if (containsNonFinite(value)) return { error: 'json: unsupported value: +Inf' };
    return { value };
  } catch (failure) {
    const unknownAnchor =
      failure instanceof ReferenceError ? /Unresolved alias .*: (\S+)$/.exec(failure.message) : null;
    if (unknownAnchor !== null) return { error: `yaml: unknown anchor '${unknownAnchor[1]}' referenced` };
    return { error: 'yaml: document contains excessive aliasing' };
  }
}

const aliasesMax = 100; // a few lines can otherwise grow to gigabytes

function containsNonFinite(value: unknown): boolean {
  if (typeof value === 'number') return !Number.isFinite(value);
  return typeof value === 'object' && value !== null && Object.values(value).some(containsNonFinite);
}

/** The library's errors in go-yaml's words, as near as their codes tell; its own words where nothing corresponds. */
function goYamlText(errors: readonly YAMLParseError[], text: string, lines: LineCounter): string {
  const [error] = errors;
  if (error === undefined) return 'yaml: unknown error';
  const lineOf = (offset: number): number => lines.linePos(offset).line;
  const line = lineOf(error.pos[0]);
  switch (error.code) {
    case 'BLOCK_AS_IMPLICIT_KEY': {
      if (error.message.includes('sequence')) return below(line, 'did not find expected key');
      const spread = errors.find((other) => other.code === 'MULTILINE_IMPLICIT_KEY' && other.pos[0] === error.pos[0]);
      return at(spread === undefined ? line : lineOf(spread.pos[1]), 'mapping values are not allowed in this context');
    }
    case 'MULTILINE_IMPLICIT_KEY':
      if (errors.some((other) => /block-seq-ind/.test(other.message) && other.pos[0] === error.pos[0])) {
        return below(line, 'did not find expected key');
      }
      if (errors.some((other) => other.code === 'BAD_INDENT' && /flow/i.test(other.message))) {
        return structureText(errors.find((other) => other.code === 'BAD_INDENT') ?? error, text, line + 1);
      }
      return at(lineOf(error.pos[1]), "could not find expected ':'");
    case 'TAB_AS_INDENT':
    case 'BAD_SCALAR_START':
      return at(line, 'found character that cannot start any token');
    case 'BAD_DQ_ESCAPE':
      return at(line, 'found unknown escape character');
    case 'MISSING_CHAR':
    case 'BAD_INDENT':
    case 'BAD_COLLECTION_TYPE':
    case 'UNEXPECTED_TOKEN':
      return structureText(error, text, line);
    default:
      return at(line, error.message);
  }
}

function at(line: number, words: string): string {
  return line > 1 ? `yaml: line ${line}: ${words}` : `yaml: ${words}`;
}

/** Its parser, as against its scanner, counts lines from 0. */
function below(line: number, words: string): string {
  return line > 1 ? `yaml: line ${line - 1}: ${words}` : `yaml: ${words}`;
}

function structureText(error: YAMLParseError, text: string, line: number): string {
  const source = text.split('\n')[line - 1] ?? '';
  if (error.message.includes('quote')) return at(text.split('\n').length, 'found unexpected end of stream');
  if (/^\s*[@`%]|[:-] +[@`%]/.test(source)) return at(line, 'found character that cannot start any token');
  if (error.code === 'UNEXPECTED_TOKEN' && /flow-(map|seq)-end/.test(error.message)) {
    const isValue = /[:-] +[\]}]/.test(source);
    return below(line, isValue ? 'did not find expected node content' : 'did not find expected key');
  }
  const flowLine = Math.max(2, error.code === 'BAD_INDENT' ? line : line + 1); // where the end was missed
  if (/flow map/i.test(error.message)) return below(flowLine, "did not find expected ',' or '}'");
  if (/flow seq/i.test(error.message)) return below(flowLine, "did not find expected ',' or ']'");
  if (error.code === 'MISSING_CHAR' && !error.message.includes('item')) return at(line, "could not find expected ':'");
  return below(line, 'did not find expected key');
}
