import { type Metric, Registry } from 'prom-client';
import type { Counter, Gauge, Histogram, Labels, Metrics } from '../base/metrics.ts';
import { invariant } from '../base/status-error.ts';

/** What `Metrics` are asked for. */
type Options = Parameters<Metrics['counter']>[0];

/**
 * Metrics in a registry of their own: nothing is global, and no metrics about the process are added. prom-client writes
 * the text; the values are kept here, where a measurement with a labels object that was seen before costs one look-up
 * (prom-client would build and hash a text of all labels each time).
 *
 * Asking for a name again gives the same metric, so that several work queues can share `workqueue_depth`; it must then
 * be of the same kind and have the same labels.
 */
export class PrometheusMetrics implements Metrics {
  readonly #registry = new Registry();
  readonly #kept = new Map<string, Kept>(); // by name

  /** For the `Content-Type` of an answer that has `render()` as its body. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  counter(options: Options): Counter {
    const kept = this.#once(options, 'counter', () => new KeptNumber('counter', options));
    invariant(kept instanceof KeptNumber, `${options.name} is a ${kept.type}`);
    return { inc: (labels, by = 1) => kept.add(labels, by), remove: (labels) => kept.series.remove(labels) };
  }

  gauge(options: Options): Gauge {
    const kept = this.#once(options, 'gauge', () => new KeptNumber('gauge', options));
    invariant(kept instanceof KeptNumber, `${options.name} is a ${kept.type}`);
    return { set: (labels, value) => kept.set(labels, value), remove: (labels) => kept.series.remove(labels) };
  }

  histogram(options: Options & { readonly buckets: readonly number[] }): Histogram {
    const kept = this.#once(options, 'histogram', () => new KeptHistogram(options, options.buckets));
    invariant(kept instanceof KeptHistogram, `${options.name} is a ${kept.type}`);
    return { observe: (labels, value) => kept.observe(labels, value), remove: (labels) => kept.series.remove(labels) };
  }

  render(): Promise<string> {
    return this.#registry.metrics();
  }

  #once(options: Options, type: Kept['type'], make: () => Kept): Kept {
    const known = this.#kept.get(options.name);
    if (known !== undefined) {
      invariant(known.type === type, `${options.name} is a ${known.type}, not a ${type}`);
      const labels = `${known.labelNames.join()} and ${options.labelNames.join()}`;
      invariant(known.labelNames.join() === options.labelNames.join(), `${options.name} has labels ${labels}`);
      return known;
    }
    const kept = make();
    this.#kept.set(options.name, kept);
    // Of a metric, a registry asks nothing but its name and what `get` gives.
    this.#registry.registerMetric(kept as unknown as Metric);
    return kept;
  }
}

/** One line of the text. */
interface Sample {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  readonly metricName?: string;
}

/** A metric as a registry sees it. */
type Kept = KeptNumber | KeptHistogram;

/** The series of a metric by their labels: quickly by a labels object that was used before, else by what is in it. */
class SeriesTable<S extends { isRemoved: boolean; readonly labels: Labels }> {
  readonly #name: string;
  readonly #labelNames: readonly string[];
  readonly #make: (labels: Labels) => S;
  readonly #byKey = new Map<string, S>();
  readonly #byObject = new WeakMap<Labels, S>(); // some of them may be removed

  constructor(options: Options, make: (labels: Labels) => S) {
    this.#name = options.name;
    this.#labelNames = options.labelNames;
    this.#make = make;
  }

  of(labels: Labels): S {
    const quick = this.#byObject.get(labels);
    return quick === undefined || quick.isRemoved ? this.#find(labels) : quick;
  }

  remove(labels: Labels): void {
    const key = this.#keyOf(labels);
    const series = this.#byKey.get(key);
    if (series === undefined) return;
    series.isRemoved = true;
    this.#byKey.delete(key);
  }

  all(): readonly S[] {
    return [...this.#byKey.values()];
  }

  #find(labels: Labels): S {
    const key = this.#keyOf(labels);
    const known = this.#byKey.get(key);
    const series = known ?? this.#make({ ...labels });
    if (known === undefined) this.#byKey.set(key, series);
    this.#byObject.set(labels, series);
    return series;
  }

  #keyOf(labels: Labels): string {
    const unknown = Object.keys(labels).find((name) => !this.#labelNames.includes(name));
    invariant(unknown === undefined, `${this.#name} has no label ${unknown}`);
    return JSON.stringify(this.#labelNames.map((name) => labels[name] ?? ''));
  }
}

interface NumberSeries {
  readonly labels: Labels;
  value: number;
  isRemoved: boolean;
}

class KeptNumber {
  readonly type: 'counter' | 'gauge';
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly series: SeriesTable<NumberSeries>;

  constructor(type: 'counter' | 'gauge', options: Options) {
    this.type = type;
    this.name = options.name;
    this.help = options.help;
    this.labelNames = options.labelNames;
    this.series = new SeriesTable(options, (labels) => ({ labels, value: 0, isRemoved: false }));
  }

  add(labels: Labels, by: number): void {
    invariant(by >= 0, `${this.name} cannot go down by ${by}`);
    this.series.of(labels).value += by;
  }

  set(labels: Labels, value: number): void {
    this.series.of(labels).value = value;
  }

  get(): { readonly name: string; readonly help: string; readonly type: string; readonly values: readonly Sample[] } {
    const values = this.series.all().map(({ labels, value }) => ({ labels, value }));
    return { name: this.name, help: this.help, type: this.type, values };
  }
}

interface HistogramSeries {
  readonly labels: Labels;
  /** How many values fell into each bucket and into no lower one; the last is for those above all bounds. */
  readonly counts: number[];
  sum: number;
  isRemoved: boolean;
}

class KeptHistogram {
  readonly type = 'histogram';
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly series: SeriesTable<HistogramSeries>;
  readonly #bounds: readonly number[]; // ascending

  constructor(options: Options, bounds: readonly number[]) {
    this.name = options.name;
    this.help = options.help;
    this.labelNames = options.labelNames;
    this.#bounds = bounds;
    this.series = new SeriesTable(options, (labels) => ({
      labels,
      counts: Array.from({ length: bounds.length + 1 }, () => 0),
      sum: 0,
      isRemoved: false,
    }));
  }

  observe(labels: Labels, value: number): void {
    const series = this.series.of(labels);
    let bucket = 0;
    while (bucket < this.#bounds.length && value > (this.#bounds[bucket] ?? 0)) bucket += 1;
    series.counts[bucket] = (series.counts[bucket] ?? 0) + 1;
    series.sum += value;
  }

  get(): { readonly name: string; readonly help: string; readonly type: string; readonly values: readonly Sample[] } {
    const values = this.series.all().flatMap((series) => this.#samples(series));
    return { name: this.name, help: this.help, type: this.type, values };
  }

  #samples({ labels, counts, sum }: HistogramSeries): readonly Sample[] {
    let count = 0;
    const buckets = counts.map((inBucket, index) => {
      count += inBucket;
      return {
        labels: { le: this.#bounds[index] ?? '+Inf', ...labels },
        value: count,
        metricName: `${this.name}_bucket`,
      };
    });
    return [
      ...buckets,
      { labels, value: sum, metricName: `${this.name}_sum` },
      { labels, value: count, metricName: `${this.name}_count` },
    ];
  }
}
