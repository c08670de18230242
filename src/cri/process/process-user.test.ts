import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerSecurityContext } from '../runtime.ts';
import { capabilitiesOf, userOf } from './process-user.ts';

const plain: ContainerSecurityContext = {
  privileged: false,
  runAsUser: undefined,
  runAsGroup: undefined,
  supplementalGroups: [],
  readonlyRootfs: false,
  noNewPrivs: false,
  addCapabilities: [],
  dropCapabilities: [],
};

test('root without more groups needs no change of user', () => {
  assert.deepEqual(userOf(plain, '').user, undefined);
  assert.deepEqual(userOf({ ...plain, runAsUser: 0 }, 'node').user, undefined);
});

test('a number needs no account, a name does', () => {
  const security = { ...plain, runAsUser: 54_321, supplementalGroups: [7, 7] };
  assert.deepEqual(userOf(security, ''), { user: { uid: 54_321, gid: 0, groups: [0, 7] }, home: '/' });
  assert.deepEqual(userOf({ ...plain, runAsGroup: 8 }, '54321:9').user, { uid: 54_321, gid: 8, groups: [8] });
  assert.deepEqual(userOf(plain, '54321:9').user, { uid: 54_321, gid: 9, groups: [9] });
  assert.throws(() => userOf(plain, 'no-such-account'), {
    message: 'unable to find user no-such-account: no matching entries in passwd file',
  });
});

test('capabilities: the usual ones, without what is dropped, with what is added', () => {
  assert.equal(capabilitiesOf(plain).length, 14);
  assert.ok(!capabilitiesOf({ ...plain, dropCapabilities: ['CAP_CHOWN'] }).includes('chown'));
  const onlyOne = { ...plain, dropCapabilities: ['ALL'], addCapabilities: ['NET_ADMIN', 'NET_ADMIN'] };
  assert.deepEqual(capabilitiesOf(onlyOne), ['net_admin']);
  assert.throws(() => capabilitiesOf({ ...plain, addCapabilities: ['ALL'] }), { message: /capabilities\.add: ALL/ });
});
