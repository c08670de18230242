import type { ObjectReference, Pod, PodCondition } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import { formatTime } from '../api/time.ts';
import { backoffMs } from '../base/backoff.ts';
import type { Clock } from '../base/clock.ts';
import type { Entropy } from '../base/entropy.ts';
import type { Log } from '../base/log.ts';
import { StatusError, hasReason } from '../base/status-error.ts';
import type { Client } from '../client/client.ts';
import type { PodNeeds } from './pod-needs.ts';

const bindRetry = { firstMs: 500, maxMs: 10_000 } as const; // while it is not known whether a pod was bound

export interface ApiWritesDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
}

/** `unbound`: surely not bound by us. */
export type BindOutcome = { readonly kind: 'bound' } | { readonly kind: 'unbound'; readonly error: StatusError };

/** What the scheduler tells the API server. Each throws, besides the abort, only what is a bug. */
export class ApiWrites {
  readonly #deps: ApiWritesDeps;

  constructor(deps: ApiWritesDeps) {
    this.#deps = deps;
  }

  /**
   * Binds the pod. When no answer comes it asks for the same node again until there is one: until then the pod may be
   * there, and must neither be bound elsewhere nor leave its room to others.
   */
  async bind(needs: PodNeeds, nodeName: string, signal: AbortSignal): Promise<BindOutcome> {
    const { clock, entropy, log } = this.#deps;
    const { namespace, name, uid } = needs;
    for (let attempt = 0; ; attempt++) {
      try {
        await this.#createBinding(needs, nodeName, signal);
        return { kind: 'bound' };
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof StatusError)) throw error;
        // A Conflict says that it is bound already: by us, if the request came twice on its way.
        const isUncertain = hasReason(error, 'Timeout', 'ServiceUnavailable', 'InternalError', 'Conflict');
        if (!isUncertain && attempt === 0) return { kind: 'unbound', error };
        const where = await this.#whereIs(needs, signal);
        if (where === nodeName) return { kind: 'bound' };
        if (where !== undefined && !hasReason(error, 'Timeout', 'ServiceUnavailable'))
          return { kind: 'unbound', error };
        log.warn('bindUncertain', { namespace, pod: name, podUid: uid, node: nodeName, error: error.message });
        await clock.sleep(backoffMs(attempt, bindRetry, entropy), 'scheduler.bind.retry', signal);
      }
    }
  }

  async #createBinding({ namespace, name, uid }: PodNeeds, nodeName: string, signal: AbortSignal): Promise<void> {
    const binding = {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { namespace, name, uid },
      target: { kind: 'Node', name: nodeName },
    };
    await this.#deps.client.create(resources.pods, { namespace, name, subresource: 'binding' }, binding, signal);
  }

  /** The node that it is bound to; `''`: it is bound to none, or gone; `undefined`: that cannot be learnt now. */
  async #whereIs({ namespace, name, uid }: PodNeeds, signal: AbortSignal): Promise<string | undefined> {
    try {
      const pod = await this.#deps.client.get(resources.pods, { namespace, name }, signal);
      return pod.metadata?.uid === uid ? (pod.spec?.nodeName ?? '') : '';
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof StatusError)) throw error;
      return error.reason === 'NotFound' ? '' : undefined;
    }
  }

  /** Writes why the pod waits. `nomination`: the node that room is made on; `''`: none any more. */
  async setPending(
    pod: Pod,
    said: { readonly reason: string; readonly message: string },
    nomination: string | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const before = scheduledCondition(pod);
    const condition = this.#condition(pod, before?.status === 'False' ? before : undefined, {
      type: 'PodScheduled',
      status: 'False',
      ...said,
    });
    const nominatedNodeName = nomination === '' ? null : nomination;
    await this.#patchStatus(
      pod,
      {
        conditions: [condition],
        ...(nominatedNodeName === undefined ? {} : { nominatedNodeName }),
      },
      signal,
    );
  }

  /** It is no longer meant for the node that room was made on. */
  async clearNomination(pod: Pod, signal: AbortSignal): Promise<void> {
    await this.#patchStatus(pod, { nominatedNodeName: null }, signal);
  }

  /** Ends a pod for the sake of `preemptor`. Returns whether it is ending, or gone. */
  async preempt(victim: Pod, preemptor: PodNeeds, signal: AbortSignal): Promise<boolean> {
    const { namespace = '', name = '', uid = '' } = victim.metadata ?? {};
    const condition = this.#condition(victim, undefined, {
      type: 'DisruptionTarget',
      status: 'True',
      reason: 'PreemptionByScheduler',
      message: `${preemptor.schedulerName}: preempting to accommodate a higher priority pod`,
    });
    if (!(await this.#patchStatus(victim, { conditions: [condition] }, signal))) return false;
    try {
      await this.#deps.client.delete(resources.pods, { namespace, name }, { preconditions: { uid } }, signal);
      this.#deps.log.info('podPreempted', { namespace, pod: name, podUid: uid, preemptorUid: preemptor.uid });
      return true;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof StatusError)) throw error;
      if (isGone(error)) return true;
      this.#deps.log.warn('preemptionFailed', { namespace, pod: name, reason: error.reason, error: error.message });
      return false;
    }
  }

  #condition(
    pod: Pod,
    since: PodCondition | undefined,
    said: Pick<PodCondition, 'type' | 'status' | 'reason' | 'message'>,
  ): PodCondition {
    const now = formatTime(this.#deps.clock.wallMs());
    const { generation } = pod.metadata ?? {};
    return {
      ...said,
      lastProbeTime: null,
      lastTransitionTime: since?.lastTransitionTime ?? now,
      ...(generation === undefined ? {} : { observedGeneration: generation }),
    };
  }

  /** Returns whether it is written; one that is gone needs it no more. */
  async #patchStatus(pod: Pod, status: object, signal: AbortSignal): Promise<boolean> {
    const { namespace = '', name = '', uid = '' } = pod.metadata ?? {};
    const body = { metadata: { uid }, status };
    try {
      const ref = { namespace, name, subresource: 'status' };
      await this.#deps.client.patch(resources.pods, ref, { type: 'strategic', body }, signal);
      return true;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof StatusError)) throw error;
      if (isGone(error)) return true;
      // What a pod waits for is written again at the next try, if the pod is still there.
      this.#deps.log.warn('conditionNotWritten', { namespace, pod: name, reason: error.reason, error: error.message });
      return false;
    }
  }
}

/** Or another has its name by now: every request names the uid. */
function isGone({ reason }: StatusError): boolean {
  return reason === 'NotFound' || reason === 'Conflict';
}

export function scheduledCondition(pod: Pod): PodCondition | undefined {
  return pod.status?.conditions?.find((condition) => condition.type === 'PodScheduled');
}

export function referenceTo(pod: Pod): ObjectReference {
  const { namespace = '', name = '', uid = '', resourceVersion = '' } = pod.metadata ?? {};
  return { apiVersion: 'v1', kind: 'Pod', namespace, name, uid, resourceVersion };
}
