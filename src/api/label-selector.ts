import { StatusError } from '../base/status-error.ts';
import { fieldErrorText, type FieldError, invalid, joinErrorTexts } from './field-error.ts';
import { goQuote } from './go-text.ts';
import type { LabelSelector } from './gen/types.ts';
import { labelValueProblems, qualifiedNameProblems } from './names.ts';

/** Which objects are meant, by their labels. Upstream: `labels.Selector`. */
export interface LabelMatcher {
  readonly requirements: readonly LabelRequirement[];
  matches(labels: Readonly<Record<string, string>> | undefined): boolean;
}

export type LabelOperator = 'in' | 'notin' | '=' | '==' | '!=' | 'exists' | '!' | 'gt' | 'lt';

export interface LabelRequirement {
  readonly key: string;
  readonly operator: LabelOperator;
  readonly values: readonly string[];
}

const noLabels: Readonly<Record<string, string>> = {};

function requirementHolds(requirement: LabelRequirement, labels: Readonly<Record<string, string>>): boolean {
  const { key, values } = requirement;
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
  switch (requirement.operator) {
    case 'in':
    case '=':
    case '==':
      return value !== undefined && values.includes(value);
    case 'notin':
    case '!=':
      return value === undefined || !values.includes(value);
    case 'exists':
      return value !== undefined;
    case '!':
      return value === undefined;
    default: {
      if (value === undefined || !/^[+-]?\d+$/.test(value)) return false;
      const difference = BigInt(value) - BigInt(values[0] ?? '0');
      return requirement.operator === 'gt' ? difference > 0n : difference < 0n;
    }
  }
}

function matcherOf(requirements: readonly LabelRequirement[]): LabelMatcher {
  if (requirements.length === 0) return everything;
  return {
    requirements,
    matches: (labels = noLabels) => requirements.every((requirement) => requirementHolds(requirement, labels)),
  };
}

/** Selects all objects. */
export const everything: LabelMatcher = { requirements: [], matches: () => true };
/** Selects none. */
export const nothing: LabelMatcher = { requirements: [], matches: () => false };

/** Exactly these labels (and any others). No labels: everything. */
export function matcherOfLabels(labels: Readonly<Record<string, string>>): LabelMatcher {
  return matcherOf(Object.entries(labels).map(([key, value]) => ({ key, operator: '=', values: [value] })));
}

/** As query parameters have it: `app=web,tier in (a,b),!old`. Upstream: `Selector.String`. */
export function selectorText(matcher: LabelMatcher): string {
  const text = ({ key, operator, values }: LabelRequirement): string => {
    switch (operator) {
      case '!':
        return `!${key}`;
      case 'exists':
        return key;
      case 'in':
      case 'notin':
        return `${key} ${operator} (${[...values].sort().join(',')})`;
      case 'gt':
        return `${key}>${values[0] ?? ''}`;
      case 'lt':
        return `${key}<${values[0] ?? ''}`;
      default:
        return `${key}${operator}${values[0] ?? ''}`;
    }
  };
  const sorted = [...matcher.requirements].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return sorted.map(text).join(',');
}

/** For people: `<none>` if it selects everything, `<error>` if it cannot be read. Upstream: `FormatLabelSelector`. */
export function formatSelector(selector: LabelSelector | undefined): string {
  try {
    const text = selectorText(matcherOfSelector(selector));
    return text === '' ? '<none>' : text;
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    return '<error>';
  }
}

const operatorByWord: Readonly<Record<string, LabelOperator>> = {
  In: 'in',
  NotIn: 'notin',
  Exists: 'exists',
  DoesNotExist: '!',
};

/**
 * The `LabelSelector` of an object; an absent one selects nothing, an empty one everything. Fails with `BadRequest`.
 */
export function matcherOfSelector(selector: LabelSelector | undefined): LabelMatcher {
  if (selector === undefined) return nothing;
  const requirements: LabelRequirement[] = [];
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) {
    requirements.push(checkRequirement(key, '=', [value]));
  }
  for (const { key, operator, values } of selector.matchExpressions ?? []) {
    const known = operatorByWord[operator];
    if (known === undefined) throw badSelector(`${goQuote(operator)} is not a valid label selector operator`);
    requirements.push(checkRequirement(key, known, values ?? []));
  }
  return matcherOf(requirements);
}

