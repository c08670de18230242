import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { percentile, sleepMs } from './livelet-process.ts';

const crashesCount = 8;
const crashAfterMs = 300;
const waitMsMax = 30_000;

/** Milliseconds from a crash to the first line of the next process under pm2; `undefined` where it is not on the PATH. */
export async function pm2CrashMs(): Promise<number | undefined> {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-bench-pm2-'));
  const env = { ...process.env, PM2_HOME: home };
  const pm2 = (...args: readonly string[]): boolean => spawnSync('pm2', [...args], { env }).status === 0;
  try {
    const app = path.join(home, 'app.js');
    const times = path.join(home, 'times');
    fs.writeFileSync(times, '');
    fs.writeFileSync(
      app,
      `const fs = require('fs');
const note = (what) => fs.appendFileSync(${JSON.stringify(times)}, what + ' ' + Date.now() + '\\n');
note('start');
setTimeout(() => { note('end'); process.exit(1); }, ${crashAfterMs});
`,
    );
    if (!pm2('start', app, '--name', 'crasher')) return undefined;
    const read = (): string[] => fs.readFileSync(times, 'utf8').split('\n').filter(Boolean);
    for (let waitedMs = 0; read().length < 2 * crashesCount + 1 && waitedMs < waitMsMax; waitedMs += 100) {
      await sleepMs(100);
    }
    const lines = read();
    const gaps = lines.flatMap((line, index) => {
      const [what, at] = line.split(' ');
      const [next, then] = lines[index + 1]?.split(' ') ?? [];
      return what === 'end' && next === 'start' ? [Number(then) - Number(at)] : [];
    });
    return percentile(gaps, 0.5);
  } finally {
    pm2('kill');
    fs.rmSync(home, { recursive: true, force: true });
  }
}
