import { performance } from 'node:perf_hooks';
import type { Clock } from '../base/clock.ts';

const timerMsMax = 2 ** 31 - 1; // setTimeout fires at once beyond it

/** The clock of this computer. */
export class HostClock implements Clock {
  monoMs(): number {
    return performance.now();
  }

  wallMs(): number {
    return Date.now();
  }

  sleep(delayMs: number, _name: string, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason as Error); // the contract: the reason, unwrapped
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        clearTimeout(timer);
        reject(signal.reason as Error); // as above
      };
      const timer = setTimeout(
        () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
        Math.min(delayMs, timerMsMax),
      );
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }
}
