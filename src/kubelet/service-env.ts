import type { Pod, Service } from '../api/gen/types.ts';
import { StatusError, hasReason } from '../base/status-error.ts';
import { withDeadline } from '../base/with-deadline.ts';
import type { NodeContext } from './node-context.ts';
import { isStaticPod } from './static-pod.ts';

/** How long a container waits for the first list of services. */
const patienceMs = 2_000;

const noLinks: ReadonlyMap<string, string> = new Map();

/**
 * The variables that tell a pod of the services of its namespace, and, whatever it says, of the API server. Fails when
 * services have not been read. Upstream: `getServiceEnvVarMap`.
 */
export async function serviceEnv(
  { services, clock }: Pick<NodeContext, 'services' | 'clock'>,
  pod: Pod,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  if (services === undefined) return noLinks;
  if (!services.hasSynced() && !isStaticPod(pod)) {
    const limit = { name: 'kubelet.services.patience', limitMs: patienceMs, message: '' };
    try {
      await withDeadline(clock, limit, signal, (own) => services.synced(own));
    } catch (error) {
      if (!hasReason(error, 'Timeout')) throw error;
      const message = 'services have not yet been read at least once, cannot construct envs';
      throw new StatusError('ServiceUnavailable', message, { cause: error });
    }
  }
  return serviceVariables(services.list(), pod);
}

/** Upstream: `envvars.FromServices`. */
export function serviceVariables(services: readonly Service[], pod: Pod): ReadonlyMap<string, string> {
  const variables = new Map<string, string>();
  const wantsLinks = pod.spec?.enableServiceLinks ?? true;
  const linked = services.filter(({ metadata, spec }) => {
    const { clusterIP = '' } = spec ?? {};
    if (clusterIP === '' || clusterIP === 'None') return false;
    return isApiServer(metadata) || (wantsLinks && metadata?.namespace === pod.metadata?.namespace);
  });
  // Of two by the same name, that of the pod's own namespace counts: it comes last.
  linked.sort((a, b) => Number(isApiServer(b.metadata)) - Number(isApiServer(a.metadata)));
  for (const service of linked) for (const [key, value] of variablesOf(service)) variables.set(key, value);
  return variables;
}

function isApiServer(metadata: Service['metadata']): boolean {
  return metadata?.namespace === 'default' && metadata.name === 'kubernetes';
}

function* variablesOf({ metadata, spec }: Service): Generator<readonly [key: string, value: string]> {
  const prefix = (metadata?.name ?? '').toUpperCase().replaceAll('-', '_');
  const { clusterIP: ip = '', ports = [] } = spec ?? {};
  yield [`${prefix}_SERVICE_HOST`, ip];
  for (const [index, { name = '', port, protocol = 'TCP' }] of ports.entries()) {
    if (index === 0) yield [`${prefix}_SERVICE_PORT`, String(port)];
    if (name !== '') yield [`${prefix}_SERVICE_PORT_${name.toUpperCase().replaceAll('-', '_')}`, String(port)];
    const scheme = protocol.toLowerCase();
    const url = `${scheme}://${ip.includes(':') ? `[${ip}]` : ip}:${port}`;
    if (index === 0) yield [`${prefix}_PORT`, url];
    const portPrefix = `${prefix}_PORT_${port}_${protocol}`;
    yield [portPrefix, url];
    yield [`${portPrefix}_PROTO`, scheme];
    yield [`${portPrefix}_PORT`, String(port)];
    yield [`${portPrefix}_ADDR`, ip];
  }
}
