import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeLayout, escapeTerminal, tableLayout, TabWriter } from './tab-writer.ts';

function laidOut(text: string): string {
  const writer = new TabWriter(describeLayout);
  writer.write(text);
  return writer.flush();
}

test('a column is as wide as its widest cell and two spaces', () => {
  assert.equal(laidOut('a\tb\nlong\tc\n'), 'a     b\nlong  c\n');
});

test('a line without a tab ends the column, so that widths differ above and below it', () => {
  assert.equal(laidOut('a\tb\nArgs:\nlong\tc\n'), 'a  b\nArgs:\nlong  c\n');
});

test('text after the last tab is never padded, and trailing empty cells are', () => {
  assert.equal(laidOut('a\tb\t\nlonger\tc\td\n'), 'a       b  \nlonger  c  d\n');
});

test('inner columns are only as long as the run of lines that have them', () => {
  assert.equal(laidOut('a\tb\tc\na\tbbbb\na\tb\tc\n'), 'a  b  c\na  bbbb\na  b  c\n');
});

test('an empty cell takes only its padding', () => {
  assert.equal(laidOut('a\t\tb\nc\t\td\n'), 'a    b\nc    d\n');
});

test('characters are counted, not bytes', () => {
  assert.equal(laidOut('é\tb\nlo\tc\n'), 'é   b\nlo  c\n');
});

test('columns of a table are at least six wide and never get narrower from flush to flush', () => {
  const writer = new TabWriter(tableLayout);
  writer.write('A\tB\nlong-name\t1\n');
  assert.equal(writer.flush(), 'A           B\nlong-name   1\n');
  writer.write('x\t2\n');
  assert.equal(writer.flush(), 'x           2\n');
  writer.write('a-much-longer-name\t3\n');
  assert.equal(writer.flush(), 'a-much-longer-name   3\n');
});

test('escape sequences of a server do not reach the terminal', () => {
  assert.equal(escapeTerminal('\u001B[31mred\rx'), String.raw`^[[31mred\rx`);
});
