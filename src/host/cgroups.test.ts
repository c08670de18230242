import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { HostCgroups, mountedHierarchies } from './cgroups.ts';

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-cgroups-'));
after(() => fs.rmSync(directory, { recursive: true, force: true }));

const limits = { cpuShares: 1_024, cpuQuotaMicros: 50_000, cpuPeriodMicros: 100_000, memoryLimitBytes: 67_108_864 };

test('the hierarchies that are mounted, each once', () => {
  const hybrid = [
    '31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755',
    '32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:5 - cgroup cgroup rw,cpu,cpuacct',
    '33 31 0:29 / /somewhere/else rw - cgroup cgroup rw,cpu,cpuacct',
    '40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd',
    '41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw',
  ];
  assert.deepEqual(mountedHierarchies(hybrid.join('\n')), [
    { mountpoint: '/sys/fs/cgroup/cpu,cpuacct', version: 1, controllers: ['cpu', 'cpuacct'] },
    { mountpoint: '/sys/fs/cgroup/systemd', version: 1, controllers: ['name=systemd'] },
    { mountpoint: '/sys/fs/cgroup/unified', version: 2, controllers: [] },
  ]);
});

test('version 2: controllers are handed on from above, shares become weights', async () => {
  const mountpoint = path.join(directory, 'unified');
  for (const group of ['', 'kubepods']) {
    fs.mkdirSync(path.join(mountpoint, group), { recursive: true });
    fs.writeFileSync(path.join(mountpoint, group, 'cgroup.controllers'), 'cpu memory rdma\n');
    fs.writeFileSync(path.join(mountpoint, group, 'cgroup.subtree_control'), 'memory\n');
  }
  const cgroups = new HostCgroups([{ mountpoint, version: 2, controllers: [] }]);
  await cgroups.apply('/kubepods/pod1', limits);
  const read = (file: string): string => fs.readFileSync(path.join(mountpoint, 'kubepods', file), 'utf8');
  assert.deepEqual(['cgroup.subtree_control', 'pod1/cpu.weight', 'pod1/cpu.max', 'pod1/memory.max'].map(read), [
    '+cpu',
    '39',
    '50000 100000',
    '67108864',
  ]);
});

test('on this computer: a group with its values, one in use that stays, and the end of it all', async (t) => {
  const cgroups = await HostCgroups.open();
  if (cgroups === undefined) return t.skip('this process may not make control groups');
  const root = `/livelet-test-${process.pid}`;
  try {
    await cgroups.apply(`${root}/burstable/pod1`, limits);
    await cgroups.apply(`${root}/burstable/pod1`, {});
    assert.deepEqual(await cgroups.list(root), ['burstable']);
    assert.deepEqual(await cgroups.list(`${root}/nowhere`), []);
    const found = mountedHierarchies(fs.readFileSync('/proc/self/mountinfo', 'utf8'));
    const memory = found.find(({ controllers }) => controllers.includes('memory')) ?? found.at(-1);
    const file = memory?.version === 1 ? 'memory.limit_in_bytes' : 'memory.max';
    const group = path.join(memory?.mountpoint ?? '', root, 'burstable/pod1');
    assert.equal(fs.readFileSync(path.join(group, file), 'utf8').trim(), '67108864');
    const child = spawn('sleep', ['60']);
    const ended = once(child, 'exit');
    try {
      fs.writeFileSync(path.join(group, 'cgroup.procs'), String(child.pid));
      await cgroups.remove(root);
      assert.deepEqual(await cgroups.list(`${root}/burstable`), ['pod1']);
    } finally {
      child.kill('SIGKILL');
      await ended;
    }
  } finally {
    await cgroups.remove(root);
  }
  assert.deepEqual(await cgroups.list(root), []);
  await cgroups.remove(root);
});
