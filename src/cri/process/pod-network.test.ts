import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PodNetwork } from './pod-network.ts';

test(
  'two livelets on a machine have different ranges, and addresses go round',
  { skip: process.platform !== 'linux' },
  async () => {
    const [one, two] = [await PodNetwork.claim(), await PodNetwork.claim()];
    assert.ok(one !== undefined && two !== undefined);
    assert.notEqual(one.range, two.range);
    const prefix = one.range.replace('.0/24', '');
    const first = one.take();
    assert.deepEqual([first.ip, first.gateway], [`${prefix}.2`, `${prefix}.1`]);
    one.giveBack(first);
    assert.equal(one.take().ip, `${prefix}.3`, 'not the one that was just given back');
    const rest = Array.from({ length: 252 }, () => one.take());
    assert.equal(new Set(rest.map(({ ip }) => ip)).size, 252);
    assert.ok(rest.every(({ hostInterface }) => hostInterface.length <= 15));
    assert.throws(() => one.take(), { message: `no IP addresses available in range set: ${one.range}` });
    await one.close();
    await two.close();
  },
);
