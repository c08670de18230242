import type { Pod } from '../../src/api/gen/types.ts';
import { invariant } from '../../src/base/status-error.ts';
import { podLabels } from '../../src/cri/runtime.ts';
import type { RuntimeContainerStatus } from '../../src/cri/runtime.ts';
import type { ProbeAttempt } from '../../src/kubelet/probes/prober.ts';

/** What must hold at every moment of a run, whatever goes wrong. */
export class LifeChecker {
  readonly #conditions = new Set<string>(); // all that were ever said
  readonly #isOneClock: boolean;
  readonly #mayBeLate: () => boolean;
  readonly #running: () => readonly RuntimeContainerStatus[];
  #lastRevision = 0;
  readonly #restarts = new Map<string, number>(); // by pod uid and container; the highest seen
  readonly #terminal = new Set<string>(); // pod uids whose phase was Succeeded or Failed
  readonly #graces = new Map<string, number>(); // by pod uid; the last deletionGracePeriodSeconds seen
  readonly #gone = new Set<string>(); // pod uids that left the API
  readonly #uidByName = new Map<string, string>(); // of pods that are in the API
  readonly #forced = new Set<string>(); // pod uids that were deleted with grace 0: they leave at once
  readonly #before = new Map<string, Pod>(); // by pod uid; as last seen
  readonly #attempts = new Set<string>(); // `CONTAINER_ID OUTCOME` of readiness probes

  /**
   * `isOneClock`: one kubelet with one clock says how pods are, so that times never go back. `mayBeLate`: a kubelet died a
   * moment ago, and its last words may arrive after its successor's first.
   */
  constructor(running: () => readonly RuntimeContainerStatus[], isOneClock = true, mayBeLate = () => false) {
    this.#running = running;
    this.#isOneClock = isOneClock;
    this.#mayBeLate = mayBeLate;
  }

  /** The pod with this uid was in the API, and is there no more. */
  isGone(uid: string): boolean {
    return this.#gone.has(uid);
  }

  /** The pod of this name was told to go at once: its object need not wait for its containers. */
  onForcedDelete(name: string): void {
    const uid = this.#uidByName.get(name);
    if (uid !== undefined) this.#forced.add(uid);
  }

  /** What a probe found, whichever kubelet made it. */
  onAttempt({ probeType, containerId, outcome }: ProbeAttempt): void {
    if (probeType === 'Readiness') this.#attempts.add(`${containerId} ${outcome}`);
  }

  /** A change, as a watch of all pods delivers it. */
  onEvent(type: 'ADDED' | 'MODIFIED' | 'DELETED', pod: Pod): void {
    const uid = pod.metadata?.uid ?? '';
    const name = pod.metadata?.name ?? '';
    const revision = Number(pod.metadata?.resourceVersion);
    invariant(revision > this.#lastRevision, `${name}: revision ${revision} after ${this.#lastRevision}`);
    this.#lastRevision = revision;
    this.#checkCounts(uid, name, pod);
    const phase = pod.status?.phase ?? '';
    const isTerminal = phase === 'Succeeded' || phase === 'Failed';
    invariant(isTerminal || !this.#terminal.has(uid), `${name}: phase ${phase} after it had ended`);
    if (isTerminal) this.#terminal.add(uid);
    const grace = pod.metadata?.deletionGracePeriodSeconds;
    const before = this.#graces.get(uid);
    if (grace !== undefined && before !== undefined) {
      invariant(grace <= before, `${name}: grace period went from ${before} to ${grace}`);
    }
    if (grace !== undefined) this.#graces.set(uid, grace);
    checkFlags(pod);
    if (this.#isOneClock) this.#checkTimes(this.#before.get(uid), pod);
    if (isCollected(pod)) this.#forced.add(uid); // its node was given up: nobody waits for its containers
    this.#checkProbed(this.#before.get(uid), pod);
    this.#before.set(uid, pod);
    if (type !== 'DELETED') {
      this.#uidByName.set(name, uid);
      return;
    }
    this.#leave(uid, name);
    if (this.#forced.has(uid)) return;
    const left = this.#running().filter(({ labels }) => labels[podLabels.podUid] === uid);
    invariant(
      left.length === 0,
      `${name}: left the API while ${left.map(({ metadata }) => metadata.name).join(' ')} ran`,
    );
  }

  /** It left the API while nobody looked, with whatever was said of it before. */
  onMissed({ metadata }: Pod): void {
    const { uid = '', name = '' } = metadata ?? {};
    this.#forced.add(uid);
    this.#leave(uid, name);
  }

  #leave(uid: string, name: string): void {
    this.#gone.add(uid);
    this.#before.delete(uid);
    if (this.#uidByName.get(name) === uid) this.#uidByName.delete(name);
  }

  #checkCounts(uid: string, name: string, pod: Pod): void {
    const statuses = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])];
    for (const status of statuses) {
      const key = `${uid} ${status.name}`;
      const before = this.#restarts.get(key) ?? 0;
      const now = status.restartCount;
      invariant(now >= before, `${name}: restarts of ${status.name} fell from ${before} to ${now}`);
      this.#restarts.set(key, now);
    }
  }

