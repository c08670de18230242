import { escapeTerminal, tableLayout, TabWriter } from './tab-writer.ts';

/** `meta.k8s.io/v1` Table, as far as it is printed. */
export interface Table {
  readonly columnDefinitions: readonly TableColumn[];
  readonly rows: readonly TableRow[];
}

export interface TableColumn {
  readonly name: string;
  /** 0: always shown; higher: only in wide output. */
  readonly priority?: number;
}

export interface TableRow {
  readonly cells: readonly unknown[];
  /** Its metadata says namespace and labels. */
  readonly object?: {
    readonly metadata?: {
      readonly name?: string;
      readonly namespace?: string;
      readonly labels?: Readonly<Record<string, string>>;
    };
  };
}

export interface TableOptions {
  readonly wide: boolean;
  readonly noHeaders: boolean;
  /** First column: the namespace. */
  readonly withNamespace: boolean;
  /** Put before each name, e.g. `pod/`. */
  readonly kindPrefix: string;
  readonly showLabels: boolean;
  /** Labels that get a column each. */
  readonly labelColumns: readonly string[];
}

/**
 * Prints tables one after another, as for a list and then its watch events: headers once, columns that never get
 * narrower. Upstream: `HumanReadablePrinter`.
 */
export class TablePrinter {
  readonly #options: TableOptions;
  readonly #tabs = new TabWriter(tableLayout);
  #columns: readonly TableColumn[] = []; // of the last table that had any: those of watch events come without
  #hasHeaders = false; // printed for #columns

  constructor(options: TableOptions) {
    this.#options = options;
  }

  /** The table's text, with what was added before; `eventType`: a first column that says what happened. */
  print(table: Table, eventType?: string): string {
    this.add(table, eventType);
    return this.#tabs.flush();
  }

  /** Keeps the table for the next `print` or `flush`, so that both share their columns' widths. */
  add(table: Table, eventType?: string): void {
    const columns = table.columnDefinitions.length > 0 ? table.columnDefinitions : this.#columns;
    if (!sameColumns(columns, this.#columns)) {
      this.#columns = columns;
      this.#hasHeaders = false;
    }
    if (table.rows.length === 0) return;
    const shown = columns.map((column) => this.#options.wide || (column.priority ?? 0) === 0);
    if (!this.#hasHeaders && !this.#options.noHeaders) {
      const names = columns.filter((_, index) => shown[index]).map((column) => column.name);
      this.#tabs.write(`${this.#headerCells(names, eventType).join('\t')}\n`);
    }
    this.#hasHeaders = true;
    for (const row of table.rows) {
      const cells = columns.map((_, index) => cellText(row.cells[index])).filter((_, index) => shown[index]);
      this.#tabs.write(`${this.#rowCells(row, cells, eventType).join('\t')}\n`);
    }
  }

  flush(): string {
    return this.#tabs.flush();
  }

  #headerCells(names: readonly string[], eventType: string | undefined): string[] {
    const labels = this.#options.labelColumns.map((label) => label.slice(label.lastIndexOf('/') + 1));
    return [
      ...(eventType === undefined ? [] : ['Event']),
      ...(this.#options.withNamespace ? ['Namespace'] : []),
      ...names,
      ...labels,
      ...(this.#options.showLabels ? ['Labels'] : []),
    ].map((name) => name.toUpperCase());
  }

  #rowCells(row: TableRow, cells: readonly string[], eventType: string | undefined): string[] {
    const { namespace = '', labels = {} } = row.object?.metadata ?? {};
    const [name = '', ...rest] = cells;
    return [
      ...(eventType === undefined ? [] : [eventType.padEnd(eventTypeWidth)]),
      ...(this.#options.withNamespace ? [namespace] : []),
      this.#options.kindPrefix + name,
      ...rest,
      ...this.#options.labelColumns.map((label) => labels[label] ?? ''),
      ...(this.#options.showLabels ? [labelsText(labels)] : []),
    ];
  }
}

const eventTypeWidth = 'MODIFIED'.length; // of the longest but for the rare BOOKMARK, so that the column does not move

function sameColumns(a: readonly TableColumn[], b: readonly TableColumn[]): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Cut at the first end of line. */
function cellText(cell: unknown): string {
  if (cell === undefined || cell === null) return '';
  const text = typeof cell === 'string' ? cell : JSON.stringify(cell);
  const end = text.search(/[\f\n\r]/);
  return end < 0 ? escapeTerminal(text) : `${escapeTerminal(text.slice(0, end))}...`;
}

/** `a=b,c=d`, sorted by key; `<none>` without any. */
export function labelsText(labels: Readonly<Record<string, string>>): string {
  const texts = Object.entries(labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`);
  return texts.length === 0 ? '<none>' : texts.join(',');
}
