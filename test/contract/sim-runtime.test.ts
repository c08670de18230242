import type { ByteStream } from '../../src/base/byte-stream.ts';
import { SeededEntropy } from '../../src/sim/seeded-entropy.ts';
import type { ContainerScript, ScriptRule } from '../../src/sim/container-script.ts';
import { SimNetwork } from '../../src/sim/sim-network.ts';
import { SimRuntime } from '../../src/sim/sim-runtime.ts';
import { settle, VirtualClock } from '../../src/sim/virtual-clock.ts';
import { suiteBigBytes, suiteCommands, suiteExecs, suitePort } from './runtime-bench.ts';
import { runtimeSuite } from './runtime-suite.ts';

const sleeper: ContainerScript = {
  execs: [
    { command: ['true'], results: [{ exitCode: 0 }] },
    { command: ['false'], results: [{ exitCode: 1 }] },
    { command: suiteExecs.fails, results: [{ exitCode: 5, stdout: 'o\n', stderr: 'e\n' }] },
    { command: suiteExecs.dies, results: [{ exitCode: 137 }] },
    { command: suiteExecs.copies, results: [{ exitCode: 0, copiesInput: true }] },
    { command: suiteExecs.big, results: [{ exitCode: 0, stdout: 'y\n'.repeat(suiteBigBytes / 2) }] },
    { command: suiteExecs.lasts, results: [{ exitCode: 0, takesMs: 30_000 }] },
  ],
};

const rules: readonly ScriptRule[] = [
  {
    command: suiteCommands.seven,
    script: {
      output: [
        { atMs: 1, stream: 'stdout', text: 'out' },
        { atMs: 1, stream: 'stderr', text: 'err' },
      ],
      exit: { afterMs: 2, exitCode: 7 },
    },
  },
  { command: suiteCommands.zero, script: { exit: { afterMs: 1, exitCode: 0 } } },
  { command: suiteCommands.sleeper, script: sleeper },
  {
    command: suiteCommands.handler,
    script: { output: [{ atMs: 1, stream: 'stdout', text: 'up' }], onStop: { afterMs: 5, exitCode: 3 } },
  },
  {
    command: suiteCommands.reader,
    script: {
      output: [{ atMs: 0, stream: 'stdout', text: 'before' }],
      onInput: (text) => (text === 'end\n' ? { exitCode: 4 } : { stdout: `got ${text}`, stderr: 'err\n' }),
    },
  },
  {
    command: suiteCommands.copier,
    script: { onInput: (stdout) => ({ stdout }), onInputEnd: () => ({ exitCode: 0 }) },
  },
  {
    command: suiteCommands.echoServer,
    script: { servers: [{ port: suitePort, fromMs: 5, serve: () => ({ tcp: echo }) }] },
  },
  { command: ['true'], script: { exit: { afterMs: 1, exitCode: 0 } } },
];

async function echo(stream: ByteStream): Promise<void> {
  for await (const bytes of stream.incoming) await stream.write(bytes);
  await stream.end();
}

runtimeSuite('SimRuntime', async () => {
  const clock = new VirtualClock({ epochMs: Date.UTC(2_026, 0, 1) });
  const logs = new Map<string, string>();
  const runtime = new SimRuntime(
    {
      clock,
      entropy: new SeededEntropy('contract'),
      network: new SimNetwork(clock),
      writeLog: (file, line) => logs.set(file, (logs.get(file) ?? '') + line),
    },
    { images: [{ name: 'docker.io/library/busybox:latest', sizeBytes: 1, entrypoint: ['sh'] }], rules },
    new AbortController().signal,
  );
  // Time goes on by itself, as it does for the real ones.
  let isOver = false;
  const ticking = (async () => {
    while (!isOver) {
      await clock.advance(1);
      await settle();
    }
  })();
  return {
    runtime,
    logRoot: '/var/log/pods',
    readLog: async (logPath) => logs.get(logPath) ?? '',
    isPid1: true,
    hasTerminals: false,
    async close() {
      await runtime.close();
      isOver = true;
      await ticking;
    },
  };
});
