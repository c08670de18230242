/** The file that npm links as `livelet`. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

const bin = path.resolve('bin/livelet.js');

function runBin(file: string, preload: string): { code: number | null; stdout: string; stderr: string } {
  const words = preload === '' ? [] : ['--import', `data:text/javascript,${encodeURIComponent(preload)}`];
  const { status, stdout, stderr } = spawnSync(process.execPath, [...words, file, '--version'], { encoding: 'utf8' });
  return { code: status, stdout, stderr };
}

for (const version of ['18.20.4', '20.18.9']) {
  test(`Node.js ${version} is too old, and is told so in one line`, () => {
    const pretend = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } })`;
    assert.deepEqual(runBin(bin, pretend), {
      code: 1,
      stdout: '',
      stderr: `error: livelet needs Node.js 20.19 or newer; this is ${version}\n`,
    });
  });
}

test('a program that is not built says so in one line', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-bin-'));
  fs.mkdirSync(path.join(directory, 'bin'));
  fs.writeFileSync(path.join(directory, 'package.json'), '{"type": "module"}');
  fs.copyFileSync(bin, path.join(directory, 'bin', 'livelet.js'));
  const { code, stdout, stderr } = runBin(path.join(directory, 'bin', 'livelet.js'), '');
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(stderr, /^error: livelet is not built: run .*\n$/);
  fs.rmSync(directory, { recursive: true });
});
