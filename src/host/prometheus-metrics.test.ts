import assert from 'node:assert/strict';
import { test } from 'node:test';
import { register } from 'prom-client';
import { InvariantError } from '../base/status-error.ts';
import { PrometheusMetrics } from './prometheus-metrics.ts';

test('series are rendered in the text format of Prometheus, and only those of this registry', async () => {
  const metrics = new PrometheusMetrics();
  new PrometheusMetrics().counter({ name: 'other_total', help: 'Of another registry.', labelNames: [] }).inc({});
  const total = metrics.counter({ name: 'probe_total', help: 'Probes.', labelNames: ['pod', 'result'] });
  total.inc({ pod: 'a "b"', result: 'failed' });
  total.inc({ pod: 'a "b"', result: 'failed' }, 2);
  metrics.gauge({ name: 'queue_depth', help: 'Depth.', labelNames: [] }).set({}, 7);
  const seconds = metrics.histogram({
    name: 'probe_seconds',
    help: 'Seconds.',
    labelNames: ['pod'],
    buckets: [0.1, 1],
  });
  seconds.observe({ pod: 'c' }, 0.5);
  const lines = (await metrics.render()).split('\n').filter((line) => line !== '');
  assert.deepEqual(lines, [
    '# HELP probe_total Probes.',
    '# TYPE probe_total counter',
    'probe_total{pod="a \\"b\\"",result="failed"} 3',
    '# HELP queue_depth Depth.',
    '# TYPE queue_depth gauge',
    'queue_depth 7',
    '# HELP probe_seconds Seconds.',
    '# TYPE probe_seconds histogram',
    'probe_seconds_bucket{le="0.1",pod="c"} 0',
    'probe_seconds_bucket{le="1",pod="c"} 1',
    'probe_seconds_bucket{le="+Inf",pod="c"} 1',
    'probe_seconds_sum{pod="c"} 0.5',
    'probe_seconds_count{pod="c"} 1',
  ]);
  assert.match(metrics.contentType, /^text\/plain; version=0\.0\.4/);
  assert.equal(await register.metrics(), '\n', 'nothing is registered globally');
});

test('a removed series is gone, and one that never was can be removed', async () => {
  const metrics = new PrometheusMetrics();
  const total = metrics.counter({ name: 'probe_total', help: 'Probes.', labelNames: ['pod'] });
  total.inc({ pod: 'a' });
  total.inc({ pod: 'b' });
  total.remove({ pod: 'a' });
  total.remove({ pod: 'c' });
  const seconds = metrics.histogram({ name: 'probe_seconds', help: 'Seconds.', labelNames: ['pod'], buckets: [1] });
  seconds.observe({ pod: 'a' }, 2);
  seconds.remove({ pod: 'a' });
  const lines = (await metrics.render()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  assert.deepEqual(lines, ['probe_total{pod="b"} 1']);
});

test('asking for a name again gives the same metric, unless it was made otherwise', async () => {
  const metrics = new PrometheusMetrics();
  const options = { name: 'adds_total', help: 'Adds.', labelNames: ['name'] };
  metrics.counter(options).inc({ name: 'a' });
  metrics.counter(options).inc({ name: 'a' });
  assert.match(await metrics.render(), /adds_total\{name="a"\} 2/);
  assert.throws(() => metrics.gauge(options), InvariantError);
  assert.throws(() => metrics.counter({ ...options, labelNames: ['queue'] }), InvariantError);
});

test('labels with the same content are one series, whichever object they are in', async () => {
  const metrics = new PrometheusMetrics();
  const total = metrics.counter({ name: 'probe_total', help: 'Probes.', labelNames: ['pod', 'result'] });
  const kept = { pod: 'a', result: 'b' };
  total.inc(kept);
  total.inc({ result: 'b', pod: 'a' });
  total.inc(kept);
  total.remove({ pod: 'a', result: 'b' });
  total.inc(kept, 5);
  total.inc({ result: 'b', pod: 'a' });
  assert.match(await metrics.render(), /probe_total\{pod="a",result="b"\} 6\n/);
  assert.throws(() => total.inc({ nosuch: 'x' }), InvariantError);
  assert.throws(() => total.inc(kept, -1), InvariantError);
});

test('a value falls into the bucket whose bound it does not exceed', async () => {
  const metrics = new PrometheusMetrics();
  const seconds = metrics.histogram({ name: 's', help: 'S.', labelNames: [], buckets: [1, 2] });
  for (const value of [0, 1, 1.5, 2, 3]) seconds.observe({}, value);
  const lines = (await metrics.render()).split('\n').filter((line) => line.startsWith('s_'));
  assert.deepEqual(lines, [
    's_bucket{le="1"} 2',
    's_bucket{le="2"} 4',
    's_bucket{le="+Inf"} 5',
    's_sum 7.5',
    's_count 5',
  ]);
});
