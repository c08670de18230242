/** The adapter for CRI against a real containerd of its own. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe } from 'node:test';
import { noLog } from '../../src/base/log.ts';
import { openGrpcRuntime } from '../../src/cri/grpc/grpc-runtime.ts';
import { HostClock } from '../../src/host/host-clock.ts';
import { skipWithoutContainerd, startContainerd, type TestContainerd } from '../support/containerd.ts';
import { runtimeSuite, type OpenedRuntime } from './runtime-suite.ts';

let containerd: TestContainerd;

async function open(): Promise<OpenedRuntime> {
  const { signal } = new AbortController();
  const directory = await fs.mkdtemp(path.join(containerd.directory, 'kubelet-'));
  const runtime = await openGrpcRuntime({ clock: new HostClock(), log: noLog }, containerd, signal);
  return {
    runtime,
    logRoot: directory,
    readLog: (logPath) => fs.readFile(logPath, 'utf8'),
    isPid1: true,
    async close() {
      for (const { id } of await runtime.listPodSandboxes({}, signal)) await runtime.removePodSandbox(id, signal);
      await runtime.close();
    },
  };
}

describe('containerd', { skip: skipWithoutContainerd() }, () => {
  before(async () => {
    containerd = await startContainerd();
  });
  after(() => containerd.stop());

  // One at a time: they list everything that the one containerd has.
  runtimeSuite('GrpcRuntime', open, { concurrency: 1 });
});
