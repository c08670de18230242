import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import type { ConfigMap } from '../../api/gen/types.ts';
import { resources } from '../../api/resources.ts';
import { ApiServer } from '../../apiserver/api-server.ts';
import { HttpsListener } from '../../apiserver/http/https-listener.ts';
import { noLog } from '../../base/log.ts';
import { noMetrics } from '../../base/metrics.ts';
import { StatusError } from '../../base/status-error.ts';
import { TaskScope } from '../../base/task-scope.ts';
import { HostClock } from '../../host/host-clock.ts';
import { HostEntropy } from '../../host/host-entropy.ts';
import { applyJsonPatch } from '../../host/json-patch.ts';
import { SimTokenIssuer } from '../../sim/sim-token-issuer.ts';
import { MemoryStore } from '../../store/memory-store.ts';
import { bodyText } from '../answer.ts';
import { ListWatchInformer } from '../list-watch-informer.ts';
import { HttpClient } from './http-client.ts';

const pem = (name: string): string =>
  fs.readFileSync(new URL(`../../../test/data/tls/${name}.pem`, import.meta.url), 'utf8');

test('the HTTP client and the API server understand each other: objects, errors, watches, raw answers', async () => {
  const clock = new HostClock();
  const entropy = new HostEntropy();
  const server = new ApiServer({
    store: new MemoryStore(),
    clock,
    entropy,
    log: noLog,
    metrics: noMetrics,
    nodes: () => Promise.reject(new StatusError('ServiceUnavailable', 'no node servers here')),
    jsonPatch: applyJsonPatch,
    tokens: new SimTokenIssuer('x'),
  });
  const scope = new TaskScope();
  scope.start((signal) => server.run(signal));
  const options = { host: '127.0.0.1', certificate: pem('server'), key: pem('server.key'), clientCa: pem('ca') };
  const listener = new HttpsListener({ handle: server.handle, log: noLog }, options);
  const { port } = await listener.listen(0);
  const access = { server: `https://127.0.0.1:${port}`, certificateAuthority: pem('ca') };
  const admin = { ...access, clientCertificate: pem('admin'), clientKey: pem('admin.key') };
  const client = new HttpClient(admin);
  const anonymous = new HttpClient(access);
  const { signal } = scope;
  try {
    await server.ready(signal);
    const ref = { namespace: 'default', name: 'c' };
    const type = resources.configmaps;
    await assert.rejects(client.get(type, ref, signal), { reason: 'NotFound', message: 'configmaps "c" not found' });
    await assert.rejects(anonymous.get(type, ref, signal), { reason: 'Unauthorized' });
    const informer = new ListWatchInformer({ client, type, clock, entropy, log: noLog });
    let changed: () => void = () => {};
    informer.onChange(() => changed());
    const nextChange = (): Promise<void> => new Promise((resolve) => (changed = resolve));
    scope.start((inner) => informer.run(inner));
    await informer.synced(signal);
    const told = nextChange();
    const created: ConfigMap = { metadata: { name: 'c' }, data: { text: 'é漢😀' } };
    await client.create(type, ref, created, signal);
    await told;
    assert.deepEqual(informer.get('default', 'c')?.data, { text: 'é漢😀' });
    const gone = nextChange();
    await client.delete(type, ref, {}, signal);
    await gone;
    assert.equal(informer.get('default', 'c'), undefined);
    const version = await client.request('GET', '/version', {}, signal);
    assert.match(await bodyText(version.body), /"gitVersion":\s*"v1\.34/);
  } finally {
    await scope.close();
    client.close();
    anonymous.close();
    await listener.close();
  }
});