  /** An instance stays started, and is ready or not as its probes found it, over any restart of the kubelet. */
  #checkProbed(before: Pod | undefined, { metadata, spec, status }: Pod): void {
    const old = [...(before?.status?.initContainerStatuses ?? []), ...(before?.status?.containerStatuses ?? [])];
    const now = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
    for (const { name, containerID, state, started, ready } of now) {
      const was = old.find((candidate) => candidate.name === name);
      if (
        was === undefined ||
        was.containerID !== containerID ||
        state?.running === undefined ||
        was.state?.running === undefined
      )
        continue;
      const where = `${metadata?.name}: ${name}`;
      invariant(was.started !== true || started === true, `${where} runs on and has no longer started`);
      const hasProbe = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])].some(
        (container) => container.name === name && container.readinessProbe !== undefined,
      );
      if (!hasProbe || was.ready === ready || was.started !== true || this.#mayBeLate()) continue;
      const cause = ready ? 'success' : 'failure';
      const isCaused = this.#attempts.has(`${containerID} ${cause}`);
      invariant(isCaused, `${where} went from ready ${was.ready} to ${ready} without a ${cause} of its probe`);
    }
  }

  /**
   * The start time stays; the time of a condition does not go back, unless what it says was there before: the node
   * controller writes Ready too, and a write of the kubelet's may arrive twice.
   */
  #checkTimes(before: Pod | undefined, now: Pod): void {
    const name = now.metadata?.name;
    const { startTime } = before?.status ?? {};
    invariant(startTime === undefined || now.status?.startTime === startTime, `${name}: start time changed`);
    for (const condition of now.status?.conditions ?? []) {
      const { type, status, lastTransitionTime = '' } = condition;
      const said = `${now.metadata?.uid} ${type} ${status} ${lastTransitionTime}`;
      const isRepeated = this.#conditions.has(said);
      this.#conditions.add(said);
      const old = before?.status?.conditions?.find((candidate) => candidate.type === type);
      if (old === undefined || isRepeated) continue;
      const since = old.lastTransitionTime ?? '';
      // It may have changed there and back between two writes, so the same status may come with another time.
      const isOlder = Date.parse(lastTransitionTime) < Date.parse(since) - lateWriteMsMax;
      invariant(!isOlder, `${name}: ${type} went from ${old.status} at ${since} to ${status} at ${lastTransitionTime}`);
    }
  }

  /** Between two timers. */
  check(): void {
    const live = new Set<string>();
    for (const { metadata, labels } of this.#running()) {
      const uid = labels[podLabels.podUid] ?? '';
      const key = `${uid} ${metadata.name}`;
      invariant(!live.has(key), `second live container ${labels[podLabels.podName]}/${metadata.name}`);
      live.add(key);
      if (this.#forced.has(uid)) continue;
      invariant(!this.#gone.has(uid), `container ${key} runs, but its pod has left the API`);
      invariant(!this.#terminal.has(uid), `container ${key} runs, but the phase of its pod says that it has ended`);
    }
  }
}

function isCollected({ status }: Pod): boolean {
  return (
    status?.conditions?.some(({ type, reason }) => type === 'DisruptionTarget' && reason === 'DeletionByPodGC') === true
  );
}

/** Ready is what the containers of the very same object say. */
function checkFlags({ metadata, spec, status }: Pod): void {
  const statuses = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
  const sidecars = (spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  const counted = new Set([...sidecars, ...(spec?.containers ?? [])].map(({ name }) => name));
  for (const { name, ready, started, state } of statuses) {
    if (!counted.has(name) || !ready) continue;
    invariant(state?.running !== undefined, `${metadata?.name}: ${name} is ready and does not run`);
    invariant(started === true, `${metadata?.name}: ${name} is ready and has not started`);
  }
  const isReady = status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True');
  if (isReady !== true) return;
  const readyCount = statuses.filter(({ name, ready }) => counted.has(name) && ready).length;
  invariant(readyCount === counted.size, `${metadata?.name}: Ready, with ${readyCount} of ${counted.size} containers`);
}

const lateWriteMsMax = 5_000; // the last words of a kubelet that died may arrive after its successor's first
