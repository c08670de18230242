import type { Event, ObjectReference } from '../api/gen/types.ts';
import { formatTime } from '../api/time.ts';
import { resources } from '../api/resources.ts';
import type { Clock } from '../base/clock.ts';
import type { Entropy } from '../base/entropy.ts';
import type { Log } from '../base/log.ts';
import { hasReason } from '../base/status-error.ts';
import type { Client } from './client.ts';
import { EventCorrelator } from './event-correlator.ts';
import type { EventDecision } from './event-correlator.ts';
import { EventInstants, eventName, eventNamespace } from './event-name.ts';
import type { EventRecorder } from './event-recorder.ts';
import { EventSender } from './event-sender.ts';
import type { EventWrite } from './event-sender.ts';

export interface EventRecorderDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
  /** Who writes: `{ component: 'kubelet', host: 'worker002' }`. Controllers have no host. */
  readonly source: { readonly component: string; readonly host?: string };
}

/**
 * Writes core (v1) events, as the kubelet and the controllers do.
 *
 *     const source = { component: 'kubelet', host: nodeName };
 *     const events = new CorrelatingEventRecorder({ client, clock, entropy, log, source });
 *     scope.start((signal) => events.run(signal));
 *     events.event(reference, 'Normal', 'Started', 'Started container web');
 *     await scope.close(); await events.flush(signalWithADeadline);
 */
export class CorrelatingEventRecorder implements EventRecorder {
  readonly #deps: EventRecorderDeps;
  readonly #correlator = new EventCorrelator();
  readonly #sender: EventSender;
  readonly #instants: EventInstants;

  constructor(deps: EventRecorderDeps) {
    this.#deps = deps;
    this.#instants = new EventInstants(deps);
    this.#sender = new EventSender(deps);
  }

  get droppedCount(): number {
    return this.#sender.droppedCount;
  }

  event(object: ObjectReference, type: 'Normal' | 'Warning', reason: string, message: string): void {
    const event = this.#make(object, type, reason, message);
    this.#sender.offer(() => this.#writeOf(this.#correlator.correlate(event, this.#now())));
  }

  /** Writes until `signal` aborts. */
  run(signal: AbortSignal): Promise<void> {
    return this.#sender.run(signal);
  }

  /** Writes what is queued, also after `run` has ended; gives up when `signal` aborts. */
  flush(signal: AbortSignal): Promise<void> {
    return this.#sender.flush(signal);
  }

  #now(): { monoMs: number; wallMs: number; nanosWithinMs: number } {
    return { monoMs: this.#deps.clock.monoMs(), ...this.#instants.next() };
  }

  #make(object: ObjectReference, type: 'Normal' | 'Warning', reason: string, message: string): Event {
    const { source } = this.#deps;
    const { wallMs, nanosWithinMs } = this.#now();
    const timestamp = formatTime(wallMs);
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: {
        name: eventName(object.name ?? '', wallMs, nanosWithinMs),
        namespace: eventNamespace(object.namespace),
      },
      involvedObject: object,
      reason,
      message,
      source,
      firstTimestamp: timestamp,
      lastTimestamp: timestamp,
      count: 1,
      type,
      reportingComponent: source.component,
      reportingInstance: source.host ?? '',
    };
  }

  #writeOf(decision: EventDecision): EventWrite | undefined {
    switch (decision.kind) {
      case 'drop':
        return undefined;
      case 'create':
        return async (signal) => this.#create(decision.event, signal);
      case 'patch':
        return async (signal) => this.#patch(decision, signal);
    }
  }

  async #create(event: Event, signal: AbortSignal): Promise<void> {
    const namespace = eventNamespace(event.metadata?.namespace);
    const body = { apiVersion: 'v1', kind: 'Event', ...event };
    this.#correlator.written(await this.#deps.client.create(resources.events, { namespace }, body, signal));
  }

  async #patch(decision: Extract<EventDecision, { kind: 'patch' }>, signal: AbortSignal): Promise<void> {
    const { event, patch: body } = decision;
    const ref = { namespace: eventNamespace(event.metadata?.namespace), name: event.metadata?.name ?? '' };
    try {
      const patched = await this.#deps.client.patch(resources.events, ref, { type: 'strategic', body }, signal);
      this.#correlator.written(patched);
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error;
      await this.#create(event, signal); // its time to live was over
    }
  }
}
