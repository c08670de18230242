import type { ContainerPort } from '../../api/gen/types.ts';
import { goAtoi } from './go-text.ts';

export type ResolvedPort = { readonly port: number } | { readonly error: string };

/** The port of an HTTP or TCP probe: a number, the name of one of the same container's ports, or a number as text. */
export function resolveProbePort(
  port: number | string,
  containerPorts: readonly ContainerPort[] | undefined,
): ResolvedPort {
  if (typeof port === 'number') return resolveProbePortCheck(port);
  const named = containerPorts?.find((candidate) => candidate.name === port);
  if (named !== undefined) return resolveProbePortCheck(named.containerPort);
  const parsed = goAtoi(port);
  return 'error' in parsed ? parsed : resolveProbePortCheck(parsed.value);
}

function resolveProbePortCheck(port: number): ResolvedPort {
  return port > 0 && port < 65_536 ? { port } : { error: `invalid port number: ${port}` };
}
