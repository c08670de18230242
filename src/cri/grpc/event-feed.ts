import { fromBinary } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import { StatusError, hasReason, messageOf } from '../../base/status-error.ts';
import { TaskScope } from '../../base/task-scope.ts';
import type { ContainerEvents } from '../container-events.ts';
import { podLabels, type ContainerEvent } from '../runtime.ts';
import { callMs } from './call-deadlines.ts';
import { ContainerLedger, type ContainerStage } from './container-ledger.ts';
import type { ContainerReader } from './container-reader.ts';
import { containerEventKinds } from './cri-values.ts';
import {
  ContainerEventSchema,
  TaskDeleteSchema,
  TaskEventSchema,
  TaskExitSchema,
  type Envelope,
} from './gen/containerd-events_pb.ts';
import type { ContainerEventResponse } from './gen/cri_pb.ts';
import type { RpcConnection } from './rpc-connection.ts';
import { RpcError } from './rpc-errors.ts';

/** Between two listings where the runtime pushes nothing. Upstream: the PLEG's relist period. */
const pollMs = 1_000;
/** Between two listings beside a stream of events: a net below it. */
const safetyMs = 60_000;
/** After a stream was asked for it may take the runtime this long to send what happens: a listing covers it. */
const settleMs = 1_000;
/** Between two attempts to follow the runtime. */
const retryMs = 1_000;
/** How long polling goes on before streams are asked for again: the runtime may have been replaced by a newer one. */
const pollingMs = 300_000;
/** An exit is reported by the shim; until the runtime's status has it some 10 ms pass. As long as containerd tries. */
const exitVisibleMsMax = 10_000;
const exitTickMs = 2;
/** Between two looks at the status. When containerd has put the task away, its last step but one, each tick has one. */
const exitLookMs = 25;
const quickLooksMax = 20;
/** After a container was reported out of memory until its status says so. */
const oomVisibleMsMax = 1_000;
/** A container may be told to have been killed before it is told to have been out of memory. */
const oomToldMsMax = 100;
const killedExitCode = 137;

const namespace = 'k8s.io'; // of containerd; its CRI part uses this one
const kindLabel = 'io.cri-containerd.kind';
const topics = [
  '/containers/create',
  '/containers/delete',
  '/tasks/start',
  '/tasks/exit',
  '/tasks/delete',
  '/tasks/oom',
] as const;
const filters = topics.map((topic) => `namespace==${namespace},topic=="${topic}"`);

interface FeedDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly rpc: RpcConnection;
  readonly reader: ContainerReader;
  readonly events: ContainerEvents;
}

type Source = 'containerd' | 'cri' | 'polling';

/**
 * Tells of every container's changes as they happen: by containerd's own events, else by CRI's (containerd 1.7, CRI-O),
 * else by a listing each second. Listings also cover what happened while the runtime could not be reached.
 */
export class EventFeed {
  readonly #deps: FeedDeps;
  readonly #ledger = new ContainerLedger();
  readonly #queues = new Map<string, ((signal: AbortSignal) => Promise<void>)[]>(); // by container, in order
  readonly #otherIds = new Set<string>(); // in containerd's events: sandboxes, and what is not ours
  readonly #oomIds = new Set<string>(); // out of memory, not yet ended
  readonly #putAwayIds = new Set<string>(); // their task is deleted; what waits for the status looks at once

  constructor(deps: FeedDeps) {
    this.#deps = deps;
  }

