import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import type { NodeFiles } from '../kubelet/node-files.ts';
import { SimNodeFiles } from '../sim/sim-node-files.ts';
import { HostNodeFiles } from './node-files.ts';

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-files-'));
after(() => fs.rmSync(directory, { recursive: true, force: true }));

const host = new HostNodeFiles();
const sim = new SimNodeFiles();
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** Both versions, each with a fresh directory. */
async function forBoth(name: string, body: (files: NodeFiles, root: string) => Promise<void>): Promise<void> {
  for (const [files, base] of [
    [host, directory],
    [sim, '/tmp'],
  ] as const) {
    const root = `${base}/${name}`;
    await files.makeDirectory(root, 0o755);
    await body(files, root);
  }
}

test('directories, files and their removal', () =>
  forBoth('basics', async (files, root) => {
    await files.makeDirectory(`${root}/a/b`, 0o777);
    await files.makeDirectory(`${root}/a/b`, 0o700);
    await files.write(`${root}/a/b/f`, 'one', 0o600);
    await files.write(`${root}/a/g`, new Uint8Array([65, 66]), 0o644);
    assert.deepEqual(await files.list(`${root}/a`), ['b', 'g']);
    assert.deepEqual(await files.list(`${root}/nowhere`), []);
    assert.equal((await files.stat(`${root}/a/b`))?.kind, 'directory');
    assert.deepEqual(
      [(await files.stat(`${root}/a/g`))?.kind, (await files.stat(`${root}/a/g`))?.sizeBytes],
      ['file', 2],
    );
    assert.equal(await files.stat(`${root}/a/nothing`), undefined);
    await files.remove(`${root}/a`);
    await files.remove(`${root}/a`);
    assert.equal(await files.stat(`${root}/a/b/f`), undefined);
    await assert.rejects(files.write(`${root}/a/f`, '', 0o644), { reason: 'NotFound' });
  }));

test('links are followed, and replaced in one step', () =>
  forBoth('links', async (files, root) => {
    await files.makeDirectory(`${root}/one`, 0o755);
    await files.makeDirectory(`${root}/two`, 0o755);
    await files.write(`${root}/one/f`, '1', 0o644);
    await files.write(`${root}/two/f`, '22', 0o644);
    await files.link('one', `${root}/data`);
    await files.link('data/f', `${root}/f`);
    assert.deepEqual([await files.readLink(`${root}/data`), await files.readLink(`${root}/one`)], ['one', undefined]);
    assert.equal(text(await files.readTail(`${root}/f`, 9)), '1');
    await files.link('two', `${root}/data`);
    assert.equal(text(await files.readTail(`${root}/f`, 9)), '22');
    assert.equal((await files.stat(`${root}/data`))?.kind, 'directory');
    assert.deepEqual(await files.list(root), ['data', 'f', 'one', 'two']);
    await files.remove(`${root}/data`);
    assert.deepEqual(await files.list(`${root}/two`), ['f']);
    assert.equal(await files.stat(`${root}/f`), undefined);
  }));

test('reading ends and pieces; a file stays the same one after a rename', () =>
  forBoth('reading', async (files, root) => {
    await files.write(`${root}/f`, '0123456789', 0o644);
    assert.equal(text(await files.readTail(`${root}/f`, 4)), '6789');
    assert.equal(text(await files.readTail(`${root}/f`, 40)), '0123456789');
    assert.equal((await files.readTail(`${root}/nothing`, 40)).length, 0);
    assert.equal(await files.open(`${root}/nothing`), undefined);
    const open = await files.open(`${root}/f`);
    assert.ok(open !== undefined);
    await files.rename(`${root}/f`, `${root}/old`);
    await files.write(`${root}/f`, 'new', 0o644);
    assert.equal(text(await open.read(2, 3)), '234');
    assert.equal((await open.read(10, 3)).length, 0);
    const identity = (await open.stat()).identity;
    assert.equal((await files.stat(`${root}/old`))?.identity, identity);
    assert.notEqual((await files.stat(`${root}/f`))?.identity, identity);
    await open.close();
    await assert.rejects(files.rename(`${root}/nothing`, `${root}/x`), { reason: 'NotFound' });
  }));

test('emptying a file keeps it in place, which writing does not', () =>
  forBoth('truncate', async (files, root) => {
    await files.write(`${root}/f`, 'abc', 0o644);
    const before = await files.stat(`${root}/f`);
    await files.truncate(`${root}/f`, 0o666);
    const after = await files.stat(`${root}/f`);
    assert.deepEqual([after?.identity, after?.sizeBytes], [before?.identity, 0]);
    await files.truncate(`${root}/new`, 0o666);
    assert.equal((await files.stat(`${root}/new`))?.sizeBytes, 0);
    await files.write(`${root}/f`, 'abc', 0o644);
    assert.notEqual((await files.stat(`${root}/f`))?.identity, before?.identity);
  }));

