import type { Container, PodSpec, Probe } from '../../src/api/gen/types.ts';
import type { ContainerScript, ScriptRule, SimExec, SimImage } from '../../src/sim/container-script.ts';
import type { SimServer } from '../../src/sim/sim-network.ts';
import { tutorialImages, tutorialRules } from '../../src/sim/tutorial-scripts.ts';

/** What a pod must be when nothing goes wrong any more, if there is room for it. */
export type Rest = 'running' | 'ended' | 'restarting' | 'pending';

export interface PodKind {
  readonly spec: PodSpec;
  readonly rests: Rest;
}

/** Exists from the start, with one key: `color`. */
export const configMapName = 'settings';
const gateway = '10.244.0.1';

const wellServer: SimServer = {
  http: () => ({ kind: 'response', status: 200, body: 'ok' }),
  grpc: () => ({ kind: 'status', status: 'SERVING' }),
};

const polite: ContainerScript = { onStop: { afterMs: 500, exitCode: 0 } };

const execs: readonly SimExec[] = [
  { command: ['ok'], results: [{ exitCode: 1 }, { fromMs: 4_000, exitCode: 0, takesMs: 200 }] },
  { command: ['slow'], results: [{ exitCode: 0, takesMs: 2_500 }] },
  { command: ['bad'], results: [{ exitCode: 1, stderr: 'no' }] },
  { command: ['hung'], results: [{ exitCode: 0, takesMs: 3_600_000 }] },
];

export const seedRules: readonly ScriptRule[] = [
  ...tutorialRules(gateway),
  {
    command: ['serve'],
    script: { ...polite, execs, servers: [{ port: 8080, fromMs: 3_000, serve: () => wellServer }] },
  },
  { command: ['idle'], script: { ...polite, execs } },
  { command: ['deaf'], script: { execs: [{ command: ['bad'], results: [{ exitCode: 1 }] }] } },
  { command: ['brief'], script: { exit: { afterMs: 20_000, exitCode: 0 }, onStop: 'die' } },
  { command: ['broken'], script: { exit: { afterMs: 700, exitCode: 3 }, onStop: 'die' } },
];

export const seedImages: readonly SimImage[] = [
  ...tutorialImages,
  { name: 'docker.io/library/far:1', sizeBytes: 1_000, mustBePulled: true, pullMs: 4_000, entrypoint: ['serve'] },
];

const container = (name: string, command: string, rest: Partial<Container> = {}): Container => ({
  name,
  image: 'busybox:1.29',
  command: [command],
  ...rest,
});

const exec = (word: string): { readonly exec: { readonly command: string[] } } => ({ exec: { command: [word] } });
const often = { periodSeconds: 2, failureThreshold: 2 };
const ofEachType: readonly Probe[] = [
  { httpGet: { path: '/', port: 8080 }, ...often },
  { tcpSocket: { port: 8080 }, ...often },
  { grpc: { port: 8080 }, ...often },
  { ...exec('ok'), ...often },
];
const patient = { failureThreshold: 30 };
const kubia: Container = {
  name: 'kubia',
  image: 'luksa/kubia-unhealthy',
  imagePullPolicy: 'IfNotPresent',
  livenessProbe: { httpGet: { path: '/', port: 8080 }, periodSeconds: 5 },
};
const large = { resources: { requests: { cpu: '900m' } } }; // two of them fill the node
const sidecar = { restartPolicy: 'Always' };

/** The kinds of pods that a run draws from. */
export const podKinds: readonly PodKind[] = [
  { rests: 'running', spec: { containers: [container('a', 'serve', large)] } },
  { rests: 'running', spec: { containers: [container('a', 'deaf', large), container('b', 'idle')] } },
  { rests: 'restarting', spec: { containers: [kubia] } },
  { rests: 'restarting', spec: { containers: [container('a', 'broken')] } },
  { rests: 'ended', spec: { restartPolicy: 'Never', containers: [container('a', 'broken')] } },
  { rests: 'ended', spec: { restartPolicy: 'OnFailure', containers: [container('a', 'brief')] } },
  {
    rests: 'running',
    spec: {
      initContainers: [container('first', 'brief'), container('side', 'idle', sidecar)],
      containers: [container('main', 'serve')],
    },
  },
  ...ofEachType.map((probe): PodKind => {
    const startupProbe = { ...probe, ...patient };
    const probed = container('a', 'serve', { startupProbe, readinessProbe: probe, livenessProbe: probe });
    return { rests: 'running', spec: { containers: [probed] } };
  }),
  {
    rests: 'ended',
    spec: {
      restartPolicy: 'Never',
      containers: [container('a', 'deaf', { startupProbe: { ...exec('bad'), ...often } })],
    },
  },
  {
    rests: 'ended',
    spec: {
      restartPolicy: 'Never',
      initContainers: [container('side', 'idle', { ...sidecar, startupProbe: { ...exec('ok'), ...patient } })],
      containers: [container('job', 'brief')],
    },
  },
  {
    rests: 'running',
    spec: {
      terminationGracePeriodSeconds: 5,
      containers: [
        container('a', 'serve', { lifecycle: { postStart: exec('slow'), preStop: exec('slow') } }),
        container('b', 'idle', { lifecycle: { postStart: { sleep: { seconds: 2 } }, preStop: exec('hung') } }),
        container('c', 'idle', { lifecycle: { preStop: exec('bad') } }),
      ],
    },
  },
  { rests: 'restarting', spec: { containers: [container('a', 'serve', { lifecycle: { postStart: exec('bad') } })] } },
  {
    rests: 'running',
    spec: {
      volumes: [
        { name: 'settings', configMap: { name: configMapName } },
        { name: 'scratch', emptyDir: {} },
      ],
      containers: [
        container('a', 'serve', {
          env: [{ name: 'COLOR', valueFrom: { configMapKeyRef: { name: configMapName, key: 'color' } } }],
          volumeMounts: [
            { name: 'settings', mountPath: '/settings' },
            { name: 'scratch', mountPath: '/scratch' },
          ],
        }),
      ],
    },
  },
  {
    rests: 'pending',
    spec: {
      volumes: [{ name: 'absent', configMap: { name: 'absent' } }],
      containers: [container('a', 'serve', { volumeMounts: [{ name: 'absent', mountPath: '/absent' }] })],
    },
  },
  { rests: 'running', spec: { containers: [{ name: 'a', image: 'far:1' }] } },
  { rests: 'pending', spec: { containers: [{ name: 'a', image: 'nowhere:1' }] } },
  { rests: 'ended', spec: { activeDeadlineSeconds: 45, containers: [container('a', 'deaf')] } },
  {
    rests: 'running',
    spec: { containers: [container('a', 'serve', large)] },
  },
];
