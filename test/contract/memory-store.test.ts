import type { Store } from '../../src/store/store.ts';
import { settle, VirtualClock } from '../../src/sim/virtual-clock.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import type { OpenedStore } from './store-ops.ts';
import { storeSuite } from './store-suite.ts';

storeSuite('MemoryStore that commits at once', async () => openMemory(new MemoryStore()));

storeSuite('MemoryStore whose commits take 3 ms of a clock', async () => {
  const clock = new VirtualClock({ epochMs: 0 });
  let isOver = false;
  const ticking = (async () => {
    while (!isOver) {
      await clock.advance(1);
      await settle();
    }
  })();
  const opened = openMemory(new MemoryStore({ commit: { clock, delayMs: 3 } }));
  return {
    ...opened,
    async close() {
      await opened.close();
      isOver = true;
      await ticking;
    },
  };
});

function openMemory(first: MemoryStore): OpenedStore {
  let store = first;
  return {
    store,
    async restart(): Promise<Store> {
      store = store.crash();
      return store;
    },
    close: () => store.close(),
  };
}
