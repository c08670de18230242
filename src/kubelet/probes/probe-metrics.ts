import type { Counter, Histogram, Labels, Metrics } from '../../base/metrics.ts';

export interface ProbeMetrics {
  readonly total: Counter;
  readonly durationSeconds: Histogram;
}

/** Upstream's names, texts and buckets. */
export function makeProbeMetrics(metrics: Metrics): ProbeMetrics {
  return {
    total: metrics.counter({
      name: 'prober_probe_total',
      help: 'Cumulative number of a liveness, readiness or startup probe for a container by result.',
      labelNames: ['probe_type', 'result', 'container', 'pod', 'namespace', 'pod_uid'],
    }),
    durationSeconds: metrics.histogram({
      name: 'prober_probe_duration_seconds',
      help: 'Duration in seconds for a probe response.',
      labelNames: ['probe_type', 'container', 'pod', 'namespace'],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    }),
  };
}

/** The series of one worker. */
export class ProbeSeries {
  readonly #metrics: ProbeMetrics;
  readonly #successful: Labels;
  readonly #failed: Labels;
  readonly #duration: Labels;

  constructor(metrics: ProbeMetrics, duration: Labels, podUid: string) {
    this.#metrics = metrics;
    this.#duration = duration;
    this.#successful = { ...duration, result: 'successful', pod_uid: podUid };
    this.#failed = { ...duration, result: 'failed', pod_uid: podUid };
  }

  /** Only of successes the duration is kept. */
  observe(result: 'success' | 'failure', durationMs: number): void {
    this.#metrics.total.inc(result === 'success' ? this.#successful : this.#failed);
    if (result === 'success') this.#metrics.durationSeconds.observe(this.#duration, durationMs / 1_000);
  }

  remove(): void {
    this.#metrics.total.remove(this.#successful);
    this.#metrics.total.remove(this.#failed);
    this.#metrics.durationSeconds.remove(this.#duration);
  }
}
