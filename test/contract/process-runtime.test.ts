import assert from 'node:assert/strict';
import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { noLog } from '../../src/base/log.ts';
import { ProcessRuntime } from '../../src/cri/process/process-runtime.ts';
import { HostClock } from '../../src/host/host-clock.ts';
import { HostEntropy } from '../../src/host/host-entropy.ts';
import { scratchRoot } from '../support/scratch.ts';
import { processSuite, type OpenProcessRuntime } from './process-suite.ts';
import { suitePort } from './runtime-bench.ts';
import { runtimeSuite } from './runtime-suite.ts';

type Way = 'root' | 'user' | 'none';

const echoServer = `require("net").createServer({ allowHalfOpen: true }, (socket) => {
  socket.on("error", () => {}).pipe(socket);
}).listen(${suitePort}, "127.0.0.1")`;

/** Opens a runtime in a temporary directory of its own, isolated in exactly this way. */
function opener(way: Way, network?: 'namespace'): OpenProcessRuntime {
  return async (overrides = {}) => {
    const directory = overrides.directory ?? (await fsp.mkdtemp(path.join(scratchRoot, 'livelet-runtime-')));
    const runtime = await ProcessRuntime.open(
      { clock: new HostClock(), entropy: new HostEntropy(), log: overrides.log ?? noLog },
      {
        stateDir: path.join(directory, 'state'),
        imagesDir: path.resolve('images'),
        version: '0.0.0',
        isolation: way,
        network,
        ...(overrides.onNotice === undefined ? {} : { onNotice: overrides.onNotice }),
      },
      new AbortController().signal,
    );
    return {
      runtime,
      directory,
      logRoot: path.join(directory, 'logs'),
      readLog: (logPath) => fsp.readFile(logPath, 'utf8'),
      isPid1: way !== 'none',
      echoServer: ['node', '-e', echoServer], // on the loopback interface, which may be this machine's
      async close() {
        await runtime.close();
        if (overrides.directory === undefined) await fsp.rm(directory, { recursive: true, force: true });
      },
    };
  };
}

/** Why this machine does not permit a way; empty: it does. */
async function whyNot(way: Way): Promise<string> {
  try {
    await (await opener(way)()).close();
    return '';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

for (const way of ['root', 'user', 'none'] as const) {
  const reason = way === 'root' && process.getuid?.() !== 0 ? 'not root' : await whyNot(way);
  if (reason !== '') {
    test(`ProcessRuntime isolated by: ${way}`, { skip: reason }, () => {});
    continue;
  }
  runtimeSuite(`ProcessRuntime isolated by: ${way}`, opener(way));
  processSuite(`ProcessRuntime isolated by: ${way}, on real processes`, way, opener(way));
}

test('a runtime that cannot be isolated as asked for says why', async () => {
  assert.ok(fs.existsSync('images'));
  // Only root can give pods networks of their own.
  await assert.rejects(opener('user', 'namespace')(), { message: /^containers cannot be isolated as asked for: / });
});
