/** Livelet is killed by SIGKILL: nothing it ran outlives it, and the next start knows what ran. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { noLog } from '../../src/base/log.ts';
import { ProcessRuntime } from '../../src/cri/process/process-runtime.ts';
import { HostClock } from '../../src/host/host-clock.ts';
import { HostEntropy } from '../../src/host/host-entropy.ts';
import { scratchRoot } from '../support/scratch.ts';
import { processesWith } from './processes-with.ts';

const endMsMax = 5_000; // for the kernel, or the guardian, to end what is left

type Way = 'root' | 'user' | 'none';

function open(directory: string, isolation: Way): Promise<ProcessRuntime> {
  return ProcessRuntime.open(
    { clock: new HostClock(), entropy: new HostEntropy(), log: noLog },
    { stateDir: path.join(directory, 'state'), imagesDir: path.resolve('images'), version: '0.0.0', isolation },
    new AbortController().signal,
  );
}

async function isPossible(way: Way): Promise<boolean> {
  if (way === 'root' && process.getuid?.() !== 0) return false;
  const directory = await fsp.mkdtemp(path.join(scratchRoot, 'livelet-crash-'));
  try {
    await (await open(directory, way)).close();
    return true;
  } catch {
    return false; // this machine does not permit it; the contract's tests report why
  } finally {
    await fsp.rm(directory, { recursive: true });
  }
}

for (const [index, way] of (['root', 'user', 'none'] as const).entries()) {
  const skip = process.platform !== 'linux' || !(await isPossible(way));
  test(`SIGKILL of livelet ends its containers, isolated by: ${way}`, { skip, timeout: 30_000 }, async () => {
    const directory = await fsp.mkdtemp(path.join(scratchRoot, 'livelet-crash-'));
    const mark = `6${process.pid}.${index}5`; // a duration that nobody else sleeps for
    const args = ['--import', 'tsx', 'test/contract/process-crash-child.ts', directory, way, mark];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      const [line] = (await once(child.stdout, 'data')) as [Buffer];
      const id = line.toString().trim();
      for (let waitedMs = 0; processesWith(mark).length < 3 && waitedMs < endMsMax; waitedMs += 10) await sleep(10);
      assert.equal(processesWith(mark).length, 3, 'a shell and its two sleepers');
      child.kill('SIGKILL');
      await once(child, 'exit');
      for (let waitedMs = 0; processesWith(mark).length > 0 && waitedMs < endMsMax; waitedMs += 10) await sleep(10);
      assert.deepEqual(processesWith(mark), []);
      const runtime = await open(directory, way);
      const status = await runtime.containerStatus(id);
      assert.deepEqual(
        [status.state, status.exitCode, status.reason, status.metadata.attempt],
        ['exited', 137, 'Error', 2],
      );
      assert.ok((status.finishedWallMs ?? 0) >= (status.startedWallMs ?? Number.NaN));
      assert.ok(fs.readFileSync(status.logPath, 'utf8').includes(' F up\n'));
      await runtime.close();
    } finally {
      child.kill('SIGKILL');
      await fsp.rm(directory, { recursive: true, force: true });
    }
  });
}