function badSelector(message: string): StatusError {
  return new StatusError('BadRequest', message);
}

function keyProblem(key: string, field: string): FieldError | undefined {
  const problems = qualifiedNameProblems(key);
  return problems.length === 0 ? undefined : invalid(field, key, problems.join('; '));
}

/** Upstream: `labels.NewRequirement`. */
function checkRequirement(key: string, operator: LabelOperator, values: readonly string[]): LabelRequirement {
  const errors: FieldError[] = [];
  const badKey = keyProblem(key, 'key');
  if (badKey !== undefined) errors.push(badKey);
  if ((operator === 'in' || operator === 'notin') && values.length === 0) {
    errors.push(invalid('values', values, "for 'in', 'notin' operators, values set can't be empty"));
  }
  if ((operator === 'exists' || operator === '!') && values.length > 0) {
    errors.push(invalid('values', values, 'values set must be empty for exists and does not exist'));
  }
  if (operator === 'gt' || operator === 'lt') {
    values.forEach((value, index) => {
      if (/^[+-]?\d+$/.test(value)) return;
      errors.push(invalid(`values[${index}]`, value, "for 'Gt', 'Lt' operators, the value must be an integer"));
    });
  }
  values.forEach((value, index) => {
    const problems = labelValueProblems(value);
    if (problems.length > 0) errors.push(invalid(`values[${index}][${key}]`, value, problems.join('; ')));
  });
  if (errors.length > 0) throw badSelector(joinErrorTexts(errors.map(fieldErrorText)));
  return { key, operator, values };
}

type TokenKind =
  | 'end'
  | 'identifier'
  | 'error'
  | ')'
  | '('
  | ','
  | '!'
  | '=='
  | '='
  | '>'
  | '<'
  | '!='
  | 'in'
  | 'notin';

interface Token {
  readonly kind: TokenKind;
  readonly text: string;
}

const symbols: ReadonlySet<string> = new Set([')', '(', ',', '!', '==', '=', '>', '<', '!=']);
const symbolChars = '=!(),><';
const spaceChars = ' \t\r\n';

function isSymbol(text: string): text is TokenKind {
  return symbols.has(text);
}

/** The longest run of symbol characters from `at` that begins with a symbol; upstream's lexer, quirks included. */
function readSymbol(text: string, at: number): { readonly token: Token; readonly end: number } {
  let token: Token = { kind: 'error', text: '' };
  let run = '';
  let end = at;
  for (; end < text.length && symbolChars.includes(text.charAt(end)); end++) {
    run += text.charAt(end);
    if (isSymbol(run)) token = { kind: run, text: run };
    else if (token.kind !== 'error') break;
  }
  return { token, end };
}

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < text.length;) {
    const char = text.charAt(at);
    if (spaceChars.includes(char)) at++;
    else if (symbolChars.includes(char)) {
      const { token, end } = readSymbol(text, at);
      tokens.push(token);
      at = end;
    } else {
      let end = at;
      while (end < text.length && !(symbolChars + spaceChars).includes(text.charAt(end))) end++;
      const word = text.slice(at, end);
      tokens.push({ kind: word === 'in' || word === 'notin' ? word : 'identifier', text: word });
      at = end;
    }
  }
  tokens.push({ kind: 'end', text: '' });
  return tokens;
}

/** Walks the tokens; `in` and `notin` are operators only where one is expected. */
interface TokenCursor {
  readonly tokens: readonly Token[];
  at: number;
}

const endToken: Token = { kind: 'end', text: '' };

function peek(cursor: TokenCursor): Token {
  const token = cursor.tokens[cursor.at] ?? endToken;
  return token.kind === 'in' || token.kind === 'notin' ? { kind: 'identifier', text: token.text } : token;
}

