import type { ContainerScript, ScriptRule, SimExec, SimImage, SimInstance } from './container-script.ts';
import type { SimServer } from './sim-network.ts';

/** The well-known programs of tutorials, as scripts: the shipped images, and the shell one-liners about probes. */

const nodeStartMs = 60; // until a small Node.js program listens

export const tutorialImages: readonly SimImage[] = [
  { name: 'docker.io/luksa/kubia:latest', sizeBytes: 783, entrypoint: ['node', 'app.js'] },
  { name: 'docker.io/luksa/kubia-unhealthy:latest', sizeBytes: 783, entrypoint: ['node', 'app.js'] },
  { name: 'docker.io/library/busybox:1.29', sizeBytes: 1_154_353, entrypoint: ['sh'] },
  { name: 'docker.io/library/busybox:latest', sizeBytes: 1_154_353, entrypoint: ['sh'] },
];

/** Sees its requests come from `gateway`; well for `healthyCount` of them, then sick. */
function kubiaServer(instance: SimInstance, gateway: string, healthyCount: number): SimServer {
  return {
    http(_request, requestIndex) {
      instance.writeLog('stdout', `Received request from ::ffff:${gateway}`);
      return requestIndex < healthyCount
        ? { kind: 'response', status: 200, body: `You've hit ${instance.hostname}\n` }
        : { kind: 'response', status: 500, body: "I'm not well. Please restart me!\n" };
    },
  };
}

function kubia(gateway: string, healthyCount: number): ContainerScript {
  return {
    output: [{ atMs: nodeStartMs, stream: 'stdout', text: 'Kubia server starting...' }],
    servers: [{ port: 8080, fromMs: nodeStartMs, serve: (instance) => kubiaServer(instance, gateway, healthyCount) }],
  };
}

const okServer: SimServer = {
  http: (request) => ({ kind: 'response', status: request.target === '/ok' ? 200 : 404, body: 'ok\n' }),
};

function shell(script: string): readonly string[] {
  return ['sh', '-c', script];
}

/** `cat PATH` of a file that is there from one moment to another. */
function fileAppears(path: string, atMs: number, goneAtMs = Number.POSITIVE_INFINITY): readonly SimExec[] {
  const missing = { exitCode: 1, stderr: `cat: can't open '${path}': No such file or directory\n` };
  const results = [missing, { fromMs: atMs, exitCode: 0 }, { ...missing, fromMs: goneAtMs }];
  return [{ command: ['cat', path], results }];
}

/** `gateway`: from where probes come, as the pods see it. */
export function tutorialRules(gateway: string): readonly ScriptRule[] {
  return [
    { image: 'docker.io/luksa/kubia:latest', script: kubia(gateway, Number.MAX_SAFE_INTEGER) },
    { image: 'docker.io/luksa/kubia-unhealthy:latest', script: kubia(gateway, 5) },
    {
      command: shell("trap 'exit 0' TERM; sleep 600 & wait"),
      script: { exit: { afterMs: 600_000, exitCode: 0 }, onStop: { afterMs: 1, exitCode: 0 } },
    },
    {
      command: shell('echo about to crash; exit 3'),
      script: {
        output: [{ atMs: 0, stream: 'stdout', text: 'about to crash' }],
        exit: { afterMs: 2, exitCode: 3 },
      },
    },
    {
      command: shell('mkdir /w; sleep 30; echo ok > /w/ok; httpd -p 8080 -h /w; sleep 600'),
      script: {
        exit: { afterMs: 630_000, exitCode: 0 },
        servers: [{ port: 8080, fromMs: 30_000, serve: () => okServer }],
      },
    },
    {
      command: shell('sleep 25; touch /tmp/up; sleep 600'),
      script: { exit: { afterMs: 625_000, exitCode: 0 }, execs: fileAppears('/tmp/up', 25_000) },
    },
    {
      command: shell('sleep 3; echo first done'),
      script: {
        output: [{ atMs: 3_000, stream: 'stdout', text: 'first done' }],
        exit: { afterMs: 3_001, exitCode: 0 },
      },
    },
    {
      command: shell('touch /tmp/healthy; sleep 30; rm -f /tmp/healthy; sleep 600'),
      script: { exit: { afterMs: 630_000, exitCode: 0 }, execs: fileAppears('/tmp/healthy', 0, 30_000) },
    },
    {
      command: shell('touch /tmp/healthy; sleep 20; rm -f /tmp/healthy; sleep 600'),
      script: { exit: { afterMs: 620_000, exitCode: 0 }, execs: fileAppears('/tmp/healthy', 0, 20_000) },
    },
    {
      command: ['sleep', '600'],
      script: {
        exit: { afterMs: 600_000, exitCode: 0 },
        execs: [
          { command: ['true'], results: [{ exitCode: 0 }] },
          { command: ['false'], results: [{ exitCode: 1 }] },
        ],
      },
    },
  ];
}
