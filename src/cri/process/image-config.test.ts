import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { readDirectoryImage } from './image-config.ts';

/** What `readDirectoryImage` makes of a directory with these files. */
function read(files: Readonly<Record<string, string>>): ReturnType<typeof readDirectoryImage> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-image-'));
  try {
    for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(directory, name), text);
    return readDirectoryImage(directory);
  } finally {
    fs.rmSync(directory, { recursive: true });
  }
}

test('image.json comes first, then a Dockerfile, then package.json', () => {
  const json = '{"entrypoint": ["a"], "env": {"X": "1"}, "stopSignal": "SIGINT"}';
  const dockerfile = 'FROM node:20\nWORKDIR /w\nCMD ["node", "b.js"]\n';
  const packageJson = '{"main": "c.js"}';
  const first = read({ 'image.json': json, Dockerfile: dockerfile, 'package.json': packageJson });
  assert.deepEqual(first, {
    config: {
      entrypoint: ['a'],
      cmd: [],
      env: [{ key: 'X', value: '1' }],
      workingDir: '/app',
      user: '',
      exposedPorts: [],
      stopSignal: 'SIGINT',
    },
    mountPath: '/app',
    notice: '',
  });
  const second = read({ Dockerfile: dockerfile, 'package.json': packageJson });
  assert.deepEqual([second.config.cmd, second.mountPath], [['node', 'b.js'], '/w']);
  assert.deepEqual(read({ 'package.json': packageJson }).config.cmd, ['node', 'c.js']);
});

test('package.json: the start script, else main, else the usual files', () => {
  assert.deepEqual(read({ 'package.json': '{"scripts": {"start": "x"}, "main": "m.js"}' }).config.cmd, [
    'npm',
    'start',
  ]);
  assert.deepEqual(read({ 'package.json': '{}', 'server.js': '' }).config.cmd, ['node', 'server.js']);
  assert.throws(() => read({ 'package.json': '{}' }), { message: /package\.json does not say what to run$/ });
});

test('what cannot be understood is refused by the name of the file', () => {
  assert.throws(() => read({}), { message: /holds no image\.json, no Dockerfile and no package\.json$/ });
  assert.throws(() => read({ 'image.json': '{' }), { message: /image\.json: / });
  assert.throws(() => read({ 'image.json': '[]' }), { message: /image\.json: expected an object$/ });
  assert.throws(() => read({ 'image.json': '{"cmd": "a"}' }), {
    message: /image\.json: cmd: expected a list of strings$/,
  });
  assert.throws(() => read({ 'image.json': '{"comand": []}' }), { message: /image\.json: unknown field "comand"$/ });
  assert.throws(() => read({ Dockerfile: 'FROM scratch\n' }), { message: /Dockerfile does not say what to run$/ });
});
