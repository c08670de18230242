import assert from 'node:assert/strict';
import { test } from 'node:test';
import { containerConfig, plainSecurityContext, sandboxConfig } from '../../../test/contract/runtime-configs.ts';
import type { ContainerConfig, ContainerSecurityContext, Mount, PodSandboxConfig, PortMapping } from '../runtime.ts';
import { noticesOf, refusalOf, sandboxNoticesOf, sandboxRefusalOf, type Permissions } from './enforcement.ts';

/** The ways in which containers may be kept apart, from the best to the worst. */
const ways = {
  root: {
    isolation: { kind: 'root', files: 'overlay', network: 'namespace', reason: '' },
    uid: 0,
    hasSetpriv: true,
  },
  user: { isolation: { kind: 'user', files: 'binds', network: 'host', reason: '' }, uid: 1_000, hasSetpriv: true },
  plainRoot: { isolation: { kind: 'none', files: 'shared', network: 'host', reason: 'no' }, uid: 0, hasSetpriv: true },
  plain: { isolation: { kind: 'none', files: 'shared', network: 'host', reason: 'no' }, uid: 501, hasSetpriv: false },
} as const satisfies Record<string, Permissions>;

type Outcome = 'done' | 'refused' | 'told';
/** For `root`, `user`, `plainRoot`, `plain`. */
type Outcomes = readonly [Outcome, Outcome, Outcome, Outcome];

const [done, refused, told] = (['done', 'refused', 'told'] as const).map((outcome): Outcomes => [
  outcome,
  outcome,
  outcome,
  outcome,
]);

interface Row<T> {
  readonly ask: Partial<T>;
  readonly becomes: Outcomes | undefined;
  /** How the refusal or the event names it. Default: the key. */
  readonly name?: string;
}

const mount: Mount = { containerPath: '/v', hostPath: '/data', readonly: false };

// A new field of the contract does not compile until its outcome is written down here.
const securityRows: Record<keyof ContainerSecurityContext, Row<ContainerSecurityContext>> = {
  privileged: { ask: { privileged: true }, becomes: refused },
  runAsUser: { ask: { runAsUser: 12_345 }, becomes: ['done', 'refused', 'done', 'refused'] },
  runAsGroup: { ask: { runAsGroup: 12_345 }, becomes: ['done', 'refused', 'done', 'refused'] },
  supplementalGroups: { ask: { supplementalGroups: [5] }, becomes: ['done', 'told', 'done', 'told'] },
  readonlyRootfs: {
    ask: { readonlyRootfs: true },
    becomes: ['done', 'refused', 'refused', 'refused'],
    name: 'readOnlyRootFilesystem',
  },
  noNewPrivs: {
    ask: { noNewPrivs: true },
    becomes: ['done', 'done', 'done', 'told'],
    name: 'allowPrivilegeEscalation',
  },
  addCapabilities: {
    ask: { addCapabilities: ['NET_ADMIN'] },
    becomes: ['done', 'told', 'done', 'told'],
    name: 'capabilities.add',
  },
  dropCapabilities: {
    ask: { dropCapabilities: ['ALL'] },
    becomes: ['done', 'told', 'done', 'done'],
    name: 'capabilities.drop',
  },
  seccompProfile: { ask: { seccompProfile: 'RuntimeDefault' }, becomes: told },
  seccompLocalhostPath: { ask: { seccompProfile: 'Localhost' }, becomes: refused, name: 'seccompProfile: Localhost' },
  appArmorProfile: { ask: { appArmorProfile: 'RuntimeDefault' }, becomes: told },
  appArmorLocalhostName: {
    ask: { appArmorProfile: 'Localhost' },
    becomes: refused,
    name: 'appArmorProfile: Localhost',
  },
  seLinuxOptions: { ask: { seLinuxOptions: { level: 's0' } }, becomes: told },
  procMount: { ask: { procMount: 'Unmasked' }, becomes: refused },
};

const mountRows: Record<string, Row<ContainerConfig>> = {
  volumeMounts: { ask: { mounts: [mount] }, becomes: ['done', 'done', 'refused', 'refused'] },
  hostAliases: {
    ask: { mounts: [{ ...mount, containerPath: '/etc/hosts' }] },
    becomes: ['done', 'done', 'told', 'told'],
  },
  'mountPropagation: HostToContainer': {
    ask: { mounts: [{ ...mount, containerPath: '/dev/termination-log', propagation: 'hostToContainer' }] },
    becomes: told,
  },
  'mountPropagation: Bidirectional': {
    ask: { mounts: [{ ...mount, propagation: 'bidirectional' }] },
    becomes: refused,
  },
  targetContainerName: { ask: { targetId: 'a' }, becomes: refused },
  tty: { ask: { tty: true, stdin: true }, becomes: done },
};

