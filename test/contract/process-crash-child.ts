/** Opens a runtime, runs a container that has forked, says so, and waits to be killed. Arguments: DIRECTORY WAY MARK. */
import path from 'node:path';
import { noLog } from '../../src/base/log.ts';
import { ProcessRuntime } from '../../src/cri/process/process-runtime.ts';
import { HostClock } from '../../src/host/host-clock.ts';
import { HostEntropy } from '../../src/host/host-entropy.ts';
import { containerConfig, sandboxConfig } from './runtime-configs.ts';

const [directory = '', way = '', mark = ''] = process.argv.slice(2);
const { signal } = new AbortController();

async function main(): Promise<void> {
  const runtime = await ProcessRuntime.open(
    { clock: new HostClock(), entropy: new HostEntropy(), log: noLog },
    {
      stateDir: path.join(directory, 'state'),
      imagesDir: path.resolve('images'),
      version: '0.0.0',
      isolation: way === 'root' || way === 'user' ? way : 'none',
    },
    signal,
  );
  const sandbox = sandboxConfig(path.join(directory, 'logs'));
  const id = await runtime.runPodSandbox(sandbox, signal);
  const command = ['sh', '-c', `sleep ${mark} & echo up; sleep ${mark}; :`];
  const config = containerConfig(sandbox, command, { metadata: { name: 'main', attempt: 2 } });
  const container = await runtime.createContainer(id, config, sandbox, signal);
  await runtime.startContainer(container, signal);
  for (;;) {
    const { stdout } = await runtime.execSync(container, ['cat', '/proc/self/stat'], 10_000, signal);
    if (stdout.length > 0) break;
  }
  process.stdout.write(`${container}\n`);
  setInterval(() => {}, 60_000);
}

await main();