function take(cursor: TokenCursor): Token {
  const token = peek(cursor);
  cursor.at++;
  return token;
}

/** Reads `app=web,tier in (a, b),!old`. Fails with `BadRequest` and upstream's text. */
export function parseLabelSelector(text: string): LabelMatcher {
  const cursor: TokenCursor = { tokens: tokensOf(text), at: 0 };
  const requirements: LabelRequirement[] = [];
  for (;;) {
    const token = peek(cursor);
    if (token.kind === 'end') break;
    if (token.kind !== 'identifier' && token.kind !== '!') {
      throw badSelector(`found '${token.text}', expected: !, identifier, or 'end of string'`);
    }
    try {
      requirements.push(parseRequirement(cursor));
    } catch (error) {
      if (error instanceof StatusError) throw badSelector(`unable to parse requirement: ${error.message}`);
      throw error;
    }
    const after = take(cursor);
    if (after.kind === 'end') break;
    if (after.kind !== ',') throw badSelector(`found '${after.text}', expected: ',' or 'end of string'`);
    const next = peek(cursor);
    if (next.kind !== 'identifier' && next.kind !== '!') {
      throw badSelector(`found '${next.text}', expected: identifier after ','`);
    }
  }
  requirements.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return matcherOf(requirements);
}

function parseRequirement(cursor: TokenCursor): LabelRequirement {
  let token = take(cursor);
  const isNegated = token.kind === '!';
  if (isNegated) token = take(cursor);
  if (token.kind !== 'identifier') throw badSelector(`found '${token.text}', expected: identifier`);
  const key = token.text;
  const badKey = keyProblem(key, '<nil>');
  if (badKey !== undefined) throw badSelector(fieldErrorText(badKey));
  const next = peek(cursor);
  if (isNegated) return checkRequirement(key, '!', []);
  if (next.kind === 'end' || next.kind === ',') return checkRequirement(key, 'exists', []);
  const operator = parseOperator(cursor);
  const values = operator === 'in' || operator === 'notin' ? parseValues(cursor) : [parseExactValue(cursor)];
  return checkRequirement(key, operator, [...new Set(values)].sort());
}

function parseOperator(cursor: TokenCursor): LabelOperator {
  const token = cursor.tokens[cursor.at] ?? endToken;
  cursor.at++;
  switch (token.kind) {
    case 'in':
    case 'notin':
    case '=':
    case '==':
    case '!=':
      return token.kind;
    case '>':
      return 'gt';
    case '<':
      return 'lt';
    default:
      throw badSelector(`found '${token.text}', expected: in, notin, =, ==, !=, gt, lt`);
  }
}

function parseExactValue(cursor: TokenCursor): string {
  const { kind } = peek(cursor);
  if (kind === 'end' || kind === ',') return '';
  const token = take(cursor);
  if (token.kind === 'identifier') return token.text;
  throw badSelector(`found '${token.text}', expected: identifier`);
}

function parseValues(cursor: TokenCursor): string[] {
  const open = take(cursor);
  if (open.kind !== '(') throw badSelector(`found '${open.text}' expected: '('`);
  const first = peek(cursor);
  if (first.kind === ')') {
    take(cursor);
    return [''];
  }
  if (first.kind !== 'identifier' && first.kind !== ',') {
    throw badSelector(`found '${first.text}', expected: ',', ')' or identifier`);
  }
  const values: string[] = [];
  for (;;) {
    const token = take(cursor);
    const next = peek(cursor);
    if (token.kind === 'identifier') {
      values.push(token.text);
      if (next.kind === ')') break;
      if (next.kind !== ',') throw badSelector(`found '${next.text}', expected: ',' or ')'`);
    } else if (token.kind === ',') {
      if (values.length === 0) values.push('');
      if (next.kind === ')' || next.kind === ',') values.push('');
      if (next.kind === ')') break;
      if (next.kind === ',') take(cursor);
    } else throw badSelector(`found '${token.text}', expected: ',', or identifier`);
  }
  take(cursor); // the closing parenthesis that was seen
  return values;
}
