import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { directoryOwnerPid, lockDirectory } from './directory-lock.ts';

function withDirectory(body: (directory: string, lockFile: string) => void | Promise<void>): () => Promise<void> {
  return async () => {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-lock-'));
    try {
      await body(directory, path.join(directory, 'livelet.lock'));
    } finally {
      fs.rmSync(directory, { recursive: true });
    }
  };
}

test(
  'a directory has one owner at a time, and an error names it',
  withDirectory((directory, lockFile) => {
    assert.equal(directoryOwnerPid(directory), undefined);
    const lock = lockDirectory(directory);
    assert.equal(directoryOwnerPid(directory), process.pid);
    assert.equal(fs.statSync(lockFile).mode & 0o777, 0o600);
    assert.throws(() => lockDirectory(directory), {
      reason: 'Conflict',
      message: `data directory ${directory} is in use by livelet pid ${process.pid}`,
    });
    lock.release();
    assert.equal(directoryOwnerPid(directory), undefined);
    lockDirectory(directory).release();
    assert.deepEqual(fs.readdirSync(directory), []);
  }),
);

test(
  'the lock of another living process holds, and is stale once that was killed, even before anyone waited for it',
  { skip: process.platform === 'linux' ? false : 'elsewhere only the process id tells' },
  withDirectory(async (directory, lockFile) => {
    // The shell does not wait for its child, which so stays a zombie when it is killed.
    const child = spawn('sh', ['-c', 'sleep 60 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      const [line] = await once(child.stdout, 'data');
      const pid = Number(line);
      const startTicks = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[21];
      const bootId = fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
      fs.writeFileSync(lockFile, JSON.stringify({ pid, startTicks, bootId }));
      assert.throws(() => lockDirectory(directory), { reason: 'Conflict', message: new RegExp(`pid ${pid}$`) });
      fs.writeFileSync(lockFile, JSON.stringify({ pid, startTicks: '1', bootId }));
      assert.equal(directoryOwnerPid(directory), undefined, 'the id belongs to another process now');
      fs.writeFileSync(lockFile, JSON.stringify({ pid, startTicks, bootId: 'before the last boot' }));
      assert.equal(directoryOwnerPid(directory), undefined, 'the computer has been started anew');
      fs.writeFileSync(lockFile, JSON.stringify({ pid, startTicks, bootId }));
      process.kill(pid, 'SIGKILL');
      const isZombie = (): boolean => / [ZX] /.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'));
      while (!isZombie()) await new Promise((resolve) => setTimeout(resolve, 5));
      process.kill(pid, 0); // still there, as far as signals go
      lockDirectory(directory).release();
    } finally {
      child.kill('SIGKILL');
      await once(child, 'close');
    }
  }),
);

test(
  'what no process can have written whole is stale',
  withDirectory((directory, lockFile) => {
    for (const text of ['', '{"pid":', 'null', '[]', '{"pid":0}', '{"pid":"x"}', '\0\0\0\0']) {
      fs.writeFileSync(lockFile, text);
      lockDirectory(directory).release();
    }
  }),
);

test(
  'only the owner gives the directory back',
  withDirectory((directory, lockFile) => {
    const lock = lockDirectory(directory);
    fs.writeFileSync(lockFile, 'taken over');
    lock.release();
    assert.equal(fs.readFileSync(lockFile, 'utf8'), 'taken over');
  }),
);

test(
  'a directory that cannot be made or written is an error that names it',
  withDirectory((directory) => {
    const file = path.join(directory, 'file');
    fs.writeFileSync(file, '');
    for (const bad of [file, path.join(file, 'below')]) {
      assert.throws(() => lockDirectory(bad), {
        reason: 'Forbidden',
        message: new RegExp(`^cannot write to data directory ${bad}: E[A-Z]+`),
      });
    }
    const made = path.join(directory, 'a', 'b');
    lockDirectory(made).release();
    assert.equal(fs.statSync(made).mode & 0o777, 0o700);
  }),
);
