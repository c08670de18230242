import type {
  CertificateSigningRequest,
  CertificateSigningRequestCondition,
  Lease,
  Node,
} from '../../api/gen/types.ts';
import { base64OfText } from '../../api/defaulting.ts';
import { resources } from '../../api/resources.ts';
import { formatTime, parseTime } from '../../api/time.ts';
import type { Outcome, Reconciler } from '../../base/run-reconciler.ts';
import { hasReason, unreachable } from '../../base/status-error.ts';
import type { TaskScope } from '../../base/task-scope.ts';
import { WorkQueue } from '../../base/work-queue.ts';
import type { Informer } from '../../client/informer.ts';
import { startWorkers } from '../run-controller.ts';
import type { ControllerDeps } from '../run-controller.ts';
import type { CertificateAuthority, SigningRequestFacts } from './certificate-authority.ts';
import { NameClaims, nameClaimMs } from './name-claims.ts';
import { isOurSigner, isOfNewNode, nodeNameIn, signingProblem, verdictOn } from './signing-rules.ts';
import type { NodeFacts } from './signing-rules.ts';

const hourMs = 60 * 60 * 1_000;
/** How long requests stay when nothing more will happen to them. Upstream: `csrcleaner`. */
const keptMs = { issued: hourMs, denied: hourMs, failed: hourMs, pending: 24 * hourMs } as const;
const backdateMs = 5 * 60 * 1_000; // for nodes whose clocks are a little behind; upstream: `signer.backdate`
const addressRetryMs = 500;
const expirationSecondsMin = 600;

export interface SigningDeps {
  readonly requests: Informer<CertificateSigningRequest>;
  readonly nodes: Informer<Node>;
  readonly leases: Informer<Lease>;
  readonly authority: CertificateAuthority;
  /** The longest that a certificate is valid. Upstream: `--cluster-signing-duration`, a year. */
  readonly certificateLifeMs: number;
}

/**
 * Approves what nodes may have without asking a person, signs what is approved, and clears away what is done. Upstream:
 * the controllers csrapproving, csrsigning and csrcleaner.
 */
export function startCertificateSigning(scope: TaskScope, deps: ControllerDeps & SigningDeps): void {
  const queue = new WorkQueue<string>({ clock: deps.clock, signal: scope.signal });
  deps.requests.onChange(({ previous, current }) => queue.add((current ?? previous)?.metadata?.name ?? ''));
  const { requests, nodes, leases } = deps;
  startWorkers(scope, deps, new Signing(deps), queue, { workers: 2, synced: [requests, nodes, leases] });
}

class Signing implements Reconciler<string> {
  readonly name = 'certificateSigning';
  readonly #deps: ControllerDeps & SigningDeps;
  readonly #claims = new NameClaims();
  #restored: Promise<void> | undefined;

  constructor(deps: ControllerDeps & SigningDeps) {
    this.#deps = deps;
  }

  async reconcile(name: string, signal: AbortSignal): Promise<Outcome> {
    const request = this.#deps.requests.get('', name);
    if (request === undefined) return { kind: 'settled' };
    try {
      return await this.#advance(request, signal);
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error;
      return { kind: 'settled' }; // deleted meanwhile
    }
  }

