/** Where pods find the API server: the Service `kubernetes` in the namespace `default`. */
import type { Draft } from '../api/draft.ts';
import type { Service, ServiceSpec } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import { sameValue } from '../api/validation/same-value.ts';
import { StatusError } from '../base/status-error.ts';
import type { ObjectCreator } from './create-object.ts';
import type { Served } from './served.ts';
import type { FullObject } from './stored-object.ts';

const namespace = 'default';
const name = 'kubernetes';

/** Where clients reach the server; `ip` is no name. */
export interface ServerEndpoint {
  readonly ip: string;
  readonly port: number;
}

/**
 * Makes the Service, or changes it to this address. Upstream gives it an address of its own, from which kube-proxy
 * leads on; here it is the server's own, as nothing leads on. Upstream: the controller `kubernetesservice`.
 */
export async function publishServer(
  services: Served,
  creator: ObjectCreator,
  { ip, port }: ServerEndpoint,
  signal: AbortSignal,
): Promise<void> {
  const spec: Draft<ServiceSpec> = {
    clusterIP: ip,
    clusterIPs: [ip],
    internalTrafficPolicy: 'Cluster',
    ipFamilies: [ip.includes(':') ? 'IPv6' : 'IPv4'],
    ipFamilyPolicy: 'SingleStack',
    ports: [{ name: 'https', port, protocol: 'TCP', targetPort: port }],
    sessionAffinity: 'None',
    type: 'ClusterIP',
  };
  const scope = { dryRun: false, signal };
  if ((await services.registry.find(namespace, name, signal)) === undefined) {
    const service: Draft<Service & FullObject> = {
      kind: 'Service',
      apiVersion: 'v1',
      metadata: { name, namespace, labels: { component: 'apiserver', provider: 'kubernetes' } },
      spec,
      status: { loadBalancer: {} },
    };
    await creator.create(services, namespace, service, scope);
    return;
  }
  await services.registry.update(
    namespace,
    name,
    ({ object }) => {
      // Its registry has no other kind.
      const current = object as Service & FullObject;
      return sameValue(current.spec, spec) ? { kind: 'keep' } : { kind: 'put', object: { ...current, spec } };
    },
    scope,
  );
}

/** What is said to whoever would make or change one. */
export function servicesRefused(): StatusError {
  return new StatusError(
    'MethodNotAllowed',
    `${resources.services.resource} cannot be written: livelet routes no traffic to Services; reach pods by their IPs, ` +
      'by hostPort or with port-forward',
  );
}
