import type { Node, NodeCondition, NodeStatus, ObjectReference } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import { formatTime } from '../api/time.ts';
import type { Clock } from '../base/clock.ts';
import type { Entropy } from '../base/entropy.ts';
import type { Log } from '../base/log.ts';
import { StatusError, hasReason, messageOf } from '../base/status-error.ts';
import type { Client } from '../client/client.ts';
import type { EventRecorder } from '../client/event-recorder.ts';
import type { ContainerRuntime } from '../cri/runtime.ts';
import { Alarm } from '../base/alarm.ts';
import { conditionEvents, networkProblemOf, newNode, nodeStatusOf, runtimeProblemsOf } from './node-status.ts';
import type { NodeFacts, RuntimeFacts } from './node-status.ts';
import { sameValue } from './status-patch.ts';

const updateMs = 10_000; // upstream: nodeStatusUpdateFrequency
const updateJitter = 0.04;
const reportMs = 300_000; // without a change, upstream: nodeStatusReportFrequency
const registerFirstMs = 100;
const registerMaxMs = 7_000;
const notReadyRetryMs = 100; // until the first Ready, for at most fastUpdatesMs
const fastUpdatesMs = 120_000;
const aloneRetryMs = 1_000; // until the runtime is ready
const patchTriesMax = 5;

export interface NodeRegistrationDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
  readonly recorder: EventRecorder;
  readonly runtime: Pick<ContainerRuntime, 'version' | 'status' | 'listImages' | 'updateRuntimeConfig'>;
  /** Why the kubelet cannot see what the runtime has; `undefined`: it can. */
  readonly plegProblem: () => string | undefined;
}

/**
 * Registers the node, and keeps its status in the API: looked at every 10 s, written when something but the heartbeat
 * changed, or every 5 min (section 8.2).
 */
export class NodeRegistration {
  readonly #deps: NodeRegistrationDeps;
  readonly #facts: NodeFacts;
  readonly #alarm: Alarm;
  #node: Node | undefined; // as the API last answered it
  #runtime: RuntimeFacts | undefined; // as last seen
  #writtenMonoMs = 0;
  #reportMs = reportMs;
  #podCidr = ''; // that the runtime was told
  #wasSchedulable: boolean | undefined; // undefined: not known yet

  constructor(deps: NodeRegistrationDeps, facts: NodeFacts) {
    this.#deps = deps;
    this.#facts = facts;
    this.#alarm = new Alarm(deps.clock, 'kubelet.node.status');
  }

  /** `undefined` until it is registered. */
  get node(): Node | undefined {
    return this.#node;
  }

  /** What was last seen of the runtime; `undefined`: nothing yet. */
  get runtime(): RuntimeFacts | undefined {
    return this.#runtime;
  }

  /** Something changed (images were pulled): look before the 10 s are over. */
  poke(): void {
    this.#alarm.ring();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, entropy } = this.#deps;
    const startedMonoMs = clock.monoMs();
    this.#event('Normal', 'Starting', 'Starting kubelet.');
    await this.#register(signal);
    for (;;) {
      const isReady = this.#node?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
      const isFast = isReady !== true && clock.monoMs() - startedMonoMs < fastUpdatesMs;
      const delayMs = isFast ? notReadyRetryMs : updateMs * (1 + updateJitter * entropy.unit());
      await this.#alarm.wait(delayMs, signal);
      await this.#update(signal);
    }
  }

