/** What runs while nodes and their server die. */

const labelsOf = (app: string): object => ({ matchLabels: { app } });

function templateOf(app: string, script: string, more: object = {}): object {
  const container = { name: 'c', image: 'busybox:1.36', command: ['sh', '-c', script], ...more };
  return { metadata: { labels: { app } }, spec: { terminationGracePeriodSeconds: 2, containers: [container] } };
}

// Ends at once when it is asked to, and is PID 1 of what it starts.
const serve = 'trap "exit 0" TERM; while :; do sleep 1 & wait $!; done';

export const replicas = { rc: 3, dep: 3 } as const;
export const jobCompletions = 10;

/** The names are those of the label `app` of their pods. */
export const workloads: readonly object[] = [
  {
    apiVersion: 'v1',
    kind: 'ReplicationController',
    metadata: { name: 'rc' },
    // A limit, so that there are control groups to be left behind.
    spec: { replicas: replicas.rc, template: templateOf('rc', serve, { resources: { limits: { memory: '64Mi' } } }) },
  },
  {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'dep' },
    spec: {
      replicas: replicas.dep,
      selector: labelsOf('dep'),
      template: templateOf('dep', serve, { readinessProbe: { exec: { command: ['true'] }, periodSeconds: 2 } }),
    },
  },
  {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: 'ds' },
    spec: { selector: labelsOf('ds'), template: templateOf('ds', serve) },
  },
  {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'job' },
    spec: {
      completions: jobCompletions,
      parallelism: 2,
      backoffLimit: 1_000, // each node that dies may cost it pods
      template: jobTemplate('sleep 6'),
    },
  },
];

function jobTemplate(script: string): object {
  const { metadata, spec } = templateOf('job', script) as { readonly metadata: object; readonly spec: object };
  return { metadata, spec: { ...spec, restartPolicy: 'Never' } };
}
