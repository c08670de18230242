import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { HostClock } from '../../host/host-clock.ts';
import { loadNative, spawnOnTerminal } from './terminal.ts';

test('what says which package is missing is the error of whoever asks for a terminal', () => {
  assert.throws(() => loadNative('no-such-package'), {
    name: 'StatusError',
    reason: 'ServiceUnavailable',
    message: `tty: true needs the npm package @lydell/node-pty, which is not installed or has nothing for ${process.platform}-${process.arch}: install livelet with its optional dependencies`,
  });
});

// The way of the systems that have no setsid(1).
test('a program on a terminal of the package’s own reads, writes, is resized and ends', async () => {
  const script = 'read a; stty size; echo "[$a]" >&2; read b; exit 3';
  const spawned = await spawnOnTerminal(new HostClock(), {
    words: ['sh', '-c', script],
    cwd: '/',
    env: { PATH: '/usr/bin:/bin' },
  });
  let seen = '';
  spawned.stdout.on('data', (bytes: Buffer) => (seen += bytes.toString()));
  spawned.terminal?.resize({ width: 90, height: 30 });
  spawned.terminal?.resize({ width: 0, height: 70_000 }); // no size
  spawned.stdin?.write('one\n');
  while (!seen.includes('[one]')) await once(spawned.stdout, 'data');
  assert.ok(seen.includes('30 90\r\n'), seen);
  spawned.stdin?.write('two\n');
  assert.equal(await spawned.exited, 3);
});
