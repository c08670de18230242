/**
 * Kubernetes quantities (`100m`, `64Mi`, `1e3`), exact: amounts are whole numbers of billionths. Finer amounts are
 * rounded away from zero, binary ones above 2^63 - 1 are cut to it, as upstream does. Upstream: `resource.Quantity`.
 */
export interface Quantity {
  /** In billionths (nano). */
  readonly nanos: bigint;
  readonly format: 'decimal' | 'binary' | 'exponent';
}

/** Upstream's errors. */
export const quantityErrors = {
  format: "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
  suffix: "unable to parse quantity's suffix",
} as const;

const nano = 1_000_000_000n;
const amountMax = (1n << 63n) - 1n;
const decimalSuffixes = ['n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E']; // 10^-9, 10^-6, ... 10^18
const binarySuffixes = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei']; // 1024^0, 1024^1, ...
const syntax = /^([+-]?)(\d*)(?:\.(\d*))?([eEinumkKMGTP]*[-+]?\d*)$/;
const exponentMax = 40; // beyond it no amount means anything, and big numbers would only cost time

interface Scale {
  readonly format: Quantity['format'];
  /** Amount of one, as a power of ten, or (binary) of 1024. */
  readonly power: number;
}

function scaleOf(suffix: string): Scale | undefined {
  const decimal = decimalSuffixes.indexOf(suffix);
  if (decimal >= 0) return { format: 'decimal', power: decimal * 3 - 9 };
  const binary = binarySuffixes.indexOf(suffix);
  if (binary > 0) return { format: 'binary', power: binary };
  if (suffix.length > 1 && /^[eE][-+]?\d+$/.test(suffix)) return { format: 'exponent', power: Number(suffix.slice(1)) };
  return undefined;
}

/** `numerator / denominator` rounded away from zero (both are positive). */
function divideUp(numerator: bigint, denominator: bigint): bigint {
  return (numerator + denominator - 1n) / denominator;
}

/** Reads a quantity; a failure is one of `quantityErrors`. */
export function parseQuantity(text: string): Quantity | { readonly error: string } {
  const match = text === '' ? null : syntax.exec(text);
  if (match === null) return { error: quantityErrors.format };
  const [, sign = '', whole = '', fraction = '', suffix = ''] = match;
  const scale = scaleOf(suffix);
  if (scale === undefined) return { error: quantityErrors.suffix };
  const digits = BigInt(whole + fraction); // of '' it is 0: upstream reads `k` and `-` as zero too
  let nanos: bigint;
  if (scale.format === 'binary') {
    nanos = divideUp(digits * nano * 1024n ** BigInt(scale.power), 10n ** BigInt(fraction.length));
    if (nanos > amountMax * nano) nanos = amountMax * nano;
  } else {
    const power = Math.max(-exponentMax, Math.min(exponentMax, scale.power)) - fraction.length + 9;
    nanos = power >= 0 ? digits * 10n ** BigInt(power) : divideUp(digits, 10n ** BigInt(-power));
  }
  return { nanos: sign === '-' ? -nanos : nanos, format: scale.format };
}

/** Reads a quantity that is known to be well-formed (decoded, or made here); anything else counts as zero. */
export function quantityOf(text: string | undefined): Quantity {
  if (text === undefined) return zeroQuantity;
  const parsed = parseQuantity(text);
  return 'error' in parsed ? zeroQuantity : parsed;
}

export const zeroQuantity: Quantity = { nanos: 0n, format: 'decimal' };

export function compareQuantities(a: Quantity, b: Quantity): -1 | 0 | 1 {
  return a.nanos < b.nanos ? -1 : a.nanos > b.nanos ? 1 : 0;
}

/** The sum, in the format of `a` (of `b` if `a` is zero). */
export function addQuantities(a: Quantity, b: Quantity): Quantity {
  return { nanos: a.nanos + b.nanos, format: a.nanos === 0n ? b.format : a.format };
}

/** Whole units, rounded up. Upstream: `Value`. */
export function quantityValue(quantity: Quantity): number {
  return Number(roundUp(quantity.nanos, nano));
}

/** Thousandths, rounded up. Upstream: `MilliValue`. */
export function quantityMilliValue(quantity: Quantity): number {
  return Number(roundUp(quantity.nanos, 1_000_000n));
}

function roundUp(nanos: bigint, unit: bigint): bigint {
  return nanos >= 0n ? divideUp(nanos, unit) : -divideUp(-nanos, unit);
}

/** Canonical form: no fraction, the largest suffix that leaves none. Upstream: `Quantity.String`. */
export function formatQuantity(quantity: Quantity): string {
  const { nanos } = quantity;
  if (nanos === 0n) return '0';
  const isWhole = nanos % nano === 0n;
  const size = nanos < 0n ? -nanos : nanos;
  if (quantity.format === 'binary' && isWhole && size >= 1024n * nano) {
    let amount = nanos / nano;
    let power = 0;
    for (; amount % 1024n === 0n && power < binarySuffixes.length - 1; power++) amount /= 1024n;
    return `${amount}${binarySuffixes[power] ?? ''}`;
  }
  let amount = nanos;
  let power = -9;
  for (; amount % 1000n === 0n && power < 18; power += 3) amount /= 1000n;
  if (quantity.format === 'exponent') return power === 0 ? String(amount) : `${amount}e${power}`;
  return `${amount}${decimalSuffixes[(power + 9) / 3] ?? ''}`;
}

const canonicalCacheMax = 1_000; // texts seen lately: pods ask for few different amounts
const canonicalByText = new Map<string, string>();

/**
 * Upstream keeps the text as it came if it looks canonical at a glance; so `1.500` stays, though `1500m` is meant.
 */
function keepsItsText(text: string): boolean {
  const [, , whole = '', fraction = '', suffix = ''] = syntax.exec(text) ?? [];
  const scale = scaleOf(suffix);
  const digits = whole.replace(/^0+/, '') + fraction;
  if (scale === undefined || digits === '') return false;
  if (scale.format === 'binary') {
    const isShort = digits.length + 1 + Math.floor(scale.power * 3) <= 15;
    return isShort && fraction === '' && Number(digits) % 8 !== 0;
  }
  const power = scale.power - fraction.length;
  const startsWithDigit = digits.length > fraction.length && digits.length <= 18;
  return startsWithDigit && power >= -9 && power % 3 === 0 && !digits.endsWith('000');
}

/** What upstream writes for a text that it read; a failure is one of `quantityErrors`. Fast for texts seen before. */
export function canonicalQuantity(text: string): { readonly text: string } | { readonly error: string } {
  const known = canonicalByText.get(text);
  if (known !== undefined) return { text: known };
  const trimmed = text.trim();
  const parsed = parseQuantity(trimmed);
  if ('error' in parsed) return parsed;
  const canonical = keepsItsText(trimmed) ? trimmed : formatQuantity(parsed);
  if (canonicalByText.size >= canonicalCacheMax) canonicalByText.clear();
  canonicalByText.set(text, canonical);
  return { text: canonical };
}
