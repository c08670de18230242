/** Which certificates the signers of Kubernetes give, and to whom without asking a person. Pure. */
import type { CertificateSigningRequest } from '../../api/gen/types.ts';
import type { SigningRequestFacts } from './certificate-authority.ts';
import { nameClaimMs } from './name-claims.ts';

export const signerNames = {
  kubeletClient: 'kubernetes.io/kube-apiserver-client-kubelet',
  kubeletServing: 'kubernetes.io/kubelet-serving',
  client: 'kubernetes.io/kube-apiserver-client',
} as const;

const nodesGroup = 'system:nodes';
const nodePrefix = 'system:node:';
const bootstrapGroup = 'system:bootstrappers';

/** Why the signer does not sign this, in upstream's words; `undefined`: it does, or it is no signer of ours. */
export function signingProblem(request: CertificateSigningRequest, facts: SigningRequestFacts): string | undefined {
  const { signerName, usages = [] } = request.spec;
  switch (signerName) {
    case signerNames.kubeletClient:
      return nodeSubjectProblem(facts) ?? noNamesProblem(facts) ?? usagesProblem(usages, 'client auth');
    case signerNames.kubeletServing:
      return (
        nodeSubjectProblem(facts) ??
        (facts.dnsNames.length + facts.ipAddresses.length === 0 ? 'DNS or IP subjectAltName is required' : undefined) ??
        noOddNamesProblem(facts) ??
        usagesProblem(usages, 'server auth') ??
        (request.spec.username === facts.commonName ? undefined : 'subject common name is not the requesting user')
      );
    case signerNames.client:
      if (facts.organizations.includes('system:masters')) {
        return `use of ${signerNames.client} signer with system:masters group is not allowed`;
      }
      return usagesProblem(usages, 'client auth', []);
    default:
      return undefined;
  }
}

export function isOurSigner(signerName: string): boolean {
  return Object.values<string>(signerNames).includes(signerName);
}

/** Upstream: `ValidateKubeletClientCSR`, and the same lines of `ValidateKubeletServingCSR`. */
function nodeSubjectProblem({ organizations, commonName }: SigningRequestFacts): string | undefined {
  if (organizations.length !== 1 || organizations[0] !== nodesGroup) return 'subject organization is not system:nodes';
  return commonName.startsWith(nodePrefix) && commonName.length > nodePrefix.length
    ? undefined
    : 'subject common name does not begin with system:node:';
}

function noNamesProblem(facts: SigningRequestFacts): string | undefined {
  if (facts.dnsNames.length > 0) return 'DNS subjectAltNames are not allowed';
  if (facts.ipAddresses.length > 0) return 'IP subjectAltNames are not allowed';
  return noOddNamesProblem(facts);
}

function noOddNamesProblem({ emailAddresses, uris }: SigningRequestFacts): string | undefined {
  if (emailAddresses.length > 0) return 'Email subjectAltNames are not allowed';
  return uris.length > 0 ? 'URI subjectAltNames are not allowed' : undefined;
}

/** Besides `purpose` and `needed` it may ask for what each key does. */
function usagesProblem(
  usages: readonly string[],
  purpose: string,
  needed: readonly string[] = ['digital signature'],
): string | undefined {
  const wanted = [...needed, purpose];
  const isRight =
    wanted.every((usage) => usages.includes(usage)) &&
    usages.every((usage) => ['digital signature', 'key encipherment', purpose].includes(usage));
  return isRight ? undefined : `usages did not match [${wanted.sort().join(' ')}]`;
}

/** What becomes of a request that nobody has judged yet. */
export type Verdict =
  | { readonly kind: 'approve'; readonly message: string }
  /** `message`: why, for who asked. */
  | { readonly kind: 'deny'; readonly message: string }
  /** Its Node has yet to say what it asks for: look again soon. */
  | { readonly kind: 'wait' }
  /** It waits for a person. */
  | { readonly kind: 'leave' };

/** What is known of the node that a request is about. */
export interface NodeFacts {
  /** Its heartbeat is fresh: somebody runs under this name. */
  readonly isAlive: boolean;
  /** Another request was given this name just now. */
  readonly isJoining: boolean;
  /** Of the Node; empty if there is none yet. */
  readonly addresses: readonly string[];
}

/**
 * Upstream: the recognizers of `csrapproving`; a serving certificate it leaves to a person, here a node that is known
 * gets one for its own name and addresses.
 */
export function verdictOn(request: CertificateSigningRequest, facts: SigningRequestFacts, node: NodeFacts): Verdict {
  const { signerName, username = '', groups = [] } = request.spec;
  if (signerName === signerNames.client || !isOurSigner(signerName)) return { kind: 'leave' };
  if (signingProblem(request, facts) !== undefined) return { kind: 'leave' };
  const isSelf = username === facts.commonName && groups.includes(nodesGroup);
  if (signerName === signerNames.kubeletServing) return servingVerdict(facts, node, isSelf);
  if (isSelf) {
    return { kind: 'approve', message: 'Auto approving self kubelet client certificate after SubjectAccessReview.' };
  }
  if (!groups.includes(bootstrapGroup)) return { kind: 'leave' };
  const name = nodeNameIn(facts);
  if (node.isAlive) return { kind: 'deny', message: `the name is taken: a node ${name} is alive in this cluster` };
  if (node.isJoining) {
    const retry = `if that was this one, try again in ${nameClaimMs / 1_000} s`;
    return { kind: 'deny', message: `the name is taken: another agent has just joined as node ${name} (${retry})` };
  }
  return { kind: 'approve', message: 'Auto approving kubelet client certificate after SubjectAccessReview.' };
}

function servingVerdict(facts: SigningRequestFacts, node: NodeFacts, isSelf: boolean): Verdict {
  if (!isSelf) return { kind: 'leave' };
  const name = nodeNameIn(facts);
  const foreignName = facts.dnsNames.find((dnsName) => dnsName !== name);
  if (foreignName !== undefined) return { kind: 'deny', message: `node ${name} asked for the name ${foreignName}` };
  // A new Node, or one whose address has changed, is told by its kubelet about now.
  if (facts.ipAddresses.some((address) => !node.addresses.includes(address))) return { kind: 'wait' };
  return { kind: 'approve', message: 'Auto approving kubelet serving certificate of a node for itself.' };
}

/** Whether it asks, with a bootstrap token, for a name that its sender has not had before. */
export function isOfNewNode({ spec: { signerName, groups = [] } }: CertificateSigningRequest): boolean {
  return signerName === signerNames.kubeletClient && groups.includes(bootstrapGroup);
}

/** The node that a request is about. */
export function nodeNameIn({ commonName }: SigningRequestFacts): string {
  return commonName.slice(nodePrefix.length);
}
