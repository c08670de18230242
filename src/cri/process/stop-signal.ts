import os from 'node:os';
import { StatusError } from '../../base/status-error.ts';

const firstRealTimeSignal = 34; // SIGRTMIN of glibc and musl's programs alike
const lastRealTimeSignal = 64;

/** `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`. Fails with `BadRequest` on any other text. */
export function stopSignalNumber(text: string): number {
  const name = text.toUpperCase().replace(/^SIG/, '');
  const realTime = /^RTMIN(?:\+(\d+))?$/.exec(name);
  if (realTime !== null) return checked(firstRealTimeSignal + Number(realTime[1] ?? 0), text);
  const fromMax = /^RTMAX(?:-(\d+))?$/.exec(name);
  if (fromMax !== null) return checked(lastRealTimeSignal - Number(fromMax[1] ?? 0), text);
  if (/^\d+$/.test(name)) return checked(Number(name), text);
  const known = Object.entries(os.constants.signals).find(([key]) => key === `SIG${name}`);
  return checked(known?.[1] ?? 0, text);
}

function checked(number: number, text: string): number {
  if (number > 0 && number <= lastRealTimeSignal) return number;
  throw new StatusError('BadRequest', `failed to parse signal "${text}": invalid signal`);
}
