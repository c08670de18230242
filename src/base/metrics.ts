export type Labels = Readonly<Record<string, string>>;

export interface Counter {
  /** Adds `by` (default 1). */
  inc(labels: Labels, by?: number): void;
  /** Forgets the series with exactly these labels. */
  remove(labels: Labels): void;
}

export interface Gauge {
  set(labels: Labels, value: number): void;
  remove(labels: Labels): void;
}

export interface Histogram {
  observe(labels: Labels, value: number): void;
  remove(labels: Labels): void;
}

interface MetricOptions {
  /** Kubernetes' name where there is one; ends in its unit. */
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
}

/**
 * A registry of metrics of one component; the implementation (`host/prometheus-metrics.ts`) renders them for
 * Prometheus.
 */
export interface Metrics {
  counter(options: MetricOptions): Counter;
  gauge(options: MetricOptions): Gauge;
  /** `buckets`: upper bounds, ascending. */
  histogram(options: MetricOptions & { readonly buckets: readonly number[] }): Histogram;
  /** All series in Prometheus' text format. */
  render(): Promise<string>;
}

const noSeries = { inc() {}, set() {}, observe() {}, remove() {} };

/** Measures nothing: for tests and the simulator. */
export const noMetrics: Metrics = {
  counter: () => noSeries,
  gauge: () => noSeries,
  histogram: () => noSeries,
  render: () => Promise.resolve(''),
};
