import type { PodTemplateSpec, PriorityClass } from '../../../src/api/gen/types.ts';
import { resources } from '../../../src/api/resources.ts';
import type { KubernetesObject, ResourceType } from '../../../src/api/resources.ts';

export interface Workload {
  readonly type: ResourceType<KubernetesObject>;
  readonly name: string;
  readonly object: KubernetesObject & { readonly spec: object };
  /** How many pods there should be at once; `undefined`: it is no number that one sets. */
  readonly replicas: number | undefined;
  /** To how many it may be scaled. */
  readonly replicasMax: number;
  /** Of such low priority that its pods only get what the others leave. */
  readonly isFiller?: true;
  /** How many more there may be, while nothing is lost on the way of the controllers. */
  readonly surge: number;
}

/** Ready as soon as it listens, 3 s after its start. */
function template(app: string, command: string, rest: object = {}, cpu = '100m'): PodTemplateSpec {
  const probe = { httpGet: { path: '/', port: 8080 }, periodSeconds: 5 };
  const probes =
    command === 'serve' ? { readinessProbe: probe, livenessProbe: { ...probe, initialDelaySeconds: 5 } } : {};
  const requests = { cpu };
  return {
    metadata: { labels: { app } },
    spec: {
      terminationGracePeriodSeconds: 5,
      containers: [{ name: 'main', image: 'busybox:1.29', command: [command], resources: { requests }, ...probes }],
      ...rest,
    },
  };
}

export const priorityClasses: readonly {
  readonly type: ResourceType<PriorityClass>;
  readonly object: PriorityClass;
}[] = [
  { type: resources.priorityclasses, object: { metadata: { name: 'vip' }, value: 1_000 } },
  { type: resources.priorityclasses, object: { metadata: { name: 'filler' }, value: -10 } },
];

/** Large and important ones on half of the nodes, and small ones that fill the rest and have to go for any other. */
function contenders(nodeCount: number): readonly Workload[] {
  const make = (name: string, replicas: number, cpu: string): Workload => ({
    // As below.
    type: resources.replicationcontrollers as ResourceType as ResourceType<KubernetesObject>,
    name,
    replicas,
    replicasMax: replicas,
    surge: 0,
    object: {
      metadata: { name },
      spec: { replicas, selector: { app: name }, template: template(name, 'serve', { priorityClassName: name }, cpu) },
    },
  });
  const filler = make('filler', 2 * nodeCount, '400m');
  return [make('vip', Math.ceil(nodeCount / 2), '1300m'), { ...filler, isFiller: true }];
}

/** One of each kind that makes pods. `isContended`: there is not room for all of them. */
export function workloadsFor(nodeCount: number, isContended: boolean): readonly Workload[] {
  const many = Math.max(3, nodeCount);
  const labels = (app: string) => ({ matchLabels: { app } });
  return [
    {
      // The types of kinds differ in what they hold, which nobody looks at here.
      type: resources.replicationcontrollers as ResourceType as ResourceType<KubernetesObject>,
      name: 'rc',
      replicas: many,
      replicasMax: 5,
      surge: 0,
      object: {
        metadata: { name: 'rc' },
        spec: { replicas: many, selector: { app: 'rc' }, template: template('rc', 'serve') },
      },
    },
    {
      type: resources.deployments as ResourceType as ResourceType<KubernetesObject>,
      name: 'deploy',
      replicas: 3,
      replicasMax: 5,
      surge: 1,
      object: {
        metadata: { name: 'deploy' },
        spec: {
          replicas: 3,
          strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 1 } },
          selector: labels('deploy'),
          template: template('deploy', 'serve'),
        },
      },
    },
    {
      type: resources.jobs as ResourceType as ResourceType<KubernetesObject>,
      name: 'job',
      replicas: undefined,
      replicasMax: 5,
      surge: 0,
      object: {
        metadata: { name: 'job' },
        spec: {
          completions: 5,
          completionMode: nodeCount % 2 === 0 ? 'Indexed' : 'NonIndexed',
          parallelism: 2,
          backoffLimit: 50,
          template: template('job', 'brief', { restartPolicy: 'Never' }),
        },
      },
    },
    {
      type: resources.daemonsets as ResourceType as ResourceType<KubernetesObject>,
      name: 'daemons',
      replicas: undefined,
      replicasMax: 5,
      surge: 0,
      object: {
        metadata: { name: 'daemons' },
        spec: { selector: labels('daemons'), template: template('daemons', 'idle') },
      },
    },
    ...(isContended ? contenders(nodeCount) : []),
  ];
}
