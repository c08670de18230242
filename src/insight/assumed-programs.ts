import type { Container, PodSpec, Probe } from '../api/gen/types.ts';
import type { ContainerScript, ScriptRule, SimExec, SimImage } from '../sim/container-script.ts';
import { normalName } from '../sim/sim-images.ts';
import type { SimServer } from '../sim/sim-network.ts';

const wellServer: SimServer = {
  http: () => ({ kind: 'response', status: 200, body: 'ok' }),
  grpc: () => ({ kind: 'status', status: 'SERVING' }),
};

const entrypoint = 'program'; // of every image

/**
 * What the programs of these pods are taken for in a simulation that has only their manifests: they start at once, pass
 * their probes and end when they are asked to; init containers end well by themselves, all others never.
 */
export function assumedPrograms(specs: readonly PodSpec[]): {
  readonly images: readonly SimImage[];
  readonly rules: readonly ScriptRule[];
} {
  const names = new Set<string>();
  const rules: ScriptRule[] = [];
  const add = (container: Container, ends: boolean): void => {
    const image = normalName(container.image ?? '');
    const command = [...(container.command ?? [entrypoint]), ...(container.args ?? [])];
    names.add(image);
    rules.push({ image, command, script: ends ? { exit: { afterMs: 1, exitCode: 0 } } : scriptOf(container) });
  };
  for (const { initContainers = [], containers } of specs) {
    for (const container of initContainers) add(container, container.restartPolicy !== 'Always');
    for (const container of containers) add(container, false);
  }
  return { images: [...names].map((name) => ({ name, sizeBytes: 1, entrypoint: [entrypoint] })), rules };
}

function scriptOf(container: Container): ContainerScript {
  const ports = new Set<number>();
  const execs: SimExec[] = [];
  for (const { containerPort } of container.ports ?? []) ports.add(containerPort);
  for (const probe of [container.livenessProbe, container.readinessProbe, container.startupProbe]) {
    if (probe !== undefined) learn(probe, container, ports, execs);
  }
  for (const hook of [container.lifecycle?.postStart, container.lifecycle?.preStop]) {
    const { command } = hook?.exec ?? {};
    if (command !== undefined) execs.push({ command, results: [{ exitCode: 0 }] });
  }
  const servers = [...ports].map((port) => ({ port, serve: () => wellServer }));
  return { onStop: { afterMs: 1, exitCode: 0 }, servers, execs };
}

function learn(probe: Probe, { ports = [] }: Container, found: Set<number>, execs: SimExec[]): void {
  if (probe.exec?.command !== undefined) execs.push({ command: probe.exec.command, results: [{ exitCode: 0 }] });
  const port = probe.httpGet?.port ?? probe.tcpSocket?.port ?? probe.grpc?.port;
  const number = typeof port === 'string' ? ports.find(({ name }) => name === port)?.containerPort : port;
  if (number !== undefined) found.add(number);
}
