/**
 * kubectl's JSONPath templates, as far as scripts use them: text, `{.a.b}`, `['key']`, `[0]`, `[-1]`, `[1:3]`, `[*]`,
 * `..name`, `[?(@.type=="Ready")]`, `{range …}{end}` and quoted text. A path that leads nowhere prints nothing.
 */
import { CliError } from '../cli-error.ts';
import { toJson, toJsonLine } from './json-printer.ts';

export type JsonPathTemplate = (value: unknown) => string;

/** Compiles a template; what is not understood is an error. */
export function compileJsonPath(template: string): JsonPathTemplate {
  const wanted = /^\s*\{/.test(template) || template.includes('{') ? template : `{${template}}`;
  const nodes = parseTemplate(template, wanted);
  return (value) => render(nodes, value, value);
}

/** The same template, but what each of its parts finds is printed as a list in JSON: `-o jsonpath-as-json`. */
export function compileJsonPathAsJson(template: string): JsonPathTemplate {
  const nodes = parseTemplate(template, template.includes('{') ? template : `{${template}}`);
  return (value) => renderAsJson(nodes, value, value);
}

function renderAsJson(nodes: readonly Node[], value: unknown, root: unknown): string {
  return nodes
    .map((node) => {
      if (node.kind === 'text') return toJson([node.text]);
      const found = walk(node.steps, [value], root);
      if (node.kind === 'path') return toJson(found);
      return found.map((item) => renderAsJson(node.body, item, root)).join('');
    })
    .join('');
}

function parseTemplate(template: string, wanted: string): readonly Node[] {
  try {
    const { nodes, rest } = parseNodes(pieces(wanted), false);
    if (rest.length > 0) throw bad('unexpected {end}');
    return nodes;
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    throw new CliError(`error parsing jsonpath ${template}, ${error.message}`, { cause: error });
  }
}

/** The values that one path, e.g. `.metadata.name` or `{.metadata.name}`, leads to. */
export function compilePath(text: string): (value: unknown) => readonly unknown[] {
  const bare = /^\{([\s\S]*)\}$/.exec(text.trim())?.[1] ?? text.trim();
  const steps = parsePath(bare.startsWith('.') || bare.startsWith('[') || bare.startsWith('$') ? bare : `.${bare}`);
  return (value) => walk(steps, [value], value);
}

type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'path'; readonly steps: readonly Step[] }
  | { readonly kind: 'range'; readonly steps: readonly Step[]; readonly body: readonly Node[] };

type Step =
  | { readonly kind: 'field'; readonly name: string }
  | { readonly kind: 'root' }
  | { readonly kind: 'all' }
  | { readonly kind: 'deep'; readonly name: string }
  | {
      readonly kind: 'slice';
      readonly from: number | undefined;
      readonly to: number | undefined;
      readonly step: number;
    }
  | { readonly kind: 'index'; readonly index: number }
  | { readonly kind: 'union'; readonly branches: readonly (readonly Step[])[] }
  | { readonly kind: 'filter'; readonly left: readonly Step[]; readonly operator: string; readonly right: unknown };

function bad(why: string): CliError {
  return new CliError(why);
}

type Piece = { readonly kind: 'text'; readonly text: string } | { readonly kind: 'action'; readonly text: string };

function pieces(template: string): Piece[] {
  const found: Piece[] = [];
  let at = 0;
  while (at < template.length) {
    const open = template.indexOf('{', at);
    if (open < 0) {
      found.push({ kind: 'text', text: template.slice(at) });
      break;
    }
    if (open > at) found.push({ kind: 'text', text: template.slice(at, open) });
    const close = closingBrace(template, open);
    found.push({ kind: 'action', text: template.slice(open + 1, close).trim() });
    at = close + 1;
  }
  return found;
}

function closingBrace(template: string, open: number): number {
  let quote = '';
  for (let index = open + 1; index < template.length; index++) {
    const char = template[index] ?? '';
    if (quote !== '') {
      if (char === '\\') index++;
      else if (char === quote) quote = '';
    } else if (char === '"' || char === "'") {
      quote = char;
    } else if (char === '}') {
      return index;
    }
  }
  throw bad('unclosed action');
}

