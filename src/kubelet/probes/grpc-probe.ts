import { unreachable } from '../../base/status-error.ts';
import { goQuote, goSeconds, joinHostPort } from './go-text.ts';
import { kubeProbeUserAgent, type ProbeOutcome } from './probe-outcome.ts';
import type { GrpcHealthReply, ProbeTransport } from './probe-transport.ts';

export interface GrpcProbeTarget {
  readonly host: string;
  readonly port: number;
  readonly service: string;
  /** Whole seconds: it is printed. */
  readonly timeoutSeconds: number;
}

/** One attempt: `grpc.health.v1.Health/Check` in plain text. */
export async function runGrpcProbe(
  target: GrpcProbeTarget,
  transport: Pick<ProbeTransport, 'grpcHealth'>,
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  const { host, port, service, timeoutSeconds } = target;
  const request = { host, port, service, userAgent: kubeProbeUserAgent };
  return outcomeOf(target, await transport.grpcHealth(request, timeoutSeconds * 1_000, signal));
}

function outcomeOf(target: GrpcProbeTarget, reply: GrpcHealthReply): ProbeOutcome {
  const within = goSeconds(target.timeoutSeconds);
  switch (reply.kind) {
    case 'response':
      if (reply.status === 'SERVING') return { kind: 'success', output: 'service healthy' };
      return failure(`service unhealthy (responded with ${goQuote(reply.status)})`);
    case 'dialTimeout': {
      const address = goQuote(joinHostPort(target.host, target.port));
      return failure(`timeout: failed to connect service ${address} within ${within}: context deadline exceeded`);
    }
    case 'dialError': {
      const address = goQuote(joinHostPort(target.host, target.port));
      return failure(`error: failed to connect service at ${address}: ${reply.message}`);
    }
    case 'rpcTimeout':
      return failure(`timeout: health rpc did not complete within ${within}`);
    case 'rpcError': {
      if (reply.code === 'DeadlineExceeded') return failure(`timeout: health rpc did not complete within ${within}`);
      if (reply.code !== 'Unimplemented') {
        return failure(`error: health rpc probe failed: rpc error: code = ${reply.code} desc = ${reply.message}`);
      }
      const protocol = 'the grpc health protocol (grpc.health.v1.Health)';
      return failure(`error: this server does not implement ${protocol}: ${reply.message}`);
    }
    default:
      return unreachable(reply);
  }
}

function failure(output: string): ProbeOutcome {
  return { kind: 'failure', output };
}
