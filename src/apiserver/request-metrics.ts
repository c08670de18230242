/** Counts and times requests, under the names that Kubernetes' API server uses. */
import type { Counter, Gauge, Histogram, Metrics } from '../base/metrics.ts';
import type { Route } from './route.ts';

const labelNames = ['verb', 'group', 'version', 'resource', 'subresource', 'scope', 'component'] as const;
const durationBuckets = [
  0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
];

type LabelName = (typeof labelNames)[number];
type RequestLabels = Readonly<Record<LabelName, string>>;

const metricVerbs: Readonly<Record<string, string>> = {
  get: 'GET',
  list: 'LIST',
  watch: 'WATCH',
  create: 'POST',
  update: 'PUT',
  patch: 'PATCH',
  delete: 'DELETE',
  deletecollection: 'DELETECOLLECTION',
  connect: 'CONNECT',
};

export class RequestMetrics {
  readonly #total: Counter;
  readonly #duration: Histogram;
  readonly #longRunning: Gauge;
  readonly #labels = new Map<string, RequestLabels>(); // of every combination seen; routes are finite, so is this
  readonly #running = new Map<RequestLabels, number>(); // long requests that have not ended

  constructor(metrics: Metrics) {
    this.#total = metrics.counter({
      name: 'apiserver_request_total',
      help: 'Counter of apiserver requests broken out for each verb, group, version, resource, scope, and HTTP code.',
      labelNames: [...labelNames, 'dry_run', 'code'],
    });
    this.#duration = metrics.histogram({
      name: 'apiserver_request_duration_seconds',
      help: 'Response latency distribution in seconds for each verb, group, version, resource, subresource and scope.',
      labelNames,
      buckets: durationBuckets,
    });
    this.#longRunning = metrics.gauge({
      name: 'apiserver_longrunning_requests',
      help: 'Gauge of all active long-running apiserver requests broken out by verb, group, version and resource.',
      labelNames,
    });
  }

  /** The labels of a request; the same object for the same kind of request. */
  labelsOf(route: Route, verb: string, method: string): RequestLabels {
    const isResource = route.kind === 'resource';
    const shown = isResource ? (metricVerbs[verb] ?? knownMethod(method)) : knownMethod(method);
    const scope = !isResource ? '' : route.name !== '' ? 'resource' : route.namespace !== '' ? 'namespace' : 'cluster';
    const group = isResource ? route.type.group : '';
    const resource = isResource ? route.type.resource : '';
    const subresource = isResource && knownSubresources.has(route.subresource) ? route.subresource : '';
    const key = `${shown}|${group}|${resource}|${subresource}|${scope}`;
    let labels = this.#labels.get(key);
    if (labels === undefined) {
      const version = isResource ? route.type.version : '';
      labels = { verb: shown, group, version, resource, subresource, scope, component: 'apiserver' };
      this.#labels.set(key, labels);
    }
    return labels;
  }

  finished(labels: RequestLabels, code: number, dryRun: boolean, seconds: number): void {
    this.#total.inc({ ...labels, dry_run: dryRun ? 'All' : '', code: String(code) });
    if (labels.verb !== 'WATCH') this.#duration.observe(labels, seconds);
  }

  /** The body of a long request, counted while it is read. */
  async *counted(labels: RequestLabels, body: AsyncIterable<string | Uint8Array>): AsyncGenerator<string | Uint8Array> {
    this.#add(labels, 1);
    try {
      yield* body;
    } finally {
      this.#add(labels, -1);
    }
  }

  #add(labels: RequestLabels, by: number): void {
    const count = (this.#running.get(labels) ?? 0) + by;
    this.#running.set(labels, count);
    this.#longRunning.set(labels, count);
  }
}

/** What clients can put into labels must be finite. */
const knownSubresources: ReadonlySet<string> = new Set(['status', 'binding', 'log', 'finalize', 'proxy']);
const knownMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

function knownMethod(method: string): string {
  return knownMethods.has(method) ? method : 'other';
}
