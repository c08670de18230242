import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { compactVerify, createLocalJWKSet } from 'jose';
import type { JSONWebKeySet } from 'jose';
import type { TokenClaims } from '../apiserver/token-issuer.ts';
import { noLog } from '../base/log.ts';
import { SimTokenIssuer } from '../sim/sim-token-issuer.ts';
import { openTokenIssuer } from './token-issuer.ts';

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-tokens-'));
after(() => fs.rmSync(root, { recursive: true, force: true }));

const open = (name: string) => openTokenIssuer(path.join(root, name), { log: noLog });
const keyFile = (name: string): string => path.join(root, name, 'pki/sa.key');

const claims: TokenClaims = {
  aud: ['a'],
  exp: 20,
  iat: 10,
  iss: 'i',
  jti: 'j',
  'kubernetes.io': { namespace: 'n', serviceaccount: { name: 'ü', uid: 'u' } },
  nbf: 10,
  sub: 's',
};

test('tokens are signed with a key that stays, and that others find in the key set', async () => {
  const issuer = open('stays');
  const token = await issuer.issue(claims);
  assert.equal(fs.statSync(keyFile('stays')).mode & 0o777, 0o600);
  const { keySet, algorithm } = await issuer.publicKeys();
  const published = keySet as JSONWebKeySet;
  const { payload, protectedHeader } = await compactVerify(token, createLocalJWKSet(published), {
    algorithms: [algorithm],
  });
  assert.deepEqual(JSON.parse(new TextDecoder().decode(payload)), claims);
  assert.deepEqual([protectedHeader.kid, protectedHeader.alg], [published.keys[0]?.kid, 'ES256']);
  assert.equal(published.keys[0]?.['d'], undefined); // the secret part
  assert.deepEqual(await open('stays').verify(token), claims);
});

for (const [name, issuer, other] of [
  ['the key of this computer', open('mine'), open('other')],
  ['that of the simulator', new SimTokenIssuer('mine'), new SimTokenIssuer('other')],
] as const) {
  test(`what ${name} has not signed is no token`, async () => {
    const [head, body, signature = ''] = (await issuer.issue(claims)).split('.');
    assert.deepEqual(await issuer.verify(`${head}.${body}.${signature}`), claims);
    const unsigned = Buffer.from('{"alg":"none"}').toString('base64url');
    const changed = Buffer.from(JSON.stringify({ ...claims, sub: 'x' })).toString('base64url');
    for (const token of [
      await other.issue(claims),
      `${unsigned}.${body}.`,
      `${head}.${changed}.${signature}`,
      `${head}.${body}`,
      `${head}.${body}.!`,
      `${head}..${signature}`,
      '...',
      'x',
      '',
    ]) {
      assert.equal(await issuer.verify(token), undefined, token);
    }
  });
}

test('a damaged key is told, with its file and what to do', () => {
  open('damaged');
  fs.writeFileSync(keyFile('damaged'), 'x');
  const message = /sa\.key is damaged \(.*\): restore it, or remove it/;
  assert.throws(() => open('damaged'), { reason: 'InternalError', message });
  const { privateKey } = generateKeyPairSync('ed25519');
  fs.writeFileSync(keyFile('damaged'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
  assert.throws(() => open('damaged'), { reason: 'InternalError', message: /holds no key on the curve P-256/ });
});
