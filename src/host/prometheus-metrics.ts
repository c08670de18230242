import { Counter as PromCounter, Gauge as PromGauge, Histogram as PromHistogram, Registry } from 'prom-client';
import type { Counter, Gauge, Histogram, Metrics } from '../base/metrics.ts';
import { invariant } from '../base/status-error.ts';

/** What `Metrics` are asked for. */
type Options = Parameters<Metrics['counter']>[0];

type Made =
  | { readonly kind: 'counter'; readonly metric: Counter }
  | { readonly kind: 'gauge'; readonly metric: Gauge }
  | { readonly kind: 'histogram'; readonly metric: Histogram };

/**
 * Metrics by prom-client, in a registry of their own: nothing is global, and no metrics about the process are added.
 * Asking for a name again gives the same metric, so that several work queues can share `workqueue_depth`; it must
 * then be of the same kind and have the same labels.
 */
export class PrometheusMetrics implements Metrics {
  readonly #registry = new Registry();
  readonly #made = new Map<string, { readonly made: Made; readonly labels: string }>(); // by name

  /** For the `Content-Type` of an answer that has `render()` as its body. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  counter(options: Options): Counter {
    const made = this.#once(options, () => {
      const prom = new PromCounter({ ...this.#configuration(options) });
      return {
        kind: 'counter',
        metric: {
          inc: (labels, by) => prom.inc(labels, by),
          remove: (labels) => prom.remove(labels),
        },
      };
    });
    invariant(made.kind === 'counter', `${options.name} is a ${made.kind}`);
    return made.metric;
  }

  gauge(options: Options): Gauge {
    const made = this.#once(options, () => {
      const prom = new PromGauge({ ...this.#configuration(options) });
      return {
        kind: 'gauge',
        metric: {
          set: (labels, value) => prom.set(labels, value),
          remove: (labels) => prom.remove(labels),
        },
      };
    });
    invariant(made.kind === 'gauge', `${options.name} is a ${made.kind}`);
    return made.metric;
  }

  histogram(options: Options & { readonly buckets: readonly number[] }): Histogram {
    const made = this.#once(options, () => {
      const prom = new PromHistogram({ ...this.#configuration(options), buckets: [...options.buckets] });
      return {
        kind: 'histogram',
        metric: {
          observe: (labels, value) => prom.observe(labels, value),
          remove: (labels) => prom.remove(labels),
        },
      };
    });
    invariant(made.kind === 'histogram', `${options.name} is a ${made.kind}`);
    return made.metric;
  }

  render(): Promise<string> {
    return this.#registry.metrics();
  }

  #configuration(options: Options): { name: string; help: string; labelNames: string[]; registers: Registry[] } {
    return {
      name: options.name,
      help: options.help,
      labelNames: [...options.labelNames],
      registers: [this.#registry],
    };
  }

  #once(options: Options, make: () => Made): Made {
    const labels = options.labelNames.join(',');
    const known = this.#made.get(options.name);
    if (known !== undefined) {
      invariant(known.labels === labels, `${options.name} has labels ${known.labels}, not ${labels}`);
      return known.made;
    }
    const made = make();
    this.#made.set(options.name, { made, labels });
    return made;
  }
}
