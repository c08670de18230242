import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CertificateSigningRequest } from '../../api/gen/types.ts';
import type { SigningRequestFacts } from './certificate-authority.ts';
import { signerNames, signingProblem, verdictOn } from './signing-rules.ts';
import type { NodeFacts } from './signing-rules.ts';

const facts: SigningRequestFacts = {
  commonName: 'system:node:a',
  organizations: ['system:nodes'],
  dnsNames: [],
  ipAddresses: [],
  emailAddresses: [],
  uris: [],
};
const serving: SigningRequestFacts = { ...facts, dnsNames: ['a'], ipAddresses: ['192.0.2.1'] };
const unknown: NodeFacts = { isAlive: false, isJoining: false, addresses: [] };
const known: NodeFacts = { isAlive: true, isJoining: false, addresses: ['192.0.2.1'] };

function requestOf(
  signerName: string,
  spec: Partial<CertificateSigningRequest['spec']> = {},
): CertificateSigningRequest {
  const purpose = signerName === signerNames.kubeletServing ? 'server auth' : 'client auth';
  return { spec: { request: '', signerName, usages: ['digital signature', purpose], ...spec } };
}

const bootstrapper = { username: 'system:bootstrap:abcdef', groups: ['system:bootstrappers', 'system:authenticated'] };
const self = { username: 'system:node:a', groups: ['system:nodes'] };
const other = { username: 'system:node:b', groups: ['system:nodes'] };

test('a kubelet client certificate is for one node, and for nothing else', () => {
  const request = requestOf(signerNames.kubeletClient);
  const problem = (change: Partial<SigningRequestFacts>): string | undefined =>
    signingProblem(request, { ...facts, ...change });
  assert.deepEqual(
    [
      problem({}),
      problem({ organizations: ['system:nodes', 'system:masters'] }),
      problem({ organizations: ['system:masters'] }),
      problem({ commonName: 'system:node:' }),
      problem({ commonName: 'kubernetes-admin' }),
      problem({ dnsNames: ['a'] }),
      problem({ ipAddresses: ['192.0.2.1'] }),
      problem({ emailAddresses: ['a@b'] }),
      problem({ uris: ['spiffe://a'] }),
      signingProblem(requestOf(signerNames.kubeletClient, { usages: ['digital signature', 'server auth'] }), facts),
      signingProblem(
        requestOf(signerNames.kubeletClient, { usages: ['key encipherment', 'digital signature', 'client auth'] }),
        facts,
      ),
    ],
    [
      undefined,
      'subject organization is not system:nodes',
      'subject organization is not system:nodes',
      'subject common name does not begin with system:node:',
      'subject common name does not begin with system:node:',
      'DNS subjectAltNames are not allowed',
      'IP subjectAltNames are not allowed',
      'Email subjectAltNames are not allowed',
      'URI subjectAltNames are not allowed',
      'usages did not match [client auth digital signature]',
      undefined,
    ],
  );
});

test('who has a token gets a certificate for a new node, not for one that is alive; a node gets its own again', () => {
  const client = (spec: object, node: NodeFacts): string => {
    const found = verdictOn(requestOf(signerNames.kubeletClient, spec), facts, node);
    return found.kind === 'deny' ? found.message : found.kind;
  };
  assert.deepEqual(
    [
      client(bootstrapper, unknown),
      client(bootstrapper, known),
      client(self, known),
      client(other, known),
      client({ username: 'jane', groups: [] }, unknown),
      client({ ...self, groups: [] }, known),
    ],
    ['approve', 'the name is taken: a node a is alive in this cluster', 'approve', 'leave', 'leave', 'leave'],
  );
});

test('a node gets a serving certificate for its own name and addresses only', () => {
  const serve = (spec: object, node: NodeFacts, change: Partial<SigningRequestFacts> = {}): string =>
    verdictOn(requestOf(signerNames.kubeletServing, spec), { ...serving, ...change }, node).kind;
  assert.deepEqual(
    [
      serve(self, known),
      serve(self, unknown),
      serve(self, known, { ipAddresses: ['192.0.2.1', '192.0.2.9'] }),
      serve(self, known, { dnsNames: ['a', 'kubernetes'] }),
      serve(other, known),
      serve(bootstrapper, known),
      serve(self, known, { dnsNames: [], ipAddresses: [] }),
    ],
    ['approve', 'wait', 'wait', 'deny', 'leave', 'leave', 'leave'],
  );
  const approved = requestOf(signerNames.kubeletServing, other);
  assert.equal(signingProblem(approved, serving), 'subject common name is not the requesting user');
});

test('other clients wait for a person, and masters are made by nobody', () => {
  const request = requestOf(signerNames.client, { username: 'jane', groups: [] });
  const jane = { ...facts, commonName: 'jane', organizations: ['dev'] };
  assert.equal(verdictOn(request, jane, unknown).kind, 'leave');
  assert.equal(signingProblem(request, jane), undefined);
  assert.equal(signingProblem(requestOf(signerNames.client, { usages: ['client auth'] }), jane), undefined);
  assert.equal(
    signingProblem(requestOf(signerNames.client, { usages: ['client auth', 'server auth'] }), jane),
    'usages did not match [client auth]',
  );
  assert.equal(
    signingProblem(request, { ...jane, organizations: ['system:masters'] }),
    'use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed',
  );
});
