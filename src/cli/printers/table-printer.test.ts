import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { TablePrinter, type Table, type TableOptions } from './table-printer.ts';

const plain: TableOptions = {
  wide: false,
  noHeaders: false,
  withNamespace: false,
  kindPrefix: '',
  showLabels: false,
  labelColumns: [],
};
const table: Table = {
  columnDefinitions: [{ name: 'Name' }, { name: 'Ready' }, { name: 'IP', priority: 1 }],
  rows: [
    { cells: ['web', '1/1', '10.0.0.1'], object: { metadata: { namespace: 'a', labels: { b: '2', a: '1' } } } },
    { cells: ['db-0', '0/1', null], object: { metadata: { namespace: 'b' } } },
  ],
};

/** The recorded lines, taken apart again: cells of these tables hold no two spaces in a row. */
function recorded(lines: readonly string[]): Table['rows'] {
  return lines.map((line) => ({ cells: line.split(/ {2,}/) }));
}

test('what kubectl printed of a watch comes out again, line by line, from its cells alone', () => {
  const text = fs.readFileSync('test/data/goldens/get-watch.txt', 'utf8');
  const [header = '', ...lines] = text.trimEnd().split('\n');
  const columnDefinitions = header.split(/ {2,}/).map((name) => ({ name }));
  const firstListCount = 9; // then each line came as an event of its own
  const printer = new TablePrinter(plain);
  let printed = printer.print({ columnDefinitions, rows: recorded(lines.slice(0, firstListCount)) });
  for (const line of lines.slice(firstListCount)) {
    printed += printer.print({ columnDefinitions: [], rows: recorded([line]) });
  }
  assert.equal(printed, text);
});

test('wide tables come out again too', () => {
  const text = fs.readFileSync('test/data/goldens/get-wide.txt', 'utf8');
  const [header = '', ...lines] = text.trimEnd().split('\n');
  const names = header.split(/ {2,}/);
  const columnDefinitions = names.map((name, index) => ({ name, priority: index > 4 ? 1 : 0 }));
  assert.equal(new TablePrinter({ ...plain, wide: true }).print({ columnDefinitions, rows: recorded(lines) }), text);
});

test('columns of a higher priority are for wide output only', () => {
  assert.equal(new TablePrinter(plain).print(table), 'NAME   READY\nweb    1/1\ndb-0   0/1\n');
  assert.equal(
    new TablePrinter({ ...plain, wide: true }).print(table),
    'NAME   READY   IP\nweb    1/1     10.0.0.1\ndb-0   0/1     \n',
  );
});

test('namespace, kind, labels and event types are put around the columns', () => {
  const options = { ...plain, withNamespace: true, kindPrefix: 'pod/', showLabels: true, labelColumns: ['x/b'] };
  assert.equal(
    new TablePrinter(options).print(table, 'ADDED'),
    'EVENT      NAMESPACE   NAME       READY   B     LABELS\n' +
      'ADDED      a           pod/web    1/1           a=1,b=2\n' +
      'ADDED      b           pod/db-0   0/1           <none>\n',
  );
});

test('headers are printed once, and again when the columns change', () => {
  const printer = new TablePrinter(plain);
  printer.print(table);
  assert.equal(printer.print(table), 'web    1/1\ndb-0   0/1\n');
  assert.equal(printer.print({ columnDefinitions: [{ name: 'Other' }], rows: [{ cells: ['x'] }] }), 'OTHER\nx\n');
});

test('a table without rows prints nothing, not even headers', () => {
  assert.equal(new TablePrinter(plain).print({ ...table, rows: [] }), '');
});

test('a cell ends at its first end of line', () => {
  const rows = [{ cells: ['a\nb', 7] }];
  assert.equal(new TablePrinter({ ...plain, noHeaders: true }).print({ ...table, rows }), 'a...   7\n');
});
