import type { Node, Pod } from '../api/gen/types.ts';

/** What a loss of a node did, as watches of nodes and pods tell it. Times are seconds since the node ended. */
export interface DrillReport {
  readonly nodeName: string;
  /** `undefined`: it was not noticed. */
  readonly noticedSeconds: number | undefined;
  readonly pods: readonly DrillPod[];
  /** Until the last of them was Ready again elsewhere; `undefined`: not all of them were. */
  readonly outageSeconds: number | undefined;
}

/** What became of one pod that was Ready on the node. */
export interface DrillPod {
  readonly name: string;
  readonly evictedSeconds: number | undefined;
  readonly replacement: { readonly name: string; readonly nodeName: string; readonly seconds: number } | undefined;
  /** Why there will be none; `undefined`: there is to be one. */
  readonly stays: string | undefined;
}

interface LostPod {
  readonly uid: string;
  readonly name: string;
  readonly ownerUid: string;
  readonly stays: string | undefined;
  evictedMs: number | undefined;
  replacement: { readonly name: string; readonly nodeName: string; readonly atMs: number } | undefined;
}

/**
 * Follows a drill. Give it the pods as they are, then call `begin` when the node ends, then all changes.
 *
 *     const log = new DrillLog('n2', pods);
 *     log.begin(nowMs);
 *     log.onNode(node, nowMs); log.onPod('MODIFIED', pod, nowMs); ...
 *     if (log.isOver) print(log.report());
 */
export class DrillLog {
  readonly #nodeName: string;
  readonly #lost: readonly LostPod[];
  readonly #known = new Set<string>(); // uids of pods that were there before, or stand for a lost one
  #beganMs = 0;
  #noticedMs: number | undefined;

  constructor(nodeName: string, pods: readonly Pod[]) {
    this.#nodeName = nodeName;
    for (const { metadata } of pods) this.#known.add(metadata?.uid ?? '');
    this.#lost = pods.filter((pod) => pod.spec?.nodeName === nodeName && isReady(pod)).map((pod) => lostOf(pod));
  }

  begin(nowMs: number): void {
    this.#beganMs = nowMs;
  }

  onNode(node: Node, nowMs: number): void {
    if (node.metadata?.name !== this.#nodeName || this.#noticedMs !== undefined) return;
    const ready = node.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
    if (ready !== 'True') this.#noticedMs = nowMs;
  }

  onPod(type: 'ADDED' | 'MODIFIED' | 'DELETED', pod: Pod, nowMs: number): void {
    const { uid = '', namespace = '', name = '', deletionTimestamp } = pod.metadata ?? {};
    const lost = this.#lost.find((one) => one.uid === uid);
    if (lost !== undefined) {
      if (deletionTimestamp !== undefined || type === 'DELETED') lost.evictedMs ??= nowMs;
      return;
    }
    const nodeName = pod.spec?.nodeName ?? '';
    if (this.#known.has(uid) || !isReady(pod) || nodeName === this.#nodeName) return;
    const owner = ownerOf(pod);
    const place = this.#lost.find(
      ({ replacement, stays, ownerUid }) => replacement === undefined && stays === undefined && ownerUid === owner?.uid,
    );
    if (place === undefined) return;
    this.#known.add(uid);
    place.replacement = { name: `${namespace}/${name}`, nodeName, atMs: nowMs };
  }

  /** The loss was noticed, and whatever is to be replaced has been. */
  get isOver(): boolean {
    const isDone = this.#lost.every(({ stays, replacement }) => stays !== undefined || replacement !== undefined);
    return this.#noticedMs !== undefined && isDone;
  }

  report(): DrillReport {
    const seconds = (atMs: number | undefined): number | undefined =>
      atMs === undefined ? undefined : (atMs - this.#beganMs) / 1_000;
    const pods = this.#lost.map(({ name, evictedMs, replacement, stays }): DrillPod => {
      const { atMs = 0 } = replacement ?? {};
      return {
        name,
        stays,
        evictedSeconds: seconds(evictedMs),
        replacement: replacement && { ...replacement, seconds: (atMs - this.#beganMs) / 1_000 },
      };
    });
    const moved = pods.filter(({ stays }) => stays === undefined);
    const isWhole = this.#noticedMs !== undefined && moved.every(({ replacement }) => replacement !== undefined);
    const last = Math.max(0, ...moved.map(({ replacement }) => replacement?.seconds ?? 0));
    return {
      nodeName: this.#nodeName,
      noticedSeconds: seconds(this.#noticedMs),
      pods,
      outageSeconds: isWhole ? last : undefined,
    };
  }
}

/** What `livelet drill node` prints: one line for each thing that happened, in order, and the outage. */
export function drillLines(report: DrillReport): readonly string[] {
  const { nodeName, noticedSeconds, pods, outageSeconds } = report;
  const events: { readonly seconds: number; readonly text: string }[] = [];
  events.push({ seconds: 0, text: `${nodeName} ends, with ${pods.length} pod${pods.length === 1 ? '' : 's'} Ready` });
  if (noticedSeconds !== undefined) events.push({ seconds: noticedSeconds, text: `noticed: ${nodeName} is NotReady` });
  for (const { name, evictedSeconds, replacement } of pods) {
    if (evictedSeconds !== undefined) events.push({ seconds: evictedSeconds, text: `evicted: ${name}` });
    if (replacement === undefined) continue;
    const { name: by, nodeName: where, seconds } = replacement;
    events.push({ seconds, text: `Ready again: ${by} on ${where}, in place of ${name}` });
  }
  events.sort((a, b) => a.seconds - b.seconds);
  const lines = events.map(({ seconds, text }) => `${seconds.toFixed(1).padStart(7)} s  ${text}`);
  for (const { name, stays, replacement } of pods) {
    if (stays !== undefined) lines.push(`           ${name} has no replacement: ${stays}`);
    else if (replacement === undefined) lines.push(`           ${name} was not replaced`);
  }
  const moved = pods.filter(({ stays }) => stays === undefined).length;
  if (noticedSeconds === undefined) lines.push(`the loss of ${nodeName} was not noticed`);
  else if (outageSeconds === undefined) lines.push('outage: not over yet');
  else if (moved > 0) lines.push(`outage: ${outageSeconds.toFixed(1)} s`);
  else lines.push('outage: none that anything would make up for');
  return lines;
}

function ownerOf({ metadata }: Pod): { readonly kind: string; readonly uid: string } | undefined {
  return metadata?.ownerReferences?.find(({ controller }) => controller === true);
}

function lostOf(pod: Pod): LostPod {
  const { uid = '', namespace = '', name = '' } = pod.metadata ?? {};
  const owner = ownerOf(pod);
  const base = { uid, name: `${namespace}/${name}`, evictedMs: undefined, replacement: undefined };
  return { ...base, ownerUid: owner?.uid ?? '', stays: staysOf(owner?.kind) };
}

function staysOf(kind: string | undefined): string | undefined {
  if (kind === undefined) return 'nothing controls it';
  if (kind === 'Node') return 'it is a static pod of this node';
  if (kind === 'DaemonSet') return 'its DaemonSet runs one on each node';
  return undefined;
}

function isReady({ metadata, status }: Pod): boolean {
  const ready = status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True');
  return ready === true && metadata?.deletionTimestamp === undefined;
}