  /** Until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, events } = this.#deps;
    let source: Source = 'containerd';
    let failure = '';
    try {
      for (;;) {
        const startedMonoMs = clock.monoMs();
        try {
          await this.#follow(source, signal);
        } catch (error) {
          signal.throwIfAborted();
          if (!(error instanceof StatusError)) throw error;
          if (error instanceof RpcError && error.code === Code.Unimplemented && source !== 'polling') {
            source = source === 'containerd' ? 'cri' : 'polling';
            continue;
          }
          const wasUp = clock.monoMs() - startedMonoMs > retryMs;
          if (wasUp || error.message !== failure) log.warn('runtimeEventsLost', { error: error.message });
          failure = error.message;
        }
        if (source === 'polling') source = 'containerd';
        const leftMs = startedMonoMs + retryMs - clock.monoMs();
        if (leftMs > 0) await clock.sleep(leftMs, 'cri.events.retry', signal);
      }
    } catch (error) {
      if (!signal.aborted) log.error('runtimeEventsFailed', { error: messageOf(error) });
      events.breakOff(messageOf(error));
      throw error;
    }
  }

  /** Until the stream ends, with listings beside it. */
  async #follow(source: Source, signal: AbortSignal): Promise<void> {
    const { clock, rpc } = this.#deps;
    const scope = new TaskScope(signal);
    scope.start((inner) => this.#list(source, inner));
    try {
      switch (source) {
        case 'containerd':
          await rpc.read(
            scope.signal,
            (options) => rpc.events.subscribe({ filters }, options),
            (envelope) => this.#onEnvelope(envelope, scope),
          );
          break;
        case 'cri':
          await rpc.read(
            scope.signal,
            (options) => rpc.runtime.getContainerEvents({}, options),
            (response) => this.#onResponse(response, scope),
          );
          break;
        case 'polling':
          await clock.sleep(pollingMs, 'cri.events.polling', scope.signal);
          break;
      }
    } finally {
      for (const kept of [this.#queues, this.#otherIds, this.#oomIds, this.#putAwayIds]) kept.clear();
      await scope.close();
    }
  }

  async #list(source: Source, signal: AbortSignal): Promise<void> {
    const { clock, log, reader } = this.#deps;
    for (let isFirst = true; ; isFirst = false) {
      try {
        this.#ledger.listingBegins();
        this.#emit(this.#ledger.listed(await reader.stages(signal)));
      } catch (error) {
        if (signal.aborted || !(error instanceof StatusError)) throw error;
        // Without a connection there is no stream either, which says so.
        if (error.reason !== 'ServiceUnavailable') log.warn('runtimeListingFailed', { error: error.message });
      }
      const periodMs = source === 'polling' ? pollMs : isFirst ? settleMs : safetyMs;
      await clock.sleep(periodMs, 'cri.events.list', signal);
    }
  }

  #onEnvelope({ topic, event }: Envelope, scope: TaskScope): void {
    const value = event?.value ?? new Uint8Array();
    switch (topic) {
      case '/containers/create': {
        const { id } = fromBinary(ContainerEventSchema, value);
        this.#enqueue(id, scope, (signal) => this.#onStage(id, 'created', signal));
        break;
      }
      case '/tasks/start': {
        const { containerId } = fromBinary(TaskEventSchema, value);
        this.#enqueue(containerId, scope, (signal) => this.#onStage(containerId, 'running', signal));
        break;
      }
      case '/tasks/exit': {
        const { containerId, id } = fromBinary(TaskExitSchema, value);
        // Commands executed in the container end too.
        if (id === containerId) this.#enqueue(id, scope, (signal) => this.#onStage(id, 'exited', signal));
        break;
      }
      case '/tasks/delete': {
        const { containerId, id } = fromBinary(TaskDeleteSchema, value);
        if ((id === '' || id === containerId) && this.#queues.has(containerId)) this.#putAwayIds.add(containerId);
        break;
      }
      case '/tasks/oom': {
        const { containerId } = fromBinary(TaskEventSchema, value);
        this.#oomIds.add(containerId);
        this.#deps.reader.changed(containerId);
        break;
      }
      case '/containers/delete': {
        const { id } = fromBinary(ContainerEventSchema, value);
        this.#enqueue(id, scope, () => this.#onRemoved(id));
        break;
      }
      default: // not asked for
    }
  }

  #onResponse({ containerId, containerEventType, podSandboxStatus }: ContainerEventResponse, scope: TaskScope): void {
    if (containerId === podSandboxStatus?.id) return; // the sandbox itself
    if (podSandboxStatus !== undefined && !this.#deps.reader.owns(podSandboxStatus.labels)) return;
    const podUid = podSandboxStatus?.metadata?.uid;
    const kind = containerEventKinds[containerEventType];
    if (kind === undefined) return;
    if (kind === 'deleted') {
      this.#enqueue(containerId, scope, () => this.#onRemoved(containerId));
      return;
    }
    const stage = stageByKind[kind];
    this.#enqueue(containerId, scope, (signal) => this.#onStage(containerId, stage, signal, podUid));
  }

  async #onStage(id: string, stage: ContainerStage, signal: AbortSignal, podUid?: string): Promise<void> {
    const owner = podUid ?? this.#ledger.podUidOf(id) ?? (await this.#lookUp(id, signal));
    if (owner === undefined) return;
    if (stage === 'exited') await this.#untilExitIsVisible(id, signal);
    this.#emit(this.#ledger.reached(id, owner, stage));
  }

