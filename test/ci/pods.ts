/** Pods on a running livelet, as the tests make them and wait for them. */
import assert from 'node:assert/strict';
import type { Container, Event, Pod, PodSpec } from '../../src/api/gen/types.ts';
import { sleepMs } from './livelet-up.ts';
import type { RunningLivelet } from './livelet-up.ts';

const waitMsMax = 60_000;
const pollMs = 100;

/** A container of busybox that runs `script`. */
export function shell(script: string, more: Partial<Container> = {}): Container {
  return { name: 'c', image: 'busybox:1.36', command: ['sh', '-c', script], ...more };
}

/** A pod that is not restarted and ends quickly. */
export function podOf(name: string, containers: readonly Container[], more: Partial<PodSpec> = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: name } },
    spec: { terminationGracePeriodSeconds: 1, restartPolicy: 'Never', containers: [...containers], ...more },
  };
}

/** Commands on pods of one cluster, in the namespace `default`. */
export class Pods {
  #cluster: RunningLivelet;

  constructor(cluster: RunningLivelet) {
    this.#cluster = cluster;
  }

  /** After a restart. */
  use(cluster: RunningLivelet): void {
    this.#cluster = cluster;
  }

  async ok(args: readonly string[], input?: string): Promise<string> {
    const { code, stdout, stderr } = await this.#cluster.kubectl(args, input);
    assert.equal(code, 0, `kubectl ${args.join(' ')}: ${stderr}`);
    return stdout;
  }

  async create(...objects: readonly object[]): Promise<void> {
    for (const object of objects) await this.ok(['create', '-f', '-'], JSON.stringify(object));
  }

  async get(name: string): Promise<Pod> {
    return JSON.parse(await this.ok(['get', 'pod', name, '-o', 'json'])) as Pod;
  }

  /** The pod when `holds` does. */
  async until(name: string, what: string, holds: (pod: Pod) => boolean, msMax = waitMsMax): Promise<Pod> {
    const endMs = performance.now() + msMax;
    for (;;) {
      const pod = await this.get(name);
      if (holds(pod)) return pod;
      if (performance.now() > endMs) {
        const events = (await this.events(name)).map(({ reason, message, count }) => `${reason} x${count}: ${message}`);
        assert.fail(`${name}, not within ${msMax} ms: ${what}\n${JSON.stringify(pod.status)}\n${events.join('\n')}`);
      }
      await sleepMs(pollMs);
    }
  }

  untilReady(name: string): Promise<Pod> {
    return this.until(name, 'Ready', isReady);
  }

  /** Creates the pod, and waits until all its containers have ended; the log of container `c`. */
  async output(pod: Pod): Promise<string> {
    const name = pod.metadata?.name ?? '';
    await this.create(pod);
    await this.until(name, 'ended', ({ status }) => ['Succeeded', 'Failed'].includes(status?.phase ?? ''));
    return await this.ok(['logs', name, '-c', 'c']);
  }

  async events(name: string): Promise<readonly Event[]> {
    const selector = `involvedObject.name=${name}`;
    const list = JSON.parse(await this.ok(['get', 'events', '--field-selector', selector, '-o', 'json'])) as {
      items: Event[];
    };
    return list.items;
  }

  /** Until there is such an event, for one of these reasons; its message. */
  async untilEvent(name: string, reasons: string, message: RegExp): Promise<string> {
    const endMs = performance.now() + waitMsMax;
    for (;;) {
      const events = await this.events(name);
      const found = events.find(
        (event) => reasons.split('|').includes(event.reason ?? '') && message.test(event.message ?? ''),
      );
      if (found !== undefined) return found.message ?? '';
      if (performance.now() > endMs) {
        const seen = events.map((event) => `${event.reason}: ${event.message}`).join('\n');
        assert.fail(`${name} has no event ${reasons} ${message}:\n${seen}`);
      }
      await sleepMs(pollMs);
    }
  }

  async remove(name: string): Promise<void> {
    await this.ok(['delete', 'pod', name, '--timeout=60s']);
  }
}

export function isReady({ status }: Pod): boolean {
  return status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';
}

export function waitingReason({ status }: Pod): string {
  return status?.containerStatuses?.[0]?.state?.waiting?.reason ?? '';
}

export function waitingMessage({ status }: Pod): string {
  return status?.containerStatuses?.[0]?.state?.waiting?.message ?? '';
}

export function restartsOf({ status }: Pod): number {
  return status?.containerStatuses?.[0]?.restartCount ?? 0;
}

export function containerIdOf({ status }: Pod): string {
  return status?.containerStatuses?.[0]?.containerID ?? '';
}
