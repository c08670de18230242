import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatIpv4Range } from '../base/ipv4-range.ts';
import { parseClusterCidr } from './cluster-cidr.ts';

test('the range of a cluster is one of IPv4, of /8 to /24, at the edge of which addresses are cut off', () => {
  const good = ['10.244.0.0/16', '10.0.0.0/8', '192.168.7.0/24', '10.244.9.9/16'];
  assert.deepEqual(
    good.map((text) => formatIpv4Range(parseClusterCidr(text))),
    ['10.244.0.0/16', '10.0.0.0/8', '192.168.7.0/24', '10.244.0.0/16'],
  );
});

test('what is no range of a cluster is refused, and why is said', () => {
  const bad: readonly (readonly [string, RegExp])[] = [
    ['', /it has to be a range of IPv4 addresses, such as 10\.244\.0\.0\/16/],
    ['10.244.0.0', /has to be a range/],
    ['10.244.0.0/16/2', /has to be a range/],
    ['10.244.0.256/16', /has to be a range/],
    ['10.244.00.0/16', /has to be a range/],
    ['10.0.0.0/33', /has to be a range/],
    ['10.244.0.0/-1', /has to be a range/],
    ['10.244.0.0/1e1', /has to be a range/],
    ['fd00::/48', /^cluster CIDR "fd00::\/48": IPv6 is not supported$/],
    ['10.244.0.0/16,fd00::/48', /dual stack/],
    ['10.244.0.0/25', /smaller than the range of one node \(\/24\)/],
    ['10.0.0.0/7', /larger than \/8/],
    ['127.0.0.0/16', /no pod can have an address of 127\.0\.0\.0\/8/],
    ['224.0.0.0/8', /224\.0\.0\.0\/3/],
  ];
  for (const [text, message] of bad) assert.throws(() => parseClusterCidr(text), { reason: 'Invalid', message }, text);
});