  async #advance(request: CertificateSigningRequest, signal: AbortSignal): Promise<Outcome> {
    const has = (type: string): boolean => conditionsOf(request).some((condition) => condition.type === type);
    if ((request.status?.certificate ?? '') !== '') return this.#clear(request, keptMs.issued, signal);
    if (has('Denied')) return this.#clear(request, keptMs.denied, signal);
    if (has('Failed')) return this.#clear(request, keptMs.failed, signal);
    if (!isOurSigner(request.spec.signerName)) return this.#clear(request, keptMs.pending, signal);
    const pem = textOf(request.spec.request);
    let facts: SigningRequestFacts;
    try {
      facts = await this.#deps.authority.read(pem);
    } catch (error) {
      if (!hasReason(error, 'BadRequest')) throw error;
      return this.#judge(
        request,
        'status',
        this.#condition('Failed', 'SignerValidationFailure', error.message),
        signal,
      );
    }
    if (has('Approved')) return this.#sign(request, pem, facts, signal);
    await (this.#restored ??= this.#restoreClaims());
    // No wait from here to `take`: two workers may be at requests for the same name.
    const name = nodeNameIn(facts);
    const verdict = verdictOn(request, facts, this.#nodeFacts(name, request.metadata?.uid ?? ''));
    switch (verdict.kind) {
      case 'approve':
        if (isOfNewNode(request)) this.#claims.take(name, request.metadata?.uid ?? '', this.#deps.clock.wallMs());
        return this.#judge(request, 'approval', this.#condition('Approved', 'AutoApproved', verdict.message), signal);
      case 'deny':
        return this.#judge(request, 'approval', this.#condition('Denied', 'AutoDenied', verdict.message), signal);
      case 'leave':
        return this.#clear(request, keptMs.pending, signal);
      case 'wait': {
        const cleared = await this.#clear(request, keptMs.pending, signal);
        return cleared.kind === 'settled' ? cleared : { kind: 'again', afterMs: addressRetryMs };
      }
      default:
        return unreachable(verdict);
    }
  }

  /** Those that were given before this process began; the informers have synced. */
  async #restoreClaims(): Promise<void> {
    const { requests, authority, clock } = this.#deps;
    for (const request of requests.list()) {
      const approval = conditionsOf(request).find(({ type }) => type === 'Approved');
      const atWallMs = parseTime(approval?.lastUpdateTime ?? '') ?? 0;
      if (!isOfNewNode(request) || clock.wallMs() - atWallMs >= nameClaimMs) continue;
      try {
        const facts = await authority.read(textOf(request.spec.request));
        this.#claims.take(nodeNameIn(facts), request.metadata?.uid ?? '', atWallMs);
      } catch (error) {
        if (!hasReason(error, 'BadRequest')) throw error; // a person has approved what is no request
      }
    }
  }

  #nodeFacts(name: string, requestUid: string): NodeFacts {
    const { nodes, leases, clock } = this.#deps;
    const { renewTime, leaseDurationSeconds = 0 } = leases.get('kube-node-lease', name)?.spec ?? {};
    const renewedMs = renewTime === undefined ? undefined : parseTime(renewTime);
    const addresses = nodes.get('', name)?.status?.addresses ?? [];
    return {
      isAlive: renewedMs !== undefined && clock.wallMs() - renewedMs < leaseDurationSeconds * 1_000,
      isJoining: this.#claims.isTaken(name, requestUid, clock.wallMs()),
      addresses: addresses.filter(({ type }) => type === 'InternalIP').map(({ address }) => address),
    };
  }

  async #sign(
    request: CertificateSigningRequest,
    pem: string,
    facts: SigningRequestFacts,
    signal: AbortSignal,
  ): Promise<Outcome> {
    const problem = signingProblem(request, facts);
    if (problem !== undefined) {
      return this.#judge(request, 'status', this.#condition('Failed', 'SignerValidationFailure', problem), signal);
    }
    const { authority, certificateLifeMs, client, clock } = this.#deps;
    const { expirationSeconds, usages = [] } = request.spec;
    const askedMs = expirationSeconds === undefined ? certificateLifeMs : expirationSeconds * 1_000;
    const lifeMs = Math.min(certificateLifeMs, Math.max(askedMs, expirationSecondsMin * 1_000));
    const nowWallMs = clock.wallMs();
    const notBeforeWallMs = nowWallMs - Math.min(backdateMs, lifeMs);
    const certificate = await authority.sign(pem, { usages, notBeforeWallMs, notAfterWallMs: nowWallMs + lifeMs });
    const next = { ...request, status: { ...request.status, certificate: base64OfText(certificate) } };
    const ref = { name: request.metadata?.name ?? '', subresource: 'status' };
    await client.update(resources.certificatesigningrequests, ref, next, signal);
    return { kind: 'settled' };
  }

  #condition(type: string, reason: string, message: string): CertificateSigningRequestCondition {
    const now = formatTime(this.#deps.clock.wallMs());
    return { type, status: 'True', reason, message, lastUpdateTime: now, lastTransitionTime: now };
  }

  async #judge(
    request: CertificateSigningRequest,
    subresource: 'approval' | 'status',
    condition: CertificateSigningRequestCondition,
    signal: AbortSignal,
  ): Promise<Outcome> {
    const { client, log } = this.#deps;
    const name = request.metadata?.name ?? '';
    const next = { ...request, status: { ...request.status, conditions: [...conditionsOf(request), condition] } };
    await client.update(resources.certificatesigningrequests, { name, subresource }, next, signal);
    const { type, message = '' } = condition;
    log.info('certificateRequestJudged', { name, user: request.spec.username ?? '', verdict: type, message });
    return { kind: 'settled' };
  }

  /** Deletes it when its time is over. */
  async #clear({ metadata }: CertificateSigningRequest, afterMs: number, signal: AbortSignal): Promise<Outcome> {
    const createdMs = parseTime(metadata?.creationTimestamp ?? '') ?? 0;
    const leftMs = createdMs + afterMs - this.#deps.clock.wallMs();
    if (leftMs > 0) return { kind: 'again', afterMs: leftMs };
    const name = metadata?.name ?? '';
    await this.#deps.client.delete(resources.certificatesigningrequests, { name }, {}, signal);
    return { kind: 'settled' };
  }
}

function conditionsOf({ status }: CertificateSigningRequest): readonly CertificateSigningRequestCondition[] {
  return status?.conditions ?? [];
}

/** Of base64; PEM is ASCII. */
function textOf(base64: string): string {
  try {
    return atob(base64);
  } catch {
    return ''; // the server checks it; nothing can be read from anything else
  }
}
