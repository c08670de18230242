import type { TerminalSize } from '../cri/runtime.ts';

const textCharsMax = 1_024; // of a size that is not whole yet

/**
 * The sizes of a client's terminal, from the JSON objects that it sends. Only the newest counts: one that was not read
 * in time is forgotten.
 */
export class TerminalSizes implements AsyncIterable<TerminalSize> {
  #text = ''; // begins with an object that is not whole
  #newest: TerminalSize | undefined; // not read yet
  #isEnded = false;
  #wake: () => void = () => {};

  /** A part of the text, cut anywhere. */
  add(bytes: Uint8Array): void {
    const objects = (this.#text + Buffer.from(bytes).toString('latin1')).split('}');
    this.#text = (objects.pop() ?? '').slice(0, textCharsMax);
    for (const object of objects) this.#newest = parse(`${object}}`) ?? this.#newest;
    this.#wake();
  }

  end(): void {
    this.#isEnded = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TerminalSize, void, undefined> {
    for (;;) {
      const size = this.#newest;
      this.#newest = undefined;
      if (size !== undefined) yield size;
      else if (this.#isEnded) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

/** `undefined`: no size, which is passed over as upstream does. Names may be in any case, as in Go. */
function parse(text: string): TerminalSize | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const fields = new Map(Object.entries(value).map(([name, field]) => [name.toLowerCase(), Number(field)]));
  const [width = 0, height = 0] = [fields.get('width'), fields.get('height')];
  const isSize = (cells: number): boolean => Number.isInteger(cells) && cells >= 0 && cells <= 0xffff;
  return isSize(width) && isSize(height) ? { width, height } : undefined;
}