const port: PortMapping = { protocol: 'TCP', containerPort: 80, hostPort: 80, hostIp: '' };
const own = { network: 'pod', pid: 'container', ipc: 'pod' } as const;

const sandboxRows: Record<string, Row<PodSandboxConfig>> = {
  hostNetwork: { ask: { namespaces: { ...own, network: 'node' } }, becomes: done },
  hostPID: { ask: { namespaces: { ...own, pid: 'node' } }, becomes: ['refused', 'refused', 'done', 'done'] },
  hostIPC: { ask: { namespaces: { ...own, ipc: 'node' } }, becomes: done },
  shareProcessNamespace: { ask: { namespaces: { ...own, pid: 'pod' } }, becomes: refused },
  sysctls: { ask: { sysctls: { 'net.core.somaxconn': '1024' } }, becomes: refused },
  'the handler of a runtime class': { ask: { runtimeHandler: 'process' }, becomes: done },
  'another handler': { ask: { runtimeHandler: 'kata' }, becomes: refused, name: '"kata"' },
  dnsConfig: {
    ask: { dnsConfig: { servers: ['192.0.2.1'], searches: [], options: [] } },
    becomes: ['done', 'done', 'told', 'told'],
  },
  'hostPort of its own number': { ask: { portMappings: [port] }, becomes: done },
  hostPort: {
    ask: { portMappings: [{ ...port, hostPort: 8_080 }] },
    becomes: ['done', 'refused', 'refused', 'refused'],
  },
  'hostPort: 53 for containerPort 53/UDP': {
    ask: { portMappings: [{ ...port, protocol: 'UDP', containerPort: 53, hostPort: 53 }] },
    becomes: ['refused', 'done', 'done', 'done'],
  },
};

function outcomeOf(refusal: string | undefined, notices: readonly string[], name: string): Outcome {
  if (refusal !== undefined) {
    assert.ok(refusal.includes(name), `${refusal} does not name ${name}`);
    return 'refused';
  }
  if (notices.length === 0) return 'done';
  assert.equal(notices.length, 1);
  assert.match(notices[0] ?? '', / is not enforced/);
  assert.ok(notices[0]?.includes(name), `${notices[0]} does not name ${name}`);
  return 'told';
}

function check<T>(rows: Record<string, Row<T>>, outcome: (ask: Partial<T>, p: Permissions, name: string) => Outcome) {
  for (const [key, { ask, becomes, name = key }] of Object.entries(rows)) {
    const outcomes = Object.values(ways).map((permissions) => outcome(ask, permissions, name));
    assert.deepEqual(outcomes, becomes, key);
  }
}

const sandbox = sandboxConfig('/logs');

test('every field of a container is carried out, refused or told, by its name', () => {
  check(securityRows, (ask, permissions, name) => {
    const config = containerConfig(sandbox, ['sh'], { securityContext: { ...plainSecurityContext, ...ask } });
    return outcomeOf(refusalOf(config, permissions), noticesOf(config, permissions), name);
  });
  check(mountRows, (ask, permissions, name) => {
    const config = containerConfig(sandbox, ['sh'], ask);
    return outcomeOf(refusalOf(config, permissions), noticesOf(config, permissions), name);
  });
});

test('every field of a sandbox is carried out, refused or told, by its name', () => {
  check(sandboxRows, (ask, permissions, name) => {
    const config = sandboxConfig('/logs', ask);
    return outcomeOf(sandboxRefusalOf(config, permissions), sandboxNoticesOf(config, permissions), name);
  });
});

test('what says that nothing is wanted is nothing to tell', () => {
  const securityContext = { ...plainSecurityContext, seccompProfile: 'Unconfined', appArmorProfile: 'Unconfined' };
  const config = containerConfig(sandbox, ['sh'], { securityContext });
  for (const permissions of Object.values(ways)) {
    assert.deepEqual([refusalOf(config, permissions), noticesOf(config, permissions)], [undefined, []]);
  }
});