function parseNodes(list: readonly Piece[], inRange: boolean): { nodes: Node[]; rest: readonly Piece[] } {
  const nodes: Node[] = [];
  let rest = list;
  for (let [piece, ...after] = rest; piece !== undefined; [piece, ...after] = rest) {
    rest = after;
    if (piece.kind === 'text') {
      nodes.push(piece);
    } else if (piece.text === 'end') {
      if (!inRange) throw bad('not in range, nothing to end');
      return { nodes, rest };
    } else if (piece.text.startsWith('range')) {
      const inner = parseNodes(rest, true);
      nodes.push({ kind: 'range', steps: parsePath(piece.text.slice('range'.length).trim()), body: inner.nodes });
      rest = inner.rest;
    } else {
      nodes.push(...parseAction(piece.text));
    }
  }
  if (inRange) throw bad('unfinished range');
  return { nodes, rest };
}

/** Paths and quoted texts, several with spaces or commas between. */
function parseAction(text: string): Node[] {
  const nodes: Node[] = [];
  let rest = text.trim();
  while (rest !== '') {
    const quoted = /^(["'])((?:\\.|(?!\1).)*)\1/.exec(rest);
    if (quoted !== null) {
      nodes.push({ kind: 'text', text: unescaped(quoted[2] ?? '') });
      rest = rest.slice(quoted[0].length).trim();
      continue;
    }
    const end = endOfPath(rest);
    nodes.push({ kind: 'path', steps: parsePath(rest.slice(0, end)) });
    rest = rest.slice(end).replace(/^[\s,]+/, '');
  }
  return nodes;
}

function unescaped(text: string): string {
  const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r' };
  return text.replaceAll(/\\(.)/g, (_, char: string) => escapes[char] ?? char);
}

/** Where a path ends: at a space outside of brackets. */
function endOfPath(text: string): number {
  let depth = 0;
  for (let index = 0; index < text.length; index++) {
    const char = text[index] ?? '';
    if (char === '[' || char === '(') depth++;
    else if (char === ']' || char === ')') depth--;
    else if (/[\s,]/.test(char) && depth === 0) return index;
  }
  return text.length;
}

const fieldPattern = /^\.?((?:[^.[\]\s\\*]|\\.)+)/;

function parsePath(text: string): Step[] {
  const steps: Step[] = [];
  let rest = text;
  while (rest !== '') {
    const deep = /^\.\.((?:[^.[\]\s\\*]|\\.)+)/.exec(rest);
    const bracket = rest.startsWith('[') ? bracketed(rest) : undefined;
    const field = fieldPattern.exec(rest);
    if (rest === '.' || rest === '@' || rest === '$') {
      if (rest === '$') steps.push({ kind: 'root' });
      return steps;
    }
    if (rest.startsWith('$') || rest.startsWith('@')) {
      if (rest.startsWith('$')) steps.push({ kind: 'root' });
      rest = rest.slice(1);
    } else if (deep !== null) {
      steps.push({ kind: 'deep', name: unescaped(deep[1] ?? '') });
      rest = rest.slice(deep[0].length);
    } else if (rest.startsWith('.*') || rest.startsWith('.[')) {
      if (rest.startsWith('.*')) steps.push({ kind: 'all' });
      rest = rest.slice(rest.startsWith('.*') ? 2 : 1);
    } else if (bracket !== undefined) {
      steps.push(bracketStep(bracket.inside));
      rest = rest.slice(bracket.length);
    } else if (field !== null) {
      steps.push({ kind: 'field', name: unescaped(field[1] ?? '') });
      rest = rest.slice(field[0].length);
    } else {
      throw bad(`unrecognized character in path ${JSON.stringify(rest)}`);
    }
  }
  return steps;
}

function bracketed(text: string): { readonly inside: string; readonly length: number } {
  let quote = '';
  let depth = 0;
  for (let index = 0; index < text.length; index++) {
    const char = text[index] ?? '';
    if (quote !== '') {
      if (char === quote) quote = '';
    } else if (char === '"' || char === "'") {
      quote = char;
    } else if (char === '[') {
      depth++;
    } else if (char === ']' && --depth === 0) {
      return { inside: text.slice(1, index).trim(), length: index + 1 };
    }
  }
  throw bad('unterminated array');
}

function bracketStep(inside: string): Step {
  if (inside === '*') return { kind: 'all' };
  const parts = splitAtCommas(inside);
  if (parts.length > 1) return { kind: 'union', branches: parts.map((part) => [bracketStep(part)]) };
  const quoted = /^(["'])([\s\S]*)\1$/.exec(inside);
  // Upstream reads it as a path: its dots separate fields, unless they are escaped.
  if (quoted !== null) return { kind: 'union', branches: [parsePath(`.${quoted[2] ?? ''}`)] };
  if (/^-?\d+$/.test(inside)) return { kind: 'index', index: Number(inside) };
  const slice = /^(-?\d*):(-?\d*)(?::(\d+))?$/.exec(inside);
  if (slice !== null) {
    const numberOf = (text: string | undefined): number | undefined => (text ? Number(text) : undefined);
    return { kind: 'slice', from: numberOf(slice[1]), to: numberOf(slice[2]), step: numberOf(slice[3]) ?? 1 };
  }
  const filter = /^\?\(\s*(@\S*?)\s*(?:(==|!=|<=|>=|<|>)\s*([\s\S]+?))?\s*\)$/.exec(inside);
  if (filter === null) throw bad(`invalid array index ${inside}`);
  const [, left = '', operator = 'exists', right = ''] = filter;
  return { kind: 'filter', left: parsePath(left), operator, right: literal(right) };
}

/** Commas in quotes and brackets do not separate. */
function splitAtCommas(text: string): string[] {
  if (text.startsWith('?')) return [text];
  return (text.match(/(?:'[^']*'|"[^"]*"|[^,'"])+/g) ?? [text]).map((part) => part.trim());
}

function literal(text: string): unknown {
  const quoted = /^(["'])([\s\S]*)\1$/.exec(text);
  if (quoted !== null) return quoted[2];
  if (text === 'true' || text === 'false') return text === 'true';
  return text !== '' && Number.isFinite(Number(text)) ? Number(text) : text;
}

function render(nodes: readonly Node[], value: unknown, root: unknown): string {
  return nodes
    .map((node) => {
      if (node.kind === 'text') return node.text;
      const found = walk(node.steps, [value], root);
      if (node.kind === 'path') return found.map(valueText).join(' ');
      return found.map((item) => render(node.body, item, root)).join('');
    })
    .join('');
}

function valueText(value: unknown): string {
  if (value === null || value === undefined) return '';
  return typeof value === 'string' ? value : toJsonLine(value).trimEnd();
}

function walk(steps: readonly Step[], values: readonly unknown[], root: unknown): readonly unknown[] {
  return steps.reduce<readonly unknown[]>(
    (current, step) => current.flatMap((value) => take(step, value, root)),
    values,
  );
}

function take(step: Step, value: unknown, root: unknown): readonly unknown[] {
  switch (step.kind) {
    case 'root':
      return [root];
    case 'field':
      return fieldsOf(value)
        .filter(([name]) => name === step.name)
        .map(([, field]) => field);
    case 'all':
      return Array.isArray(value) ? value : fieldsOf(value).map(([, field]) => field);
    case 'deep':
      return deepFields(value, step.name);
    case 'union':
      return step.branches.flatMap((branch) => walk(branch, [value], root));
    case 'index': {
      const item: unknown = Array.isArray(value) ? value.at(step.index) : undefined;
      return item === undefined ? [] : [item];
    }
    case 'slice':
      return Array.isArray(value) ? value.slice(step.from, step.to).filter((_, index) => index % step.step === 0) : [];
    case 'filter':
      return Array.isArray(value) ? value.filter((item) => passes(step, item, root)) : [];
    default:
      return step satisfies never;
  }
}

function fieldsOf(value: unknown): readonly (readonly [string, unknown])[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)); // upstream's order is a random one
}

function deepFields(value: unknown, name: string): readonly unknown[] {
  const inside: readonly unknown[] = Array.isArray(value) ? value : fieldsOf(value).map(([, field]) => field);
  const here = fieldsOf(value)
    .filter(([key]) => key === name)
    .map(([, field]) => field);
  return [...here, ...inside.flatMap((item) => deepFields(item, name))];
}

function passes(step: Extract<Step, { kind: 'filter' }>, item: unknown, root: unknown): boolean {
  const [left] = walk(step.left, [item], root);
  if (step.operator === 'exists') return left !== undefined;
  if (left === undefined) return false;
  const { right } = step;
  const order = orderOf(left, right);
  const outcomes: Readonly<Record<string, boolean>> = {
    '==': order === 0,
    '!=': order !== 0,
    '<': order < 0,
    '<=': order <= 0,
    '>': order > 0,
    '>=': order >= 0,
  };
  return outcomes[step.operator] ?? false;
}

function orderOf(left: unknown, right: unknown): number {
  if (typeof left === 'number' && typeof right === 'number') return left - right;
  const [a, b] = [valueText(left), valueText(right)];
  return a === b ? 0 : a < b ? -1 : 1;
}
