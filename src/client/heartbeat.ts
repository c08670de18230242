import { clusterSettingsRef } from '../api/cluster-settings.ts';
import type { ConfigMap } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import type { Clock } from '../base/clock.ts';
import type { Entropy } from '../base/entropy.ts';
import type { Log } from '../base/log.ts';
import type { Client } from './client.ts';
import { ListWatchInformer } from './list-watch-informer.ts';

/** How often a node says that it lives. */
export interface Heartbeat {
  readonly renewMs: number;
  /** What its lease says. */
  readonly leaseDurationSeconds: number;
}

/** Upstream's: three renewals may be lost. */
export const defaultHeartbeat: Heartbeat = { renewMs: 10_000, leaseDurationSeconds: 40 };

/** A heartbeat that may become another one while nodes run. */
export interface HeartbeatSource {
  current(): Heartbeat;
  onChange(listener: () => void): void;
}

/** One that stays as it is. */
export function fixedHeartbeat(heartbeat: Heartbeat): HeartbeatSource {
  return { current: () => heartbeat, onChange() {} };
}

const renewKey = 'nodeLeaseRenewMs';
const durationKey = 'nodeLeaseDurationSeconds';
const renewMsMin = 100; // no typing error makes a node busy with nothing else

export function heartbeatData({ renewMs, leaseDurationSeconds }: Heartbeat): Readonly<Record<string, string>> {
  return { [renewKey]: String(renewMs), [durationKey]: String(leaseDurationSeconds) };
}

/** What the config map says; upstream's where it says nothing that makes sense. */
export function heartbeatOf(settings: ConfigMap | undefined): Heartbeat {
  const renewMs = Number(settings?.data?.[renewKey]);
  const leaseDurationSeconds = Number(settings?.data?.[durationKey]);
  const isSound = renewMs >= renewMsMin && Number.isInteger(leaseDurationSeconds) && leaseDurationSeconds > 0;
  return isSound ? { renewMs, leaseDurationSeconds } : defaultHeartbeat;
}

/**
 * Follows what the control plane asks of its nodes; upstream's numbers until it is known, and where nobody asks.
 *
 *     const heartbeat = new ClusterHeartbeat({ client, clock, entropy, log });
 *     scope.start((signal) => heartbeat.run(signal));
 *     new Kubelet({ ...deps, heartbeat }, options);
 */
export class ClusterHeartbeat implements HeartbeatSource {
  readonly #informer: ListWatchInformer<ConfigMap>;
  readonly #listeners: (() => void)[] = [];

  constructor(deps: { readonly client: Client; readonly clock: Clock; readonly entropy: Entropy; readonly log: Log }) {
    const { namespace, name } = clusterSettingsRef;
    const fieldSelector = `metadata.name=${name}`;
    this.#informer = new ListWatchInformer({ ...deps, type: resources.configmaps, namespace, fieldSelector });
    this.#informer.onChange(({ previous, current }) => {
      if (heartbeatOf(previous).renewMs === heartbeatOf(current).renewMs) return;
      for (const listener of this.#listeners) listener();
    });
  }

  current(): Heartbeat {
    return heartbeatOf(this.#informer.get(clusterSettingsRef.namespace, clusterSettingsRef.name));
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Works until `signal` aborts. */
  run(signal: AbortSignal): Promise<void> {
    return this.#informer.run(signal);
  }
}
