import { HttpClient } from '../client/http/http-client.ts';
import { loadKubeconfig } from '../client/http/kubeconfig.ts';
import type { RunningCluster } from './livelet-home.ts';

/** The administrator's, of a cluster that `livelet up` runs; close it. `undefined`: its kubeconfig is gone, or it has none. */
export function clientOf({ kubeconfigPath }: RunningCluster): HttpClient | undefined {
  const access = kubeconfigPath === '' ? undefined : loadKubeconfig({ file: kubeconfigPath });
  return access === undefined ? undefined : new HttpClient(access);
}
