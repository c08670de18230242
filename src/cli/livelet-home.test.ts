import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { CliError } from './cli-error.ts';
import { parseFlags, type FlagValues } from './flags.ts';
import {
  dataDirFlag,
  dataDirOf,
  findRunning,
  isSameProcess,
  liveletHome,
  makeDataDir,
  removePidFile,
  startTicksOf,
  writePidFile,
} from './livelet-home.ts';

test('the home is $LIVELET_HOME, else .livelet of the user', () => {
  assert.equal(liveletHome({ LIVELET_HOME: '/x' }, '/home/u'), '/x');
  assert.equal(liveletHome({ LIVELET_HOME: '' }, '/home/u'), '/home/u/.livelet');
});

test('an empty --data-dir is a mistake, not the home', () => {
  const flagsOf = (...words: string[]): FlagValues => parseFlags([dataDirFlag], words).values;
  const io = { env: {}, homeDir: '/home/u' };
  assert.equal(dataDirOf(flagsOf(), io), '/home/u/.livelet');
  assert.equal(dataDirOf(flagsOf('--data-dir', '/x/../y'), io), '/y');
  assert.throws(() => dataDirOf(flagsOf('--data-dir', ''), io), { message: '--data-dir names no directory' });
});

test('a pid file names the cluster only as long as its very process lives', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-home-'));
  const running = {
    pid: process.pid,
    startTicks: startTicksOf(process.pid),
    startedAt: '2026-01-01T00:00:00Z',
    url: 'https://127.0.0.1:1',
    nodeName: 'n',
    runtime: 'process',
    kubeconfigPath: path.join(directory, 'kubeconfig'),
  };
  assert.equal(findRunning(directory), undefined);
  writePidFile(directory, running);
  assert.deepEqual(findRunning(directory), running);
  assert.equal(fs.statSync(path.join(directory, 'livelet.pid')).mode & 0o777, 0o600);
  writePidFile(directory, { ...running, startTicks: '1' }); // another process with the same number
  assert.equal(findRunning(directory), undefined);
  fs.writeFileSync(path.join(directory, 'livelet.pid'), '{broken');
  assert.equal(findRunning(directory), undefined);
  removePidFile(directory);
  assert.deepEqual(fs.readdirSync(directory), []);
  fs.rmSync(directory, { recursive: true });
});

test('a process that is not there is not running', () => {
  assert.equal(isSameProcess({ pid: 2 ** 22 + 1, startTicks: '' }), false); // above the largest number of Linux
});

test('a data directory is made with those above it, and one that cannot be made is one clear line', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-home-'));
  makeDataDir(path.join(directory, 'a', 'b'));
  assert.equal(fs.statSync(path.join(directory, 'a', 'b')).mode & 0o777, 0o700);
  fs.writeFileSync(path.join(directory, 'file'), '');
  for (const wrong of [path.join(directory, 'file', 'below'), '/proc/livelet']) {
    assert.throws(
      () => makeDataDir(wrong),
      (error) =>
        error instanceof CliError && error.message.startsWith(`the data directory ${wrong} cannot be written: `),
    );
  }
  fs.rmSync(directory, { recursive: true });
});
