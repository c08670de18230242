/**
 * Sets of completion indexes as a Job's status and success policy write them, `0-2,5`. Pure. Upstream:
 * `orderedIntervals`.
 */

export interface IndexRange {
  readonly first: number;
  readonly last: number;
}

/** In rising order, with a gap between any two. */
export type IndexRanges = readonly IndexRange[];

/**
 * Forgiving, for what has been validated or written by another version: what is no range is left out, and so is what
 * is not below `completions`. Upstream: `parseIndexesFromString`.
 */
export function parseIndexRanges(text: string, completions: number): IndexRanges {
  const ranges: IndexRange[] = [];
  for (const part of text.split(',')) {
    const limits = part.split('-').map(parseIndex);
    const [first, last] = limits.length > 1 ? limits : [limits[0], limits[0]];
    if (first === undefined || last === undefined || first >= completions) continue;
    ranges.push({ first, last: Math.min(last, completions - 1) });
  }
  return mergeIndexRanges([], ranges);
}

/** Two indexes in a row are two, three are a range. */
export function formatIndexRanges(ranges: IndexRanges): string {
  return ranges
    .map(({ first, last }) => {
      if (first === last) return String(first);
      return `${first}${last === first + 1 ? ',' : '-'}${last}`;
    })
    .join(',');
}

/** Of single indexes, in any order. */
export function rangesOfIndexes(indexes: Iterable<number>): IndexRanges {
  const singles = [...new Set(indexes)].sort((a, b) => a - b).map((index) => ({ first: index, last: index }));
  return mergeIndexRanges([], singles);
}

export function mergeIndexRanges(a: IndexRanges, b: IndexRanges): IndexRanges {
  const merged: { first: number; last: number }[] = [];
  for (const { first, last } of [...a, ...b].sort((one, other) => one.first - other.first)) {
    const before = merged.at(-1);
    if (before === undefined || first > before.last + 1) merged.push({ first, last });
    else before.last = Math.max(before.last, last);
  }
  return merged;
}

export function countIndexes(ranges: IndexRanges): number {
  return ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
}

export function hasIndex(ranges: IndexRanges, index: number): boolean {
  let [low, high] = [0, ranges.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ranges[middle]?.last ?? 0) >= index) high = middle;
    else low = middle + 1;
  }
  return (ranges[low]?.first ?? Number.POSITIVE_INFINITY) <= index;
}

/** How many indexes are in both. */
export function countShared(a: IndexRanges, b: IndexRanges): number {
  let [shared, atA, atB] = [0, 0, 0];
  for (;;) {
    const [ofA, ofB] = [a[atA], b[atB]];
    if (ofA === undefined || ofB === undefined) return shared;
    shared += Math.max(0, Math.min(ofA.last, ofB.last) - Math.max(ofA.first, ofB.first) + 1);
    if (ofA.last <= ofB.last) atA += 1;
    if (ofB.last <= ofA.last) atB += 1;
  }
}

/** The lowest `count` indexes below `completions` that are not in `taken`. */
export function firstFreeIndexes(taken: IndexRanges, count: number, completions: number): readonly number[] {
  const free: number[] = [];
  let candidate = 0;
  const addUntil = (end: number): void => {
    for (; candidate < end && free.length < count; candidate++) free.push(candidate);
  };
  for (const { first, last } of taken) {
    addUntil(Math.min(first, completions));
    candidate = Math.max(candidate, last + 1);
  }
  addUntil(completions);
  return free;
}

/** As Go's `Atoi`, without a sign; `undefined`: it is none. */
function parseIndex(text: string): number | undefined {
  return /^\d+$/.test(text) ? Number(text) : undefined;
}

export type CheckedRanges =
  | { readonly kind: 'fine'; readonly ranges: IndexRanges; readonly total: number }
  /** In upstream's words. */
  | { readonly kind: 'wrong'; readonly problem: string };

/** Strict, for what a client writes. Upstream: `validateIndexesFormat`. */
export function checkIndexRanges(text: string, completions: number): CheckedRanges {
  const ranges: IndexRange[] = [];
  if (text === '') return { kind: 'fine', ranges, total: 0 };
  for (const part of text.split(',')) {
    const range = checkRange(part, completions);
    if (typeof range === 'string') return { kind: 'wrong', problem: range };
    const before = ranges.at(-1);
    if (before !== undefined && before.last >= range.first) {
      return { kind: 'wrong', problem: notRising(before.last, range.first) };
    }
    ranges.push(range);
  }
  return { kind: 'fine', ranges, total: countIndexes(ranges) };
}

/** One range, or what is wrong with it. Upstream: `parseIndexInterval`. */
export function checkRange(text: string, completions: number): IndexRange | string {
  const limits = text.split('-');
  if (limits.length > 2) {
    return `the fragment "${text}" violates the requirement that an index interval can have at most two parts separated by '-'`;
  }
  const indexes: number[] = [];
  for (const limit of limits) {
    const index = parseIndex(limit);
    if (index === undefined) return `cannot convert string to integer for index: "${limit}"`;
    if (index >= completions) return `too large index: "${limit}"`;
    indexes.push(index);
  }
  const [first = 0, last] = indexes;
  if (last !== undefined && first >= last) return notRising(first, last);
  return { first, last: last ?? first };
}

function notRising(previous: number, current: number): string {
  return `non-increasing order, previous: ${previous}, current: ${current}`;
}