test('a change is announced; waiting for one can be given up', () =>
  forBoth('changed', async (files, root) => {
    await files.write(`${root}/f`, '', 0o644);
    const end = new AbortController();
    const changed = files.changed(`${root}/f`, end.signal);
    await files.write(`${root}/f`, 'x', 0o644);
    await changed;
    const never = files.changed(`${root}/f`, end.signal);
    const reason = new Error('enough');
    end.abort(reason);
    await assert.rejects(never, reason);
    await assert.rejects(files.changed(`${root}/f`, end.signal), reason);
  }));

test('on this computer modes are as asked for, whatever the umask, and packing makes real gzip', async () => {
  const root = path.join(directory, 'modes');
  const umask = process.umask(0o077);
  try {
    await host.makeDirectory(path.join(root, 'd'), 0o777);
    await host.write(path.join(root, 'd/f'), 'log', 0o644);
    await host.truncate(path.join(root, 'd/t'), 0o666);
  } finally {
    process.umask(umask);
  }
  const modeOf = (name: string): number => fs.statSync(path.join(root, name)).mode & 0o777;
  assert.deepEqual([modeOf('d'), modeOf('d/f'), modeOf('d/t')], [0o777, 0o644, 0o666]);
  await host.gzip(path.join(root, 'd/f'));
  assert.deepEqual(await host.list(path.join(root, 'd')), ['f.gz', 't']);
  assert.equal(gunzipSync(fs.readFileSync(path.join(root, 'd/f.gz'))).toString(), 'log');
});

test('a group is given to files where this process may give them away', async () => {
  const root = path.join(directory, 'groups');
  await host.makeDirectory(root, 0o2777, 2000);
  await host.write(path.join(root, 'f'), 'x', 0o440, 2000);
  const [inDirectory, ofFile] = [fs.statSync(root), fs.statSync(path.join(root, 'f'))];
  assert.equal(inDirectory.mode & 0o7777, 0o2777);
  const mine = process.getuid?.() === 0 ? 2000 : process.getgid?.();
  assert.deepEqual([inDirectory.gid, ofFile.gid, ofFile.mode & 0o777], [mine, mine, 0o440]);
});

test('a file system in memory is mounted once, is not counted as disk, and goes with its directory', async (t) => {
  if (!host.canMountTmpfs) return t.skip('needs the capability to mount file systems');
  return forBoth('memory', async (files, root) => {
    const signal = new AbortController().signal;
    await files.makeDirectory(`${root}/v`, 0o755);
    await files.write(`${root}/v/disk`, 'x'.repeat(5_000), 0o644);
    const options = { sizeBytes: 65_536, mode: 0o777, groupId: undefined };
    await files.mountTmpfs(`${root}/v/mem ory`, options);
    await files.write(`${root}/v/mem ory/f`, 'y'.repeat(30_000), 0o644);
    await files.mountTmpfs(`${root}/v/mem ory`, options);
    assert.deepEqual(await files.list(`${root}/v/mem ory`), ['f']);
    const used = await files.usedBytes(`${root}/v`, signal);
    assert.ok(used >= 5_000 && used < 30_000, `${used}`);
    assert.ok((await files.usedBytes(`${root}/v/mem ory`, signal)) >= 30_000);
    assert.ok((await files.space(root)).capacityBytes > 0);
    await files.remove(`${root}/v`);
    assert.equal(await files.stat(`${root}/v`), undefined);
    assert.ok(!fs.readFileSync('/proc/self/mountinfo', 'utf8').includes(path.join(directory, 'memory')));
  });
});

test('a file system in memory can be mounted where another process sees it, and goes with its directory', async (t) => {
  if (!host.canMountTmpfs) return t.skip('needs the capability to mount file systems');
  const words = ['--mount', '--propagation', 'slave', 'sh', '-c', 'echo ready; exec sleep 100'];
  const child = spawn('unshare', words, { stdio: ['ignore', 'pipe', 'ignore'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  const { pid } = child;
  const mountedFor = (whom: number | 'self'): number =>
    fs.readFileSync(`/proc/${whom}/mountinfo`, 'utf8').split(path.join(directory, 'elsewhere')).length - 1;
  const files = new HostNodeFiles(() => pid);
  const volume = path.join(directory, 'elsewhere/v');
  const options = { sizeBytes: 65_536, mode: 0o777, groupId: undefined };
  await files.mountTmpfs(volume, options);
  await files.mountTmpfs(volume, options);
  assert.deepEqual([mountedFor(pid ?? 0), mountedFor('self')], [1, 0]);
  await files.remove(volume);
  assert.equal(await files.stat(volume), undefined);
  assert.equal(mountedFor(pid ?? 0), 0);
});

test('a directory that the kernel refuses to make is an error, not an endless attempt', async () => {
  await assert.rejects(host.makeDirectory('/proc/livelet/sub', 0o755), /^StatusError: mkdir \/proc\/livelet\/sub/);
});
