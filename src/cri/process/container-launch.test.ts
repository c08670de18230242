import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerSecurityContext, Mount, PodSandboxConfig } from '../runtime.ts';
import { containerConfig, plainSecurityContext } from '../../../test/contract/runtime-configs.ts';
import { containerLaunch, unenforcedOf } from './container-launch.ts';
import type { ResolvedImage } from './images.ts';

const sandbox: PodSandboxConfig = {
  metadata: { name: 'p', uid: 'u', namespace: 'n', attempt: 0 },
  hostname: 'p',
  logDirectory: '/logs',
  dnsConfig: undefined,
  portMappings: [],
  labels: {},
  annotations: {},
  namespaces: { network: 'pod', pid: 'container', ipc: 'pod' },
};

const image: ResolvedImage = {
  name: 'busybox',
  id: 'sha256:0',
  sizeBytes: 0,
  config: { entrypoint: [], cmd: ['sh'], env: [], workingDir: '', user: '', exposedPorts: [], stopSignal: undefined },
  mount: undefined,
  isBusybox: false,
  notice: '',
};

const context = {
  isolation: { kind: 'none', files: 'shared', network: 'host', reason: '' },
  binDirectory: '/bin',
  appletDirectory: undefined,
  resolvConf: undefined,
  cgroupProcsFiles: [],
} as const;

function configWith(security: Partial<ContainerSecurityContext>, mounts: readonly Mount[] = []) {
  return containerConfig(sandbox, ['sh'], { securityContext: { ...plainSecurityContext, ...security }, mounts });
}

const mount: Mount = { containerPath: '/v', hostPath: '/data', readonly: false };

test('what the runtime cannot give, and a container cannot do without, is refused by name', () => {
  const refused = (...args: Parameters<typeof configWith>): string => {
    try {
      containerLaunch('id', 'sandbox', configWith(...args), sandbox, image, context);
      return '';
    } catch (error) {
      return error instanceof Error ? error.message : '';
    }
  };
  assert.equal(refused({ seccompProfile: 'RuntimeDefault', appArmorProfile: 'RuntimeDefault' }, [mount]), '');
  const names = [
    refused({ privileged: true }),
    refused({ seccompProfile: 'Localhost' }),
    refused({ appArmorProfile: 'Localhost' }),
    refused({ procMount: 'Unmasked' }),
    refused({}, [{ ...mount, propagation: 'bidirectional' }]),
  ].map((text) => text.replace(/ is not supported by the process runtime$/, ''));
  assert.deepEqual(names, [
    'securityContext.privileged: true',
    'securityContext.seccompProfile: Localhost',
    'securityContext.appArmorProfile: Localhost',
    'securityContext.procMount: Unmasked',
    'mountPropagation: Bidirectional',
  ]);
});

test('what it does not enforce is told by name', () => {
  assert.deepEqual(unenforcedOf(configWith({})), []);
  const security = { seccompProfile: 'RuntimeDefault', appArmorProfile: 'RuntimeDefault', seLinuxOptions: {} };
  assert.deepEqual(
    unenforcedOf(configWith(security, [{ ...mount, propagation: 'hostToContainer' }])),
    [
      'securityContext.seccompProfile: RuntimeDefault',
      'securityContext.appArmorProfile: RuntimeDefault',
      'securityContext.seLinuxOptions',
      'mountPropagation: HostToContainer',
    ].map((field) => `${field} is not enforced by the process runtime`),
  );
});
