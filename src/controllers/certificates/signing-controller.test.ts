import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startApiWorld } from '../../../test/support/api-world.ts';
import type { CertificateSigningRequest } from '../../api/gen/types.ts';
import { resources } from '../../api/resources.ts';
import { TaskScope } from '../../base/task-scope.ts';
import { inProcessClient } from '../../client/in-process-client.ts';
import { SharedInformers } from '../shared-informers.ts';
import type { CertificateAuthority } from './certificate-authority.ts';
import { nameClaimMs } from './name-claims.ts';
import { startCertificateSigning } from './signing-controller.ts';
import { signerNames } from './signing-rules.ts';

const never = new AbortController().signal;
const type = resources.certificatesigningrequests;

/** In place of PKCS #10: the base64 inside the PEM is the name of the node. */
const authority: CertificateAuthority = {
  read: (pem) => {
    const commonName = `system:node:${atob(pem.split('\n')[1] ?? '')}`;
    const none: readonly string[] = [];
    const names = { dnsNames: none, ipAddresses: none, emailAddresses: none, uris: none };
    return Promise.resolve({ commonName, organizations: ['system:nodes'], ...names });
  },
  sign: (pem) => Promise.resolve(pem.replaceAll('CERTIFICATE REQUEST', 'CERTIFICATE')),
};

async function startWorld() {
  const world = await startApiWorld('signing');
  const start = async (): Promise<TaskScope> => {
    const scope = new TaskScope(world.scope.signal);
    const deps = { client: world.client, clock: world.clock, entropy: world.entropy.fork('signing'), log: world.log };
    const shared = new SharedInformers(deps);
    startCertificateSigning(scope, {
      ...deps,
      authority,
      certificateLifeMs: 24 * 60 * 60 * 1_000,
      requests: shared.of(type),
      nodes: shared.of(resources.nodes),
      leases: shared.of(resources.leases),
    });
    shared.run(scope);
    await world.clock.advance(100);
    return scope;
  };
  const user = { name: 'system:bootstrap:abcdef', groups: ['system:bootstrappers', 'system:authenticated'] };
  const bearer = inProcessClient({ handle: world.server.handle, user });
  /** What became of each request, after a moment. */
  const ask = async (...asked: readonly (readonly [name: string, nodeName: string])[]): Promise<readonly string[]> => {
    await Promise.all(
      asked.map(([name, nodeName]) => {
        const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${btoa(nodeName)}\n-----END CERTIFICATE REQUEST-----\n`;
        const usages = ['digital signature', 'client auth'];
        const spec = { request: btoa(pem), signerName: signerNames.kubeletClient, usages };
        const body: CertificateSigningRequest = { metadata: { name }, spec };
        return bearer.create(type, {}, body, never);
      }),
    );
    await world.clock.advance(100);
    const answers = asked.map(async ([name]) => {
      const { status } = await bearer.get<CertificateSigningRequest>(type, { name }, never);
      const [judged] = status?.conditions ?? [];
      return judged?.type === 'Denied' ? `${judged.message}` : `${judged?.type} ${status?.certificate !== undefined}`;
    });
    return await Promise.all(answers);
  };
  return { ...world, start, ask };
}

const taken = 'the name is taken: another agent has just joined as node a (if that was this one, try again in 30 s)';

test('of two agents that ask for one name at the same moment, one gets it and the other is told', async () => {
  const { clock, start, ask, close } = await startWorld();
  await start();
  const said = await ask(['one', 'a'], ['two', 'a'], ['three', 'b']);
  assert.deepEqual([...said].sort(), ['Approved true', 'Approved true', taken]);
  assert.equal(said[2], 'Approved true', 'another name');
  assert.deepEqual(await ask(['four', 'a']), [taken]);
  await clock.advance(nameClaimMs);
  assert.deepEqual(await ask(['five', 'a']), ['Approved true'], 'nobody came');
  await close();
});

test('a name that was given just before the control plane restarted is still taken after it', async () => {
  const { clock, start, ask, close } = await startWorld();
  const first = await start();
  assert.deepEqual(await ask(['one', 'a']), ['Approved true']);
  const ended = first.close();
  await clock.advance(1_000);
  await ended;
  await start();
  assert.deepEqual(await ask(['two', 'a']), [taken]);
  await close();
});
