/**
 * Lays out text whose cells end in tabs, as Go's `text/tabwriter` does for kubectl. A column is a run of consecutive
 * lines that have a tab-terminated cell at that place; its width is that of its widest cell plus the padding. Text
 * after the last tab of a line belongs to no column, so it is never padded.
 */
export interface TabWriterOptions {
  /** Least width of a column, padding included. */
  readonly widthMin: number;
  /** Spaces after the widest cell. */
  readonly padding: number;
  /** Columns never get narrower from one flush to the next. */
  readonly remembersWidths: boolean;
}

/** What `kubectl describe` uses. */
export const describeLayout: TabWriterOptions = { widthMin: 0, padding: 2, remembersWidths: false };
/** What `kubectl get` and other tables use. */
export const tableLayout: TabWriterOptions = { widthMin: 6, padding: 3, remembersWidths: true };

export class TabWriter {
  readonly #options: TabWriterOptions;
  readonly #rememberedWidths: number[] = []; // by column, only ever growing
  #pending = ''; // written, not yet laid out

  constructor(options: TabWriterOptions) {
    this.#options = options;
  }

  write(text: string): void {
    this.#pending += text;
  }

  /** Everything written since the last flush, laid out. Columns do not reach over a flush. */
  flush(): string {
    const lines = this.#pending.split('\n').map((line) => line.split('\t'));
    this.#pending = '';
    const out: string[] = [];
    this.#layOut(lines, 0, lines.length, [], out);
    return out.join('\n');
  }

  /** Lays out the lines [from, to), whose first `widths.length` columns are settled. */
  #layOut(
    lines: readonly (readonly string[])[],
    from: number,
    to: number,
    widths: readonly number[],
    out: string[],
  ): void {
    const column = widths.length;
    const hasColumn = (index: number): boolean => (lines[index]?.length ?? 0) - 1 > column;
    let next = from;
    while (next < to) {
      if (!hasColumn(next)) {
        out.push(paddedLine(lines[next] ?? [], widths));
        next++;
        continue;
      }
      let blockEnd = next;
      let width = Math.max(this.#options.widthMin, this.#rememberedWidths[column] ?? 0);
      while (blockEnd < to && hasColumn(blockEnd)) {
        width = Math.max(width, widthOf(lines[blockEnd]?.[column] ?? '') + this.#options.padding);
        blockEnd++;
      }
      if (this.#options.remembersWidths) this.#rememberedWidths[column] = width;
      this.#layOut(lines, next, blockEnd, [...widths, width], out);
      next = blockEnd;
    }
  }
}

function paddedLine(cells: readonly string[], widths: readonly number[]): string {
  return cells
    .map((cell, index) => {
      const width = index < cells.length - 1 ? widths[index] : undefined;
      return width === undefined ? cell : cell + ' '.repeat(Math.max(0, width - widthOf(cell)));
    })
    .join('');
}

/** In code points, as Go counts. */
function widthOf(text: string): number {
  let width = 0;
  for (const _ of text) width++;
  return width;
}

/** Makes text from a server harmless on a terminal. Upstream: `printers.WriteEscaped`. */
export function escapeTerminal(text: string): string {
  return text.replaceAll('\u001B', '^[').replaceAll('\r', String.raw`\r`);
}
