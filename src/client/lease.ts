import type { Lease, OwnerReference } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import { formatMicroTime } from '../api/time.ts';
import { backoffMs } from '../base/backoff.ts';
import type { Clock } from '../base/clock.ts';
import type { Entropy } from '../base/entropy.ts';
import type { Log } from '../base/log.ts';
import { StatusError, hasReason } from '../base/status-error.ts';
import type { Client } from './client.ts';

export const leaseDurationSeconds = 40;
export const leaseRenewMs = 10_000; // a quarter of it: three renewals may be lost
const renewJitter = 0.04;
const updateTriesMax = 5; // at once, one after the other
const ensureLimits = { firstMs: 100, maxMs: 7_000 } as const;

export interface LeaseRenewerDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
  readonly namespace: string;
  readonly name: string;
  readonly holderIdentity: string;
  /** The Node that a node's lease belongs to; `undefined` while it is not known. Asked for before each write. */
  owner(): OwnerReference | undefined;
}

/**
 * Says "still alive" every 10 s, by renewing a Lease. Upstream: the kubelet's lease controller.
 *
 *     const owner = () => node && { apiVersion: 'v1', kind: 'Node', name, uid: node.metadata.uid };
 *     const lease = new LeaseRenewer({
 *       client, clock, entropy, log, namespace: 'kube-node-lease', name, holderIdentity: name, owner,
 *     });
 *     scope.start((signal) => lease.run(signal));
 */
export class LeaseRenewer {
  readonly #deps: LeaseRenewerDeps;
  #latest: Lease | undefined; // as last written; undefined: must be read first

  constructor(deps: LeaseRenewerDeps) {
    this.#deps = deps;
  }

  /** Renews until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      for (;;) {
        await this.#renew(signal);
        const { clock, entropy } = this.#deps;
        await clock.sleep(leaseRenewMs * (1 + renewJitter * entropy.unit()), 'lease.renew', signal);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async #renew(signal: AbortSignal): Promise<void> {
    if (this.#latest !== undefined && (await this.#update(this.#latest, signal))) return;
    const latest = await this.#ensure(signal);
    if (latest !== undefined) await this.#update(latest, signal);
  }

  /** The lease as it is, or `undefined` if it was created just now. Tries until it succeeds. */
  async #ensure(signal: AbortSignal): Promise<Lease | undefined> {
    const { client, clock, entropy, log, namespace, name } = this.#deps;
    for (let failures = 0; ; failures++) {
      try {
        return await client.get(resources.leases, { namespace, name }, signal);
      } catch (error) {
        if (signal.aborted || !(error instanceof StatusError)) throw error;
        if (error.reason === 'NotFound' && (await this.#create(signal))) return undefined;
        if (failures === 0) log.warn('leaseNotEnsured', { name, reason: error.reason, error: error.message });
      }
      await clock.sleep(backoffMs(failures, ensureLimits, entropy), 'lease.ensure', signal);
    }
  }

  async #create(signal: AbortSignal): Promise<boolean> {
    const { client, namespace, name } = this.#deps;
    const lease = this.#renewed({ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { namespace, name } });
    try {
      this.#latest = await client.create(resources.leases, { namespace }, lease, signal);
      // Without its owner it is not yet what it should be: read it again next time.
      if (this.#deps.owner() === undefined) this.#latest = undefined;
      return true;
    } catch (error) {
      if (signal.aborted || !(error instanceof StatusError)) throw error;
      this.#deps.log.warn('leaseNotCreated', { name, reason: error.reason, error: error.message });
      return false;
    }
  }

  /** Tries a few times at once. A conflict (somebody else wrote) is met by reading it again. */
  async #update(before: Lease, signal: AbortSignal): Promise<boolean> {
    const { client, log, namespace, name } = this.#deps;
    let base: Lease | undefined = before;
    for (let tries = 1; tries <= updateTriesMax; tries++) {
      try {
        base ??= await client.get(resources.leases, { namespace, name }, signal);
        this.#latest = await client.update(resources.leases, { namespace, name }, this.#renewed(base), signal);
        return true;
      } catch (error) {
        if (signal.aborted || !(error instanceof StatusError)) throw error;
        if (tries === 1) log.warn('leaseNotRenewed', { name, reason: error.reason, error: error.message });
        if (hasReason(error, 'Conflict')) base = undefined;
        if (hasReason(error, 'NotFound')) break;
      }
    }
    this.#latest = undefined;
    return false;
  }

  #renewed(base: Lease): Lease {
    const { clock, holderIdentity } = this.#deps;
    const owner = this.#deps.owner();
    const hasOwner = (base.metadata?.ownerReferences ?? []).length > 0;
    const owners = hasOwner || owner === undefined ? {} : { ownerReferences: [owner] };
    return {
      ...base,
      metadata: { ...base.metadata, ...owners },
      spec: {
        ...base.spec,
        holderIdentity,
        leaseDurationSeconds,
        renewTime: formatMicroTime(clock.wallMs()),
      },
    };
  }
}
