import type { Lease, OwnerReference } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import { formatMicroTime } from '../api/time.ts';
import { Alarm } from '../base/alarm.ts';
import { backoffMs } from '../base/backoff.ts';
import type { Clock } from '../base/clock.ts';
import type { Entropy } from '../base/entropy.ts';
import type { Log } from '../base/log.ts';
import { StatusError, hasReason } from '../base/status-error.ts';
import { withDeadline } from '../base/with-deadline.ts';
import type { Client } from './client.ts';
import { defaultHeartbeat } from './heartbeat.ts';
import type { Heartbeat, HeartbeatSource } from './heartbeat.ts';

const requestMs = 10_000; // for one answer; what hangs on a broken connection would be missed otherwise
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
  /** The Node that a node's lease belongs to. While it is not known (`undefined`) no lease is made; a found one is kept. */
  owner(): OwnerReference | undefined;
  /** Default: upstream's. */
  readonly heartbeat?: HeartbeatSource;
}

/**
 * Says "still alive" every 10 s (or as often as `heartbeat` says), by renewing a Lease. Upstream: the kubelet's lease controller.
 *
 *     const owner = () => node && { apiVersion: 'v1', kind: 'Node', name, uid: node.metadata.uid };
 *     const lease = new LeaseRenewer({
 *       client, clock, entropy, log, namespace: 'kube-node-lease', name, holderIdentity: name, owner,
 *     });
 *     scope.start((signal) => lease.run(signal));
 */
export class LeaseRenewer {
  readonly #deps: LeaseRenewerDeps;
  readonly #alarm: Alarm;
  #latest: Lease | undefined; // as last written; undefined: must be read first

  constructor(deps: LeaseRenewerDeps) {
    this.#deps = deps;
    this.#alarm = new Alarm(deps.clock, 'lease.renew');
    deps.heartbeat?.onChange(() => this.#alarm.ring());
  }

  get #heartbeat(): Heartbeat {
    return this.#deps.heartbeat?.current() ?? defaultHeartbeat;
  }

  /** Renews until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      for (;;) {
        await this.#renew(signal);
        const { renewMs } = this.#heartbeat;
        await this.#alarm.wait(renewMs * (1 + renewJitter * this.#deps.entropy.unit()), signal);
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
        return await this.#within(signal, (own) => client.get(resources.leases, { namespace, name }, own));
      } catch (error) {
        if (signal.aborted || !(error instanceof StatusError)) throw error;
        const mayCreate = error.reason === 'NotFound' && this.#deps.owner() !== undefined;
        if (mayCreate && (await this.#create(signal))) return undefined;
        if (failures === 0 && error.reason !== 'NotFound')
          log.warn('leaseNotEnsured', { name, reason: error.reason, error: error.message });
      }
      await clock.sleep(backoffMs(failures, ensureLimits, entropy), 'lease.ensure', signal);
    }
  }

  async #create(signal: AbortSignal): Promise<boolean> {
    const { client, namespace, name } = this.#deps;
    const lease = this.#renewed({ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { namespace, name } });
    try {
      this.#latest = await this.#within(signal, (own) => client.create(resources.leases, { namespace }, lease, own));
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
        base ??= await this.#within(signal, (own) => client.get(resources.leases, { namespace, name }, own));
        const renewed = this.#renewed(base);
        this.#latest = await this.#within(signal, (own) =>
          client.update(resources.leases, { namespace, name }, renewed, own),
        );
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

  #within<T>(signal: AbortSignal, request: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const limit = { name: 'lease.request', limitMs: requestMs, message: 'the server does not answer' };
    return withDeadline(this.#deps.clock, limit, signal, request);
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
        leaseDurationSeconds: this.#heartbeat.leaseDurationSeconds,
        renewTime: formatMicroTime(clock.wallMs()),
      },
    };
  }
}
