import type { ContainerImage, Node, NodeCondition, NodeStatus, NodeSystemInfo } from '../api/gen/types.ts';
import type { RuntimeCondition, RuntimeImage, RuntimeVersion } from '../cri/runtime.ts';

const imagesMax = 50; // upstream: nodeStatusMaxImages
const namesPerImageMax = 5;

/** What the host tells about itself; the runtime's version is added to it. */
export type HostInfo = Pick<
  NodeSystemInfo,
  'architecture' | 'bootID' | 'kernelVersion' | 'machineID' | 'operatingSystem' | 'osImage' | 'systemUUID'
>;

export interface NodeFacts {
  readonly nodeName: string;
  readonly hostname: string;
  readonly nodeIps: readonly string[];
  readonly kubeletPort: number;
  readonly kubeletVersion: string;
  readonly capacity: Readonly<Record<string, string>>;
  readonly allocatable: Readonly<Record<string, string>>;
  readonly hostInfo: HostInfo;
  /** Beside those that every node has. */
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** What was last seen of the runtime. */
export type RuntimeFacts =
  | {
      readonly kind: 'seen';
      readonly version: RuntimeVersion;
      readonly conditions: readonly RuntimeCondition[];
      readonly images: readonly RuntimeImage[];
    }
  | { readonly kind: 'unreachable'; readonly message: string };

/** The Node object to register (section 8.1). */
export function newNode(facts: NodeFacts, status: NodeStatus): Node {
  const { operatingSystem, architecture } = facts.hostInfo;
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: facts.nodeName,
      labels: {
        ...facts.labels,
        'beta.kubernetes.io/arch': architecture,
        'beta.kubernetes.io/os': operatingSystem,
        'kubernetes.io/arch': architecture,
        'kubernetes.io/hostname': facts.hostname,
        'kubernetes.io/os': operatingSystem,
      },
      annotations: { ...facts.annotations, 'volumes.kubernetes.io/controller-managed-attach-detach': 'true' },
    },
    spec: {},
    status,
  };
}

/** The node's status as it is now; conditions keep their transition time while their status stays. */
export function nodeStatusOf(
  facts: NodeFacts,
  runtime: RuntimeFacts,
  previous: readonly NodeCondition[],
  now: string,
): NodeStatus {
  const version = runtime.kind === 'seen' ? runtime.version : undefined;
  return {
    capacity: facts.capacity,
    allocatable: facts.allocatable,
    conditions: nodeConditions(runtime).map((condition) => {
      const before = previous.find(({ type }) => type === condition.type);
      const since = before?.status === condition.status ? before.lastTransitionTime : undefined;
      return { ...condition, lastHeartbeatTime: now, lastTransitionTime: since ?? now };
    }),
    addresses: [
      ...facts.nodeIps.map((address) => ({ type: 'InternalIP', address })),
      { type: 'Hostname', address: facts.hostname },
    ],
    daemonEndpoints: { kubeletEndpoint: { Port: facts.kubeletPort } },
    nodeInfo: {
      ...facts.hostInfo,
      kubeProxyVersion: '',
      kubeletVersion: facts.kubeletVersion,
      containerRuntimeVersion: version === undefined ? '' : `${version.runtimeName}://${version.runtimeVersion}`,
    },
    images: runtime.kind === 'seen' ? imagesOf(runtime.images) : [],
  };
}

/** Largest first. */
function imagesOf(images: readonly RuntimeImage[]): ContainerImage[] {
  return [...images]
    .sort((a, b) => b.sizeBytes - a.sizeBytes)
    .slice(0, imagesMax)
    .map(({ repoTags, sizeBytes }) => ({ names: repoTags.slice(0, namesPerImageMax), sizeBytes }));
}

type OwnCondition = Pick<NodeCondition, 'type' | 'status' | 'reason' | 'message'>;

function nodeConditions(runtime: RuntimeFacts): OwnCondition[] {
  const problems = runtimeProblems(runtime);
  const ready: OwnCondition =
    problems.length === 0
      ? { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'kubelet is posting ready status' }
      : { type: 'Ready', status: 'False', reason: 'KubeletNotReady', message: joined(problems) };
  return [
    {
      type: 'MemoryPressure',
      status: 'False',
      reason: 'KubeletHasSufficientMemory',
      message: 'kubelet has sufficient memory available',
    },
    {
      type: 'DiskPressure',
      status: 'False',
      reason: 'KubeletHasNoDiskPressure',
      message: 'kubelet has no disk pressure',
    },
    {
      type: 'PIDPressure',
      status: 'False',
      reason: 'KubeletHasSufficientPID',
      message: 'kubelet has sufficient PID available',
    },
    ready,
  ];
}

function runtimeProblems(runtime: RuntimeFacts): string[] {
  if (runtime.kind === 'unreachable')
    return [`container runtime status check may not have completed yet: ${runtime.message}`];
  return runtime.conditions
    .filter(({ status }) => !status)
    .map(({ type, reason, message }) =>
      type === 'NetworkReady'
        ? `container runtime network not ready: NetworkReady=false reason:${reason} message:${message}`
        : `container runtime is down: ${type}=false reason:${reason} message:${message}`,
    );
}

// As upstream's aggregate error prints: one bare, several in brackets.
function joined(problems: readonly string[]): string {
  return problems.length === 1 ? (problems[0] ?? '') : `[${problems.join(', ')}]`;
}

/** Why pods cannot be given a network; `undefined`: they can. */
export function networkProblemOf(runtime: RuntimeFacts | undefined): string | undefined {
  if (runtime?.kind !== 'seen') return undefined;
  const bad = runtime.conditions.find(({ type, status }) => type === 'NetworkReady' && !status);
  if (bad === undefined) return undefined;
  return `container runtime network not ready: NetworkReady=false reason:${bad.reason} message:${bad.message}`;
}

/** The words of the event for each status of a condition (section 5.3). */
export const conditionEvents: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  MemoryPressure: { False: 'NodeHasSufficientMemory', True: 'NodeHasInsufficientMemory' },
  DiskPressure: { False: 'NodeHasNoDiskPressure', True: 'NodeHasDiskPressure' },
  PIDPressure: { False: 'NodeHasSufficientPID', True: 'NodeHasInsufficientPID' },
  Ready: { True: 'NodeReady', False: 'NodeNotReady' },
};
