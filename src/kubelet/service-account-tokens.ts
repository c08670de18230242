import type { Pod, ServiceAccountTokenProjection, TokenRequest } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import type { ResourceType } from '../api/resources.ts';
import { parseTime } from '../api/time.ts';
import type { Clock } from '../base/clock.ts';
import type { Entropy } from '../base/entropy.ts';
import type { Log } from '../base/log.ts';
import { StatusError, messageOf } from '../base/status-error.ts';
import { withDeadline } from '../base/with-deadline.ts';
import type { Client } from '../client/client.ts';
import { podUidOf } from './pod-names.ts';

const ageMsMax = 24 * 3_600_000;
const refreshShare = 0.8; // of its life
const jitterMsMax = 10_000;
const secondsDefault = 3_600;
/** How long the server may take to renew one that is still good. */
const patienceMs = 1_000;

// The subresource `token` of a service account takes and gives another kind than the account.
const accountTokens = resources.serviceaccounts as ResourceType as ResourceType<TokenRequest>;

interface HeldToken {
  readonly token: string;
  readonly issuedWallMs: number;
  readonly expiresWallMs: number;
}

export interface ServiceAccountTokensDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
}

/**
 * The tokens of pods' service accounts, each bound to its pod: fetched once, and anew when most of its life, or a day, is
 * over. One that cannot be renewed is kept as long as it is good. Upstream: `token.Manager`.
 */
export class ServiceAccountTokens {
  readonly #deps: ServiceAccountTokensDeps;
  readonly #byPod = new Map<string, Map<string, HeldToken>>(); // pod uid -> audience and life; bounded by the volumes

  constructor(deps: ServiceAccountTokensDeps) {
    this.#deps = deps;
  }

  /** Fails with the text that the FailedMount event shows. */
  async get(pod: Pod, projection: ServiceAccountTokenProjection, signal: AbortSignal): Promise<string> {
    const { clock, log } = this.#deps;
    const podUid = podUidOf(pod);
    const { audience = '', expirationSeconds = secondsDefault } = projection;
    const key = `${expirationSeconds} ${audience}`;
    const held = this.#byPod.get(podUid)?.get(key);
    if (held !== undefined && !this.#isDue(held)) return held.token;
    try {
      const isGood = held !== undefined && clock.wallMs() <= held.expiresWallMs;
      const fetch = (own: AbortSignal): Promise<HeldToken> => this.#fetch(pod, audience, expirationSeconds, own);
      const limit = { name: 'kubelet.tokens.patience', limitMs: patienceMs, message: 'the server does not answer' };
      const fetched = isGood ? await withDeadline(clock, limit, signal, fetch) : await fetch(signal);
      const tokens = this.#byPod.get(podUid) ?? new Map<string, HeldToken>();
      this.#byPod.set(podUid, tokens.set(key, fetched));
      return fetched.token;
    } catch (error) {
      if (signal.aborted || !(error instanceof StatusError)) throw error;
      if (held === undefined) throw failure(`failed to fetch token: ${messageOf(error)}`, error);
      if (clock.wallMs() > held.expiresWallMs) {
        throw failure(
          `token ${goKeyOf(pod, audience, expirationSeconds)} expired and refresh failed: ${messageOf(error)}`,
          error,
        );
      }
      log.warn('tokenNotRenewed', { podUid, podName: pod.metadata?.name, error: messageOf(error) });
      return held.token;
    }
  }

  forgetPod(podUid: string): void {
    this.#byPod.delete(podUid);
  }

  #isDue({ issuedWallMs, expiresWallMs }: HeldToken): boolean {
    const { clock, entropy } = this.#deps;
    const nowWallMs = clock.wallMs();
    const lifeMs = Math.min(ageMsMax, (expiresWallMs - issuedWallMs) * refreshShare);
    // A token from the future was made before the clock was set back.
    return nowWallMs < issuedWallMs || nowWallMs > issuedWallMs + lifeMs - entropy.unit() * jitterMsMax;
  }

  async #fetch(pod: Pod, audience: string, expirationSeconds: number, signal: AbortSignal): Promise<HeldToken> {
    const { namespace = '', name = '' } = pod.metadata ?? {};
    const request: TokenRequest = {
      spec: {
        audiences: audience === '' ? [] : [audience],
        expirationSeconds,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid: podUidOf(pod) },
      },
    };
    const ref = { namespace, name: pod.spec?.serviceAccountName ?? '', subresource: 'token' };
    const { status, spec } = await this.#deps.client.create(accountTokens, ref, request, signal);
    const expiresWallMs = parseTime(status?.expirationTimestamp ?? '');
    if (status === undefined || expiresWallMs === undefined) {
      throw new StatusError('InternalError', 'the server answered without a token');
    }
    const seconds = spec.expirationSeconds ?? expirationSeconds; // the server may give less than was asked for
    return { token: status.token, expiresWallMs, issuedWallMs: expiresWallMs - seconds * 1_000 };
  }
}

function failure(message: string, cause: StatusError): StatusError {
  return new StatusError(cause.reason, message, { cause });
}

/** As upstream's texts name a token: its cache key, in Go's syntax. */
function goKeyOf({ metadata, spec }: Pod, audience: string, seconds: number): string {
  const quote = (text = ''): string => JSON.stringify(text);
  const audiences = audience === '' ? '[]string(nil)' : `[]string{${quote(audience)}}`;
  const bound = `Kind:"Pod", APIVersion:"v1", Name:${quote(metadata?.name)}, UID:${quote(metadata?.uid)}`;
  const account = `${quote(spec?.serviceAccountName)}/${quote(metadata?.namespace)}`;
  return `${account}/${audiences}/${seconds}/v1.BoundObjectReference{${bound}}`;
}
