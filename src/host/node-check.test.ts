import assert from 'node:assert/strict';
import os from 'node:os';
import { test } from 'node:test';
import { criNodeChecks, processNodeChecks } from './node-check.ts';
import type { CriFacts, NodeCheck } from './node-check.ts';
import { hostFacts } from './node-facts.ts';
import type { HostFacts } from './node-facts.ts';

const gib = 1_024 ** 3;
const allCapabilities = (1n << 41n) - 1n;
const withoutSysResource = allCapabilities & ~(1n << 24n);

const goodHost: HostFacts = {
  platform: 'linux',
  uid: 0,
  capabilities: allCapabilities,
  boundingCapabilities: allCapabilities,
  namespaces: ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'user', 'uts'],
  cgroups: { kind: 'v2', controllers: ['cpuset', 'cpu', 'io', 'memory', 'pids'], isWritable: true },
  tools: ['iptables', 'ip'],
  disk: { directory: '/var/lib', freeBytes: 50 * gib, totalBytes: 100 * gib },
};

const endpoint = 'unix:///run/containerd/containerd.sock';

const goodCri = {
  kind: 'answers',
  endpoint,
  version: { runtimeName: 'containerd', runtimeVersion: '1.7.1' },
  conditions: [
    { type: 'RuntimeReady', status: true, reason: '', message: '' },
    { type: 'NetworkReady', status: true, reason: '', message: '' },
  ],
  config: {
    sandboxImage: 'registry.k8s.io/pause:3.8',
    cniBinDirs: ['/opt/cni/bin'],
    cniConfDir: '/etc/cni/net.d',
    restrictsOomScoreAdj: false,
    usesSystemdCgroups: false,
  },
  sandboxImage: { name: 'registry.k8s.io/pause:3.8', isPresent: true, problem: '' },
  cni: {
    confFile: '/etc/cni/net.d/10-pods.conflist',
    plugins: ['bridge', 'host-local', 'portmap'],
    missingPlugins: [],
  },
} as const satisfies CriFacts;

/** What is not ok: `name: state`. */
function wrong(checks: readonly NodeCheck[]): string[] {
  return checks.filter(({ state }) => state !== 'ok').map(({ name, state }) => `${name}: ${state}`);
}

function mendOf(checks: readonly NodeCheck[], name: string): string {
  return checks.find((check) => check.name === name)?.mend ?? '';
}

test('on a machine that has everything, all is ok', () => {
  assert.deepEqual(wrong(criNodeChecks(goodHost, goodCri)), []);
  const isolated = { kind: 'root', network: 'namespace', reason: '' } as const;
  assert.deepEqual(wrong(processNodeChecks(goodHost, isolated)), []);
});

test('without a runtime, only what can be known without it is said', () => {
  const silent = { kind: 'silent', endpoint, problem: 'no such file or directory' } as const;
  const checks = criNodeChecks(goodHost, silent);
  assert.deepEqual(wrong(checks), ['runtime: missing']);
  assert.match(mendOf(checks, 'runtime'), /apt-get install containerd/);
});

const criCases: readonly (readonly [
  what: string,
  cri: Partial<typeof goodCri> | object,
  expected: string[],
  mend: RegExp,
])[] = [
  [
    'no CNI configuration',
    {
      conditions: [
        goodCri.conditions[0],
        { type: 'NetworkReady', status: false, reason: 'NetworkPluginNotReady', message: 'cni plugin not initialized' },
      ],
      cni: { confFile: undefined, plugins: [], missingPlugins: [] },
    },
    ['NetworkReady: missing'],
    /\/etc\/cni\/net\.d.*"type":"bridge"/,
  ],
  [
    'neither a CNI configuration nor plugins, as after apt-get install containerd',
    {
      conditions: [
        goodCri.conditions[0],
        { type: 'NetworkReady', status: false, reason: 'NetworkPluginNotReady', message: 'cni plugin not initialized' },
      ],
      cni: { confFile: undefined, plugins: ['bridge', 'portmap'], missingPlugins: ['bridge', 'portmap'] },
    },
    ['NetworkReady: missing', 'CNI plugins: missing'],
    /\/etc\/cni\/net\.d.*"type":"bridge"/,
  ],
  [
    'plugins that are not installed',
    { cni: { ...goodCri.cni, missingPlugins: ['bridge'] } },
    ['CNI plugins: missing'],
    /apt-get install containernetworking-plugins.*bin_dir = "\/usr\/lib\/cni", and restart it/,
  ],
  [
    'a configuration without portmap',
    { cni: { ...goodCri.cni, plugins: ['bridge', 'host-local'] } },
    ['hostPort: limited'],
    /"portMappings": true/,
  ],
  [
    'a sandbox image that cannot be pulled',
    { sandboxImage: { name: 'registry.k8s.io/pause:3.8', isPresent: false, problem: 'no such host' } },
    ['sandbox image: missing'],
    /ctr -n k8s\.io images import .*sandbox_image = /,
  ],
  [
    'a runtime that is not ready',
    { conditions: [{ type: 'RuntimeReady', status: false, reason: 'Broken', message: 'disk' }, goodCri.conditions[1]] },
    ['RuntimeReady: missing'],
    /journalctl -u containerd/,
  ],
  [
    'cgroups by systemd',
    { config: { ...goodCri.config, usesSystemdCgroups: true } },
    ['cgroups: limited'],
    /SystemdCgroup = false/,
  ],
  [
    'a runtime that keeps its configuration to itself',
    { config: undefined, cni: undefined, sandboxImage: undefined },
    [],
    /^$/,
  ],
];

