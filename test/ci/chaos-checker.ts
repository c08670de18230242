/** What must hold while nodes and their server die: the API as a watch tells it, beside what really runs. */
import type { Pod } from '../../src/api/gen/types.ts';
import type { ContainerProcess } from './nodes-processes.ts';

/**
 * How long a node that is well again may take to end what the API has no more. After many faults it asks its server no
 * more often than every 30 s (`informer-state.ts`); the rest is for the end itself, on a busy machine.
 */
export const endMsMax = 60_000;
/** How long a start and the end of the pod in the API may cross on the way. */
const crossingMsMax = 5_000;

interface KnownPod {
  readonly restarts: ReadonlyMap<string, number>;
  readonly nodeName: string;
  readonly phase: string;
  readonly isEnding: boolean;
  /** `undefined`: it is there. */
  readonly goneMs: number | undefined;
}

/**
 * Tell it what happens, in order; all times are on one scale.
 *
 *     const checker = new ChaosChecker();
 *     checker.onPod(pod, 'present', nowMs); checker.onNode('n1', true, nowMs); checker.onContainers(live, nowMs); ...
 *     assert.deepEqual(checker.violations, []);
 */
export class ChaosChecker {
  readonly #violations = new Set<string>(); // each is told once
  readonly #pods = new Map<string, KnownPod>(); // by uid; also those that are gone
  readonly #wellSinceMs = new Map<string, number>(); // nodes that run, reach their server, and are Ready
  readonly #strangers = new Map<string, number>(); // uids of pods that the API never had -> when they were first seen

  get violations(): readonly string[] {
    return [...this.#violations];
  }

  onNode(nodeName: string, isWell: boolean, nowMs: number): void {
    if (!isWell) this.#wellSinceMs.delete(nodeName);
    else if (!this.#wellSinceMs.has(nodeName)) this.#wellSinceMs.set(nodeName, nowMs);
  }

  onPod(pod: Pod, state: 'present' | 'gone', nowMs: number): void {
    const { uid = '', name = '', deletionTimestamp } = pod.metadata ?? {};
    const before = this.#pods.get(uid);
    const statuses = pod.status?.containerStatuses ?? [];
    const now: KnownPod = {
      restarts: new Map(statuses.map(({ name: container, restartCount }) => [container, restartCount])),
      nodeName: pod.spec?.nodeName ?? '',
      phase: pod.status?.phase ?? '',
      isEnding: deletionTimestamp !== undefined,
      goneMs: state === 'gone' ? nowMs : undefined,
    };
    this.#pods.set(uid, now);
    if (before === undefined) return;
    const say = (what: string): void => void this.#violations.add(`pod ${name} (${uid}) ${what}`);
    if (before.goneMs !== undefined && state === 'present') say('came back');
    if (before.isEnding && !now.isEnding) say('is not being deleted any more');
    if (before.nodeName !== '' && before.nodeName !== now.nodeName)
      say(`went from ${before.nodeName} to ${now.nodeName}`);
    if (isOver(before.phase) && before.phase !== now.phase) say(`was ${before.phase} and is ${now.phase}`);
    for (const [container, count] of before.restarts) {
      const later = now.restarts.get(container) ?? count;
      if (later < count) say(`had ${count} restarts of ${container} and has ${later}`);
    }
  }

  /** `live`: all containers of all nodes that were alive at one and the same moment. */
  onContainers(live: readonly ContainerProcess[], nowMs: number): void {
    const seen = new Map<string, ContainerProcess>();
    for (const one of live) {
      const key = `${one.podUid}/${one.container}`;
      const other = seen.get(key);
      if (other !== undefined) {
        const places = [other, one].map(({ nodeName, pid }) => `${pid} on ${nodeName}`).join(' and ');
        this.#violations.add(`two live instances of ${key}: ${places}`);
      }
      seen.set(key, one);
      this.#checkContainer(one, nowMs);
    }
  }

  #checkContainer({ nodeName, podUid, container, startedMs }: ContainerProcess, nowMs: number): void {
    const say = (what: string): void => void this.#violations.add(`${podUid}/${container} on ${nodeName} ${what}`);
    const pod = this.#pods.get(podUid);
    if (pod !== undefined && isOver(pod.phase)) say(`runs, and its pod is ${pod.phase}`);
    if (pod !== undefined && pod.nodeName !== '' && pod.nodeName !== nodeName)
      say(`runs, and its pod is on ${pod.nodeName}`);
    if (pod !== undefined && pod.goneMs === undefined) return;
    let goneMs = pod?.goneMs ?? this.#strangers.get(podUid);
    if (goneMs === undefined) this.#strangers.set(podUid, (goneMs = nowMs));
    const wellSinceMs = this.#wellSinceMs.get(nodeName);
    if (wellSinceMs === undefined) return;
    if (nowMs - Math.max(goneMs, wellSinceMs) > endMsMax) say('still runs, and the API has no such pod');
    if (startedMs - Math.max(goneMs, wellSinceMs) > crossingMsMax) say('was started, and the API had no such pod');
  }
}

function isOver(phase: string): boolean {
  return phase === 'Succeeded' || phase === 'Failed';
}
