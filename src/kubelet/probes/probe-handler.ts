import type { Container, PodStatus, Probe } from '../../api/gen/types.ts';
import type { ChildSignals } from '../../base/child-signals.ts';
import type { Clock } from '../../base/clock.ts';
import type { ContainerRuntime } from '../../cri/runtime.ts';
import { expandProbeCommand, runExecProbe } from './exec-probe.ts';
import { runGrpcProbe } from './grpc-probe.ts';
import { type HttpProbePlan, planHttpProbe, runHttpProbe } from './http-probe.ts';
import { type ProbeOutcome, unknownError } from './probe-outcome.ts';
import { resolveProbePort } from './probe-port.ts';
import type { ProbeTransport } from './probe-transport.ts';
import { runTcpProbe } from './tcp-probe.ts';

export interface ProbeHandlerDeps {
  readonly clock: Pick<Clock, 'monoMs'>;
  readonly transport: ProbeTransport;
  readonly runtime: Pick<ContainerRuntime, 'execSync'>;
  /** Of all attempts: runtimes listen to the signal of each exec. */
  readonly execSignals: ChildSignals;
}

/** Makes one attempt. `containerId`: the status's, with its scheme. */
export type ProbeHandler = (status: PodStatus, containerId: string, signal: AbortSignal) => Promise<ProbeOutcome>;

/** The handler of a container's probe. `podDescription`: `NAME_NAMESPACE(UID)`. */
export function makeProbeHandler(
  spec: Probe,
  container: Container,
  podDescription: string,
  deps: ProbeHandlerDeps,
): ProbeHandler {
  const timeoutSeconds = spec.timeoutSeconds ?? 1;
  if (spec.exec !== undefined) {
    const command = expandProbeCommand(spec.exec.command ?? [], container.env ?? []);
    return (_status, containerId) => {
      const target = { containerId: withoutScheme(containerId), command, timeoutSeconds };
      return deps.execSignals.run((signal) => runExecProbe(target, deps.runtime, signal));
    };
  }
  if (spec.httpGet !== undefined) return makeHttpHandler(spec.httpGet, container, timeoutSeconds * 1_000, deps);
  if (spec.tcpSocket !== undefined) {
    const { host, port } = spec.tcpSocket;
    const resolved = resolveProbePort(port, container.ports);
    if ('error' in resolved) return failingHandler(resolved.error);
    return (status, _containerId, signal) => {
      const target = { host: host || (status.podIP ?? ''), port: resolved.port, timeoutMs: timeoutSeconds * 1_000 };
      return runTcpProbe(target, deps.transport, signal);
    };
  }
  if (spec.grpc !== undefined) {
    const { port, service = '' } = spec.grpc;
    return (status, _containerId, signal) =>
      runGrpcProbe({ host: status.podIP ?? '', port, service, timeoutSeconds }, deps.transport, signal);
  }
  return failingHandler(`missing probe handler for ${podDescription}:${container.name}`);
}

function makeHttpHandler(
  action: NonNullable<Probe['httpGet']>,
  container: Container,
  timeoutMs: number,
  deps: ProbeHandlerDeps,
): ProbeHandler {
  const resolved = resolveProbePort(action.port, container.ports);
  if ('error' in resolved) return failingHandler(resolved.error);
  let plannedFor: string | undefined; // the address that `plan` is for: it hardly ever changes
  let plan: HttpProbePlan | undefined;
  return (status, _containerId, signal) => {
    const host = status.podIP ?? '';
    if (plan === undefined || plannedFor !== host) {
      plan = planHttpProbe(action, host, resolved.port, timeoutMs);
      plannedFor = host;
    }
    return runHttpProbe(plan, deps.transport, deps.clock, signal);
  };
}

function failingHandler(message: string): ProbeHandler {
  const outcome = Promise.resolve(unknownError(message));
  return () => outcome;
}

function withoutScheme(containerId: string): string {
  const index = containerId.indexOf('://');
  return index < 0 ? containerId : containerId.slice(index + 3);
}