for (const [what, cri, expected, mend] of criCases) {
  test(`${what}: ${expected[0] ?? 'nothing is wrong'}`, () => {
    const checks = criNodeChecks(goodHost, { ...goodCri, ...cri });
    assert.deepEqual(wrong(checks), expected);
    assert.match(checks.find(({ state }) => state !== 'ok')?.mend ?? '', mend);
  });
}

test('root without CAP_SYS_RESOURCE needs a line in the configuration of containerd, which then only limits', () => {
  const host = { ...goodHost, capabilities: withoutSysResource, boundingCapabilities: withoutSysResource };
  const before = criNodeChecks(host, goodCri);
  assert.deepEqual(wrong(before), ['oom_score_adj: missing']);
  assert.match(mendOf(before, 'oom_score_adj'), /restrict_oom_score_adj = true/);
  const config = { ...goodCri.config, restrictsOomScoreAdj: true };
  assert.deepEqual(wrong(criNodeChecks(host, { ...goodCri, config })), ['oom_score_adj: limited']);
});

const hostCases: readonly (readonly [what: string, host: Partial<HostFacts>, expected: string[]])[] = [
  ['not Linux', { platform: 'darwin' }, ['system: missing']],
  ['not root', { uid: 1_000 }, ['root: missing']],
  ['root in a container', { capabilities: 0xa80425fbn }, ['root: missing']],
  ['a kernel without network namespaces', { namespaces: ['mnt', 'pid', 'ipc', 'uts'] }, ['namespaces: missing']],
  ['no cgroups', { cgroups: { kind: 'none', controllers: [], isWritable: false } }, ['cgroups: missing']],
  ['cgroups that cannot be written', { cgroups: { ...goodHost.cgroups, isWritable: false } }, ['cgroups: missing']],
  [
    'no memory controller',
    { cgroups: { kind: 'v1', controllers: ['cpu', 'pids'], isWritable: true } },
    ['cgroups: limited'],
  ],
  ['no iptables', { tools: [] }, ['hostPort: limited']],
  ['a disk that fills up', { disk: { ...goodHost.disk, freeBytes: 9 * gib } }, ['disk: limited']],
  ['a full disk', { disk: { ...goodHost.disk, freeBytes: 1_000 } }, ['disk: missing']],
];

for (const [what, host, expected] of hostCases) {
  test(`${what}: ${expected.join(', ')}`, () => {
    const checks = criNodeChecks({ ...goodHost, ...host }, goodCri);
    assert.deepEqual(wrong(checks), expected);
    assert.ok(checks.every(({ state, mend }) => state === 'ok' || (mend ?? '') !== ''));
  });
}

test('local processes miss nothing where nothing is permitted; they are only less', () => {
  const isolation = { kind: 'none', network: 'host', reason: 'only Linux has namespaces' } as const;
  const host = { ...goodHost, cgroups: { kind: 'none', controllers: [], isWritable: false } } as const;
  const checks = processNodeChecks(host, isolation);
  assert.deepEqual(wrong(checks), ['isolation: limited', 'pod network: limited', 'cgroups: limited']);
});

test('the facts of this computer can be read, also of a directory that is not there yet', () => {
  const facts = hostFacts(`${os.tmpdir()}/not/there/yet`);
  assert.equal(facts.platform, process.platform);
  assert.equal(facts.uid, process.getuid?.());
  assert.ok(facts.disk.totalBytes > 0);
  assert.equal(facts.disk.directory, os.tmpdir());
});
