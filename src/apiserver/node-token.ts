import type { Pod, TokenRequestSpec } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import type { UserInfo } from '../base/http.ts';
import type { StatusError } from '../base/status-error.ts';
import { nodeNameOf } from './authorize.ts';
import type { Registry } from './registry.ts';
import { forbidden } from './respond.ts';

export interface NodeTokenRequest {
  readonly user: UserInfo;
  readonly namespace: string;
  /** Name of the service account. */
  readonly account: string;
  readonly spec: TokenRequestSpec;
  readonly pods: Registry;
}

/**
 * A node gets tokens only for pods that run on it, and only for audiences that these pods ask for. Others pass.
 * Upstream: `NodeRestriction`, with `ServiceAccountNodeAudienceRestriction`.
 */
export async function checkNodeToken(request: NodeTokenRequest, signal: AbortSignal): Promise<void> {
  const { user, namespace, account, spec, pods } = request;
  const node = nodeNameOf(user);
  if (node === undefined) return;
  const refusal = (text: string): StatusError => forbidden(resources.serviceaccounts, account, text);
  const { apiVersion, kind, name = '', uid = '' } = spec.boundObjectRef ?? {};
  if (apiVersion !== 'v1' || kind !== 'Pod' || name === '') throw refusal('node requested token not bound to a pod');
  if (uid === '') throw refusal('node requested token with a pod binding without a uid');
  // It comes from the registry of pods.
  const pod = (await pods.get(namespace, name, signal)).object as Pod;
  if (pod.metadata?.uid !== uid) throw refusal(otherUid(uid));
  if (pod.spec?.nodeName !== node) throw refusal('node requested token bound to a pod scheduled on a different node');
  if (spec.audiences.length > 1) throw refusal('node may only request 0 or 1 audiences');
  const [audience = ''] = spec.audiences;
  if (audiencesOf(pod).has(audience)) return;
  const who = `${user.name} is not authorized to request tokens for this audience`;
  throw refusal(`audience ${JSON.stringify(audience)} not found in pod spec volume, ${who}`);
}

function audiencesOf(pod: Pod): ReadonlySet<string> {
  const sources = (pod.spec?.volumes ?? []).flatMap(({ projected }) => projected?.sources ?? []);
  return new Set(
    sources.flatMap(({ serviceAccountToken }) =>
      serviceAccountToken === undefined ? [] : [serviceAccountToken.audience ?? ''],
    ),
  );
}

/** The text for a bound object that is another one by now. */
export function otherUid(uid: string): string {
  return (
    `the UID in the bound object reference (${uid}) does not match the UID in record. ` +
    'The object might have been deleted and then recreated'
  );
}
