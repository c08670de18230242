import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import type { Event, Pod } from '../../api/gen/types.ts';
import { describePod } from './describe-pod.ts';
import type { DescribeContext } from './describe-writer.ts';

const goldens = 'test/data/goldens';
const read = (name: string): string => fs.readFileSync(`${goldens}/${name}`, 'utf8');
// The recordings are objects of these types.
const events = (parse(read('events.yaml')) as { items: Event[] }).items;

const context: DescribeContext = { nowMs: 0, zoneMinutesAt: () => 0 };

function described(name: string, recordedAt: string): string {
  const pod = parse(read(`${name}.yaml`)) as Pod; // recorded from a server
  const ours = events.filter((event) => event.involvedObject.uid === pod.metadata?.uid);
  return describePod(pod, ours, { ...context, nowMs: Date.parse(`2026-11-21T${recordedAt}Z`) });
}

for (const [name, recordedAt] of [
  ['kubia-liveness', '20:09:24.2'],
  ['kubia-liveness-delay', '20:09:24.2'],
  ['missing-binary', '20:09:26.5'],
  ['no-image', '20:09:26.2'],
] as const) {
  test(`${name} is described as kubectl does, line by line`, () => {
    assert.equal(described(name, recordedAt), read(`describe-${name}.txt`));
  });
}

// The recorded list lacks some of these pods' events.
for (const name of ['crasher', 'init-and-sidecar', 'not-ready', 'slow-start', 'tcp-liveness']) {
  test(`${name} is described as kubectl does, up to its events`, () => {
    const head = (text: string): string => text.slice(0, text.indexOf('\nEvents:'));
    assert.equal(head(described(name, '20:09:26')), head(read(`describe-${name}.txt`)));
  });
}