  async #onRemoved(id: string): Promise<void> {
    this.#otherIds.delete(id);
    this.#oomIds.delete(id);
    this.#putAwayIds.delete(id);
    this.#deps.reader.forget(id);
    this.#emit(this.#ledger.removed(id));
    await Promise.resolve();
  }

  /** By containerd's own record, there before CRI knows the container. `undefined`: not a pod's, or not ours. */
  async #lookUp(id: string, signal: AbortSignal): Promise<string | undefined> {
    if (this.#otherIds.has(id)) return undefined;
    const { rpc, reader } = this.#deps;
    try {
      const { container } = await rpc.call('getContainer', callMs, signal, (options) =>
        rpc.containers.get({ id }, { ...options, headers: { 'containerd-namespace': namespace } }),
      );
      const labels = container?.labels ?? {};
      if (labels[kindLabel] === 'container' && reader.owns(labels)) return labels[podLabels.podUid] ?? '';
      this.#otherIds.add(id);
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error; // it is gone again
    }
    return undefined;
  }

  /** Who hears of a death asks for the status next, and must not be told that it runs. */
  async #untilExitIsVisible(id: string, signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    const startedMonoMs = clock.monoMs();
    let lookAtMs = 0;
    let quickLooksLeft = quickLooksMax;
    for (let waitedMs = 0; waitedMs <= exitVisibleMsMax; waitedMs = clock.monoMs() - startedMonoMs) {
      const isQuick = quickLooksLeft > 0 && this.#putAwayIds.has(id);
      if (isQuick) quickLooksLeft -= 1;
      if (isQuick || waitedMs >= lookAtMs) {
        if (await this.#isExitVisible(id, waitedMs, signal)) break;
        lookAtMs = waitedMs + exitLookMs;
      }
      await clock.sleep(exitTickMs, 'cri.events.exitVisible', signal);
    }
    this.#putAwayIds.delete(id);
  }

  async #isExitVisible(id: string, waitedMs: number, signal: AbortSignal): Promise<boolean> {
    try {
      const { state, reason, exitCode } = await this.#deps.reader.container(id, signal);
      if (state !== 'exited') return false;
      if (reason === 'OOMKilled' || (exitCode !== killedExitCode && !this.#oomIds.has(id))) return true;
      return waitedMs >= (this.#oomIds.has(id) ? oomVisibleMsMax : oomToldMsMax);
    } catch (error) {
      if (hasReason(error, 'NotFound')) return true;
      throw error;
    }
  }

  #emit(events: readonly ContainerEvent[]): void {
    for (const event of events) this.#deps.events.emit(event);
  }

  /** What concerns one container happens in order; those of others do not wait for it. */
  #enqueue(id: string, scope: TaskScope, task: (signal: AbortSignal) => Promise<void>): void {
    const queue = this.#queues.get(id);
    if (queue !== undefined) {
      queue.push(task);
      return;
    }
    const own = [task];
    this.#queues.set(id, own);
    scope.start(async (signal) => {
      try {
        for (let next = own.shift(); next !== undefined; next = own.shift()) await this.#try(id, next, signal);
      } finally {
        if (this.#queues.get(id) === own) this.#queues.delete(id);
      }
    });
  }

  /** One that fails is made up for by the next listing. */
  async #try(id: string, task: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
    try {
      await task(signal);
    } catch (error) {
      if (signal.aborted || !(error instanceof StatusError)) throw error;
      this.#deps.log.warn('runtimeEventFailed', { containerId: id, error: error.message });
    }
  }
}

const stageByKind = { created: 'created', started: 'running', stopped: 'exited' } as const;
