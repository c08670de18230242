import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededEntropy } from '../sim/seeded-entropy.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { EventInstants, eventName } from './event-name.ts';

test('what is said later has a later name, also within a millisecond', async () => {
  const clock = new VirtualClock({ epochMs: 1_800_000_000_000 });
  const instants = new EventInstants({ clock, entropy: new SeededEntropy('names') });
  const names: string[] = [];
  for (let said = 0; said < 300; said++) {
    if (said % 100 === 99) await clock.advance(1);
    const { wallMs, nanosWithinMs } = instants.next();
    assert.ok(nanosWithinMs < 1_000_000);
    names.push(eventName('web', wallMs, nanosWithinMs));
  }
  assert.deepEqual([...new Set(names)].sort(), names);
});

test('two components that write about one object at once use different names', () => {
  const clock = new VirtualClock({ epochMs: 1_800_000_000_000 });
  const entropy = new SeededEntropy('names');
  const [kubelet, scheduler] = ['kubelet', 'scheduler'].map((component) =>
    new EventInstants({ clock, entropy: entropy.fork(component) }).next(),
  );
  assert.notDeepEqual(kubelet, scheduler);
});
