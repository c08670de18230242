import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseFlags, type Flag } from './flags.ts';

const flags: readonly Flag[] = [
  { name: 'namespace', short: 'n', kind: 'string', help: '' },
  { name: 'watch', short: 'w', kind: 'bool', help: '' },
  { name: 'all-namespaces', short: 'A', kind: 'bool', help: '' },
  { name: 'wait', kind: 'bool', fallback: true, help: '' },
  { name: 'filename', short: 'f', kind: 'strings', help: '' },
  { name: 'tail', kind: 'int', fallback: -1, help: '' },
  { name: 'since', kind: 'duration', help: '' },
  { name: 'dry-run', kind: 'string', fallback: 'none', alone: 'unchanged', help: '' },
];
const parse = (line: string) => parseFlags(flags, line.split(' '));

test('a value may follow, be glued on, or stand after an equals sign', () => {
  for (const line of ['-n x', '-nx', '-n=x', '--namespace x', '--namespace=x']) {
    assert.equal(parse(line).values.string('namespace'), 'x', line);
  }
});

test('a bool takes no value but after an equals sign, so that the next word stays an argument', () => {
  const { values, args } = parse('--watch pod');
  assert.deepEqual([values.bool('watch'), args], [true, ['pod']]);
  assert.equal(parse('--wait=false x').values.bool('wait'), false);
  assert.equal(parse('x').values.bool('wait'), true);
  assert.equal(parse('-w=0').values.bool('watch'), false);
});

test('short flags may be joined, the last one with its value', () => {
  const { values } = parse('-wAn kube-system');
  assert.deepEqual(
    [values.bool('watch'), values.bool('all-namespaces'), values.string('namespace')],
    [true, true, 'kube-system'],
  );
});

test('lists are repeated and split at commas, a single value is the last one', () => {
  const { values } = parse('-f a,b --filename=c -n x -n y');
  assert.deepEqual([values.strings('filename'), values.string('namespace')], [['a', 'b', 'c'], 'y']);
});

test('flags and arguments mix, a dash is an argument, and two dashes end the flags', () => {
  assert.deepEqual(parse('get -n x po - -- -w --nosuch').args, ['get', 'po', '-', '-w', '--nosuch']);
});

test('a flag with a value of its own may stand alone', () => {
  assert.equal(parse('--dry-run x').values.string('dry-run'), 'unchanged');
  assert.equal(parse('--dry-run=server').values.string('dry-run'), 'server');
  assert.equal(parse('x').values.string('dry-run'), 'none');
});

test('numbers and durations are read, and have their defaults', () => {
  const { values } = parse('--tail=20 --since=1m30s');
  assert.deepEqual([values.int('tail'), values.durationMs('since')], [20, 90_000]);
  assert.deepEqual([parse('x').values.int('tail'), parse('x').values.durationMs('since')], [-1, 0]);
});

for (const [line, message] of [
  ['--foo', 'unknown flag: --foo'],
  ['-wZ', "unknown shorthand flag: 'Z' in -Z"],
  ['-n', "flag needs an argument: 'n' in -n"],
  ['--namespace', 'flag needs an argument: --namespace'],
  ['--tail=abc', 'invalid argument "abc" for "--tail" flag: strconv.ParseInt: parsing "abc": invalid syntax'],
  ['--watch=zz', 'invalid argument "zz" for "-w, --watch" flag: strconv.ParseBool: parsing "zz": invalid syntax'],
  ['--since=5', 'invalid argument "5" for "--since" flag: time: missing unit in duration "5"'],
  ['--since=x', 'invalid argument "x" for "--since" flag: time: invalid duration "x"'],
  ['--=x', 'bad flag syntax: --=x'],
] as const) {
  test(`${line} is refused as kubectl refuses it`, () => {
    assert.throws(() => parse(line), { message });
  });
}
