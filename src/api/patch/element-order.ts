/** What tells the elements of a list apart. */
export type ListKey = (element: unknown) => unknown;

/**
 * The elements of `merged`, put in order: those that `order` names as it has them, the others as the live list had
 * them, each of these before the first named one that it stood before. Upstream: `normalizeElementOrder`.
 */
export function inElementOrder(
  merged: readonly unknown[],
  order: readonly unknown[],
  live: readonly unknown[],
  key: ListKey,
): readonly unknown[] {
  const places = indexByKey(order, key);
  const livePlaces = indexByKey(live, key);
  const named: unknown[] = [];
  const others: unknown[] = [];
  for (const element of merged) (places.has(key(element)) ? named : others).push(element);
  sortByPlace(named, places, key);
  sortByPlace(others, livePlaces, key);
  return interleave(others, named, livePlaces, key);
}

type Places = ReadonlyMap<unknown, number>;

function indexByKey(elements: readonly unknown[], key: ListKey): Places {
  const places = new Map<unknown, number>();
  elements.forEach((element, index) => {
    const value = key(element);
    if (!places.has(value)) places.set(value, index);
  });
  return places;
}

function sortByPlace(elements: unknown[], places: Places, key: ListKey): void {
  elements.sort((a, b) => {
    const left = places.get(key(a));
    const right = places.get(key(b));
    return left === undefined || right === undefined ? 0 : left - right;
  });
}

function interleave(others: readonly unknown[], named: readonly unknown[], live: Places, key: ListKey): unknown[] {
  const result: unknown[] = [];
  let otherIndex = 0;
  for (const element of named) {
    const place = live.get(key(element));
    for (; otherIndex < others.length; otherIndex++) {
      const otherPlace = live.get(key(others[otherIndex]));
      if (place === undefined || otherPlace === undefined || otherPlace > place) break;
      result.push(others[otherIndex]);
    }
    result.push(element);
  }
  return [...result, ...others.slice(otherIndex)];
}
