import type { ProbeOutcome } from './probe-outcome.ts';
import type { ProbeTransport } from './probe-transport.ts';

/** One attempt: success as soon as connected. */
export async function runTcpProbe(
  target: { readonly host: string; readonly port: number; readonly timeoutMs: number },
  transport: Pick<ProbeTransport, 'tcpConnect'>,
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  const failure = await transport.tcpConnect(target.host, target.port, target.timeoutMs, signal);
  return failure === undefined ? { kind: 'success', output: '' } : { kind: 'failure', output: failure.detail };
}