  /** For a node without an API server: only looks how its runtime is. */
  async runAlone(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#look(signal);
      const isReady = this.#runtime !== undefined && networkProblemOf(this.#runtime) === undefined;
      await this.#alarm.wait(isReady ? updateMs : aloneRetryMs, signal);
    }
  }

  /** Makes the Node, or takes over the one that is there. Tries until it succeeds. */
  async #register(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps;
    for (let delayMs = registerFirstMs; ; delayMs = Math.min(registerMaxMs, delayMs * 2)) {
      try {
        await this.#look(signal);
        this.#node = await this.#createOrAdopt(newNode(this.#facts, this.#statusNow(undefined)), signal);
        this.#event('Normal', 'NodeAllocatableEnforced', 'Updated Node Allocatable limit across pods');
        log.info('nodeRegistered', { node: this.#facts.nodeName });
        // A server that keeps status to its subresource has left it out; then it follows at once.
        await this.#update(signal);
        return;
      } catch (error) {
        if (signal.aborted || !(error instanceof StatusError)) throw error;
        log.warn('nodeNotRegistered', { node: this.#facts.nodeName, error: error.message });
      }
      await clock.sleep(delayMs, 'kubelet.node.register', signal);
    }
  }

  async #createOrAdopt(wanted: Node, signal: AbortSignal): Promise<Node> {
    const { client } = this.#deps;
    const { nodeName: name } = this.#facts;
    try {
      const created = await client.create(resources.nodes, {}, wanted, signal);
      this.#announce(undefined, created.status ?? {});
      return created;
    } catch (error) {
      if (!hasReason(error, 'AlreadyExists')) throw error;
    }
    const found = await client.get(resources.nodes, { name }, signal);
    this.#announceReboot(found);
    const labels = missingFrom(found.metadata?.labels, wanted.metadata?.labels);
    const annotations = missingFrom(found.metadata?.annotations, {
      ...this.#facts.annotations,
      ...wanted.metadata?.annotations,
    });
    if (labels === undefined && annotations === undefined) return found;
    const metadata = { ...(labels && { labels }), ...(annotations && { annotations }) };
    return client.patch(resources.nodes, { name }, { type: 'strategic', body: { metadata } }, signal);
  }

  #announceReboot(found: Node): void {
    const before = found.status?.nodeInfo?.bootID ?? '';
    const { nodeName, hostInfo } = this.#facts;
    if (before === '' || before === hostInfo.bootID) return;
    this.#event('Warning', 'Rebooted', `Node ${nodeName} has been rebooted, boot id: ${hostInfo.bootID}`);
  }

  /** Asks the runtime how it is. */
  async #look(signal: AbortSignal): Promise<void> {
    const { clock, log, runtime } = this.#deps;
    const images = runtime.listImages(signal).catch((error: unknown) => {
      if (signal.aborted || !(error instanceof StatusError)) throw error;
      return this.#runtime?.images ?? []; // as they were
    });
    const [facts, listed] = await Promise.allSettled([
      Promise.all([runtime.version(signal), runtime.status(signal)]),
      images,
    ]);
    if (listed.status === 'rejected') throw listed.reason;
    if (facts.status === 'fulfilled') {
      const [version, conditions] = facts.value;
      this.#runtime = { version, conditions, images: listed.value, seenMonoMs: clock.monoMs() };
      return;
    }
    if (signal.aborted || !(facts.reason instanceof StatusError)) throw facts.reason;
    log.warn('runtimeStatusUnknown', { error: facts.reason.message });
  }

  #statusNow(node: Node | undefined): NodeStatus {
    const { clock, plegProblem } = this.#deps;
    const problems = runtimeProblemsOf(this.#runtime, plegProblem(), clock.monoMs());
    const now = formatTime(clock.wallMs());
    return nodeStatusOf(this.#facts, this.#runtime, problems, node?.status, now);
  }

  async #update(signal: AbortSignal): Promise<void> {
    await this.#look(signal);
    let isGone = false;
    for (let tries = 1; tries <= patchTriesMax; tries++) {
      try {
        // Deleted under us: make it anew.
        if (isGone) this.#node = await this.#createOrAdopt(newNode(this.#facts, this.#statusNow(undefined)), signal);
        isGone = false;
        await this.#writeIfDue(signal);
        return;
      } catch (error) {
        if (signal.aborted || !(error instanceof StatusError)) throw error;
        const text = messageOf(error);
        if (tries === 1) this.#deps.log.warn('nodeStatusNotWritten', { node: this.#facts.nodeName, error: text });
        if (hasReason(error, 'NotFound')) isGone = true;
      }
    }
  }

  async #writeIfDue(signal: AbortSignal): Promise<void> {
    const { client, clock, entropy } = this.#deps;
    const name = this.#facts.nodeName;
    const node = await client.get(resources.nodes, { name }, signal);
    this.#node = node;
    this.#announceSchedulable(node);
    if (await this.#tellRuntime(node, signal)) await this.#look(signal);
    const status = this.#statusNow(node);
    const isChanged = !sameValue(withoutHeartbeats(status), withoutHeartbeats(ownPart(node.status, status)));
    if (!isChanged && clock.monoMs() - this.#writtenMonoMs < this.#reportMs) return;
    this.#announce(node.status, status);
    const body = { status: { ...status, conditions: status.conditions, ...removed(node.status, status) } };
    this.#node = await client.patch(
      resources.nodes,
      { name, subresource: 'status' },
      { type: 'strategic', body },
      signal,
    );
    this.#writtenMonoMs = clock.monoMs();
    // After a change the reports of many nodes must not stay in step.
    this.#reportMs = isChanged ? reportMs * (0.5 + entropy.unit()) : reportMs;
  }

  /** Tells the runtime the range of its pods' addresses, once it is known. Resolves to whether there was news. */
  async #tellRuntime({ spec }: Node, signal: AbortSignal): Promise<boolean> {
    const podCidr = (spec?.podCIDRs ?? []).join(',');
    if (podCidr === '' || podCidr === this.#podCidr) return false;
    try {
      await this.#deps.runtime.updateRuntimeConfig({ podCidr }, signal);
      this.#podCidr = podCidr;
      this.#deps.log.info('podCidrKnown', { node: this.#facts.nodeName, podCidr });
      return true;
    } catch (error) {
      if (signal.aborted || !(error instanceof StatusError)) throw error;
      // The runtime says what follows from it; it is tried again at the next look.
      this.#deps.log.warn('podCidrNotUpdated', { node: this.#facts.nodeName, podCidr, error: error.message });
      return false;
    }
  }

  /** Writes an event for each condition that is not what it was. */
  #announce(before: NodeStatus | undefined, after: NodeStatus): void {
    for (const { type, status } of after.conditions ?? []) {
      const was = before?.conditions?.find((condition) => condition.type === type)?.status;
      const reason = conditionEvents[type]?.[status];
      if (was === status || reason === undefined) continue;
      this.#event('Normal', reason, `Node ${this.#facts.nodeName} status is now: ${reason}`);
    }
  }

  #announceSchedulable(node: Node): void {
    const isSchedulable = node.spec?.unschedulable !== true;
    if (this.#wasSchedulable !== undefined && this.#wasSchedulable !== isSchedulable) {
      const reason = isSchedulable ? 'NodeSchedulable' : 'NodeNotSchedulable';
      this.#event('Normal', reason, `Node ${this.#facts.nodeName} status is now: ${reason}`);
    }
    this.#wasSchedulable = isSchedulable;
  }

  #event(type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#deps.recorder.event(nodeReference(this.#facts.nodeName), type, reason, message);
  }
}

