import assert from 'node:assert/strict';
import { test } from 'node:test';
import { containerOf, startKubeletWorld } from '../../test/support/kubelet-world.ts';
import type { Service } from '../api/gen/types.ts';
import { serviceVariables } from './service-env.ts';

const service = (namespace: string, name: string, clusterIP: string, ports: object[]): Service => ({
  metadata: { namespace, name },
  // Ports as the tests below write them.
  spec: { clusterIP, ports: ports as never },
});

test('a pod is told of the services of its namespace, unless it says no, and of the API server in any case', () => {
  const kubernetes = service('default', 'kubernetes', '192.0.2.1', [{ name: 'https', port: 6443 }]);
  const all = [
    kubernetes,
    service('shop', 'my-db', 'fd00::9', [
      { port: 53, protocol: 'UDP' },
      { name: 'admin-ui', port: 80 },
    ]),
    service('shop', 'headless', 'None', [{ port: 1 }]),
    service('other', 'far', '192.0.2.3', [{ port: 1 }]),
  ];
  const namesOf = (spec: object) => [
    ...serviceVariables(all, { metadata: { namespace: 'shop' }, spec: { containers: [], ...spec } }),
  ];
  const server = [
    ['KUBERNETES_SERVICE_HOST', '192.0.2.1'],
    ['KUBERNETES_SERVICE_PORT', '6443'],
    ['KUBERNETES_SERVICE_PORT_HTTPS', '6443'],
    ['KUBERNETES_PORT', 'tcp://192.0.2.1:6443'],
    ['KUBERNETES_PORT_6443_TCP', 'tcp://192.0.2.1:6443'],
    ['KUBERNETES_PORT_6443_TCP_PROTO', 'tcp'],
    ['KUBERNETES_PORT_6443_TCP_PORT', '6443'],
    ['KUBERNETES_PORT_6443_TCP_ADDR', '192.0.2.1'],
  ];
  assert.deepEqual(namesOf({ enableServiceLinks: false }), server);
  assert.deepEqual(namesOf({}), [
    ...server,
    ['MY_DB_SERVICE_HOST', 'fd00::9'],
    ['MY_DB_SERVICE_PORT', '53'],
    ['MY_DB_PORT', 'udp://[fd00::9]:53'],
    ['MY_DB_PORT_53_UDP', 'udp://[fd00::9]:53'],
    ['MY_DB_PORT_53_UDP_PROTO', 'udp'],
    ['MY_DB_PORT_53_UDP_PORT', '53'],
    ['MY_DB_PORT_53_UDP_ADDR', 'fd00::9'],
    ['MY_DB_SERVICE_PORT_ADMIN_UI', '80'],
    ['MY_DB_PORT_80_TCP', 'tcp://[fd00::9]:80'],
    ['MY_DB_PORT_80_TCP_PROTO', 'tcp'],
    ['MY_DB_PORT_80_TCP_PORT', '80'],
    ['MY_DB_PORT_80_TCP_ADDR', 'fd00::9'],
  ]);
});

test('containers have these variables, and can write others with them; their own names come first', async () => {
  const world = await startKubeletWorld('service-env');
  const envs: Record<string, string> = {};
  const { runtime } = world.noted;
  const { createContainer } = runtime;
  runtime.createContainer = (sandboxId, config, sandbox, signal) => {
    for (const { key, value } of config.envs) envs[key] = value;
    return createContainer(sandboxId, config, sandbox, signal);
  };
  await world.server.publish({ ip: '192.0.2.1', port: 6443 }, world.scope.signal);
  const env = [
    { name: 'API', value: 'https://$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT)' },
    { name: 'KUBERNETES_PORT', value: 'mine' },
  ];
  await world.create('web', { containers: [{ ...containerOf('main', 'run'), env }] });
  await world.clock.advance(1_000);
  const { API, KUBERNETES_PORT, KUBERNETES_SERVICE_PORT_HTTPS } = envs;
  assert.deepEqual([API, KUBERNETES_PORT, KUBERNETES_SERVICE_PORT_HTTPS], ['https://192.0.2.1:6443', 'mine', '6443']);
  await world.close();
});