/** Upstream gives the node's name for its uid, and `kubectl describe node` looks for both. */
export function nodeReference(name: string): ObjectReference {
  return { kind: 'Node', name, uid: name };
}

type Labels = Readonly<Record<string, string | null>> | undefined;

/** What `wanted` has and `found` has not, or has otherwise; `null` is to go. `undefined`: nothing. */
function missingFrom(found: Labels, wanted: Labels): Labels {
  const missing = Object.entries(wanted ?? {}).filter(([key, value]) => (found?.[key] ?? null) !== value);
  return missing.length === 0 ? undefined : Object.fromEntries(missing);
}

/** The conditions of others (a problem detector's) stay as they are, and are not compared. */
function ownPart(found: NodeStatus | undefined, own: NodeStatus): NodeStatus {
  const types = new Set((own.conditions ?? []).map(({ type }) => type));
  const fields = Object.keys(own).map((field) => [field, field === 'conditions' ? undefined : readField(found, field)]);
  const conditions = (found?.conditions ?? []).filter(({ type }) => types.has(type));
  return { ...Object.fromEntries(fields), conditions };
}

function readField(status: NodeStatus | undefined, field: string): unknown {
  return Object.entries(status ?? {}).find(([name]) => name === field)?.[1];
}

function withoutHeartbeats(status: NodeStatus): NodeStatus {
  const conditions = (status.conditions ?? []).map(withoutHeartbeat);
  return { ...status, conditions };
}

function withoutHeartbeat(condition: NodeCondition): NodeCondition {
  const { lastHeartbeatTime: _lastHeartbeatTime, ...rest } = condition;
  return rest;
}

/** Merging leaves what the patch does not name: what is gone has to be taken out. */
function removed(found: NodeStatus | undefined, own: NodeStatus): Partial<Record<string, unknown>> {
  const allocatable = goneKeys(found?.allocatable, own.allocatable);
  const gone = (found?.addresses ?? []).filter(({ type }) => !own.addresses?.some((address) => address.type === type));
  return {
    ...(allocatable === undefined ? {} : { allocatable: { ...own.allocatable, ...allocatable } }),
    ...(gone.length === 0
      ? {}
      : { addresses: [...(own.addresses ?? []), ...gone.map(({ type }) => ({ $patch: 'delete', type }))] }),
  };
}

/** What the node no longer has, as a patch; `undefined`: nothing. */
function goneKeys(found: Labels, own: Labels): Readonly<Record<string, null>> | undefined {
  const gone = Object.keys(found ?? {}).filter((name) => own?.[name] === undefined);
  return gone.length === 0 ? undefined : Object.fromEntries(gone.map((name) => [name, null]));
}
