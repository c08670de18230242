import type { ContainerImage, Node, NodeCondition, NodeStatus, NodeSystemInfo } from '../api/gen/types.ts';
import { isExtended } from '../api/validation/resources.ts';
import type { RuntimeCondition, RuntimeImage, RuntimeVersion } from '../cri/runtime.ts';

const imagesMax = 50; // upstream: nodeStatusMaxImages
const namesPerImageMax = 5;

/** What the host tells about itself; the runtime's version is added to it. */
export type HostInfo = Pick<
  NodeSystemInfo,
  'architecture' | 'bootID' | 'kernelVersion' | 'machineID' | 'operatingSystem' | 'osImage' | 'systemUUID'
>;

export interface NodeFacts {
  /** Its host name too, as several nodes may be on one computer. Upstream: `--hostname-override`. */
  readonly nodeName: string;
  readonly nodeIps: readonly string[];
  readonly kubeletPort: number;
  readonly kubeletVersion: string;
  readonly capacity: Readonly<Record<string, string>>;
  readonly allocatable: Readonly<Record<string, string>>;
  readonly hostInfo: HostInfo;
  /** Beside those that every node has. */
  readonly labels: Readonly<Record<string, string>>;
  /** Likewise. `null`: it is not to have this one, which an earlier run may have set. */
  readonly annotations: Readonly<Record<string, string | null>>;
}

/** What was last seen of the runtime. */
export interface RuntimeFacts {
  readonly version: RuntimeVersion;
  readonly conditions: readonly RuntimeCondition[];
  readonly images: readonly RuntimeImage[];
  readonly seenMonoMs: number;
}

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
        'kubernetes.io/hostname': facts.nodeName,
        'kubernetes.io/os': operatingSystem,
      },
      annotations: { ...present(facts.annotations), 'volumes.kubernetes.io/controller-managed-attach-detach': 'true' },
    },
    spec: {},
    status,
  };
}

function present(annotations: NodeFacts['annotations']): Record<string, string> {
  return Object.fromEntries(
    Object.entries(annotations).flatMap(([key, value]) => (value === null ? [] : [[key, value]])),
  );
}

/**
 * The node's status as it is now. Of what the API has (`found`) conditions keep their transition time while their
 * status stays, and extended resources that somebody put into the capacity are allocatable. `runtime`: `undefined`
 * until it has answered. `problems`: why the node is not Ready.
 */
export function nodeStatusOf(
  facts: NodeFacts,
  runtime: RuntimeFacts | undefined,
  problems: readonly string[],
  found: NodeStatus | undefined,
  now: string,
): NodeStatus {
  const version = runtime?.version;
  const previous = found?.conditions ?? [];
  const advertised = extendedOnly(found?.capacity);
  return {
    capacity: { ...advertised, ...facts.capacity },
    allocatable: { ...advertised, ...facts.allocatable },
    conditions: nodeConditions(problems).map((condition) => {
      const before = previous.find(({ type }) => type === condition.type);
      const since = before?.status === condition.status ? before.lastTransitionTime : undefined;
      return { ...condition, lastHeartbeatTime: now, lastTransitionTime: since ?? now };
    }),
    addresses: [
      ...facts.nodeIps.map((address) => ({ type: 'InternalIP', address })),
      { type: 'Hostname', address: facts.nodeName },
    ],
    daemonEndpoints: { kubeletEndpoint: { Port: facts.kubeletPort } },
    nodeInfo: {
      ...facts.hostInfo,
      kubeProxyVersion: '',
      kubeletVersion: facts.kubeletVersion,
      containerRuntimeVersion: version === undefined ? '' : `${version.runtimeName}://${version.runtimeVersion}`,
    },
    images: imagesOf(runtime?.images ?? []),
  };
}

function extendedOnly(amounts: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(amounts).filter(([name]) => isExtended(name)));
}

/** Largest first. */
function imagesOf(images: readonly RuntimeImage[]): ContainerImage[] {
  return [...images]
    .sort((a, b) => b.sizeBytes - a.sizeBytes)
    .slice(0, imagesMax)
    .map(({ repoTags, sizeBytes }) => ({ names: repoTags.slice(0, namesPerImageMax), sizeBytes }));
}

type OwnCondition = Pick<NodeCondition, 'type' | 'status' | 'reason' | 'message'>;

function nodeConditions(problems: readonly string[]): OwnCondition[] {
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

const runtimeSilentMs = 30_000; // upstream: maxWaitForContainerRuntime

/**
 * Why the runtime makes the node not Ready, in upstream's order and words. `plegProblem`: why it is not known what the
 * runtime has.
 */
export function runtimeProblemsOf(
  runtime: RuntimeFacts | undefined,
  plegProblem: string | undefined,
  nowMonoMs: number,
): readonly string[] {
  const pleg = plegProblem === undefined ? [] : [plegProblem];
  if (runtime === undefined) return ['container runtime status check may not have completed yet', ...pleg];
  const isSilent = nowMonoMs - runtime.seenMonoMs >= runtimeSilentMs;
  const bad = runtime.conditions
    .filter(({ type, status }) => !status && (type === 'RuntimeReady' || type === 'NetworkReady'))
    .sort((a, b) => (a.type > b.type ? -1 : 1)); // the runtime itself comes first
  return [...(isSilent ? ['container runtime is down'] : []), ...pleg, ...bad.map(conditionText)];
}

function conditionText({ type, reason, message }: RuntimeCondition): string {
  const what = type === 'NetworkReady' ? 'container runtime network not ready' : 'container runtime not ready';
  return `${what}: ${type}=false reason:${reason} message:${message}`;
}

// As upstream's aggregate error prints: one bare, several in brackets.
function joined(problems: readonly string[]): string {
  return problems.length === 1 ? (problems[0] ?? '') : `[${problems.join(', ')}]`;
}

/** Why pods cannot be given a network; `undefined`: they can. */
export function networkProblemOf(runtime: RuntimeFacts | undefined): string | undefined {
  const bad = runtime?.conditions.find(({ type, status }) => type === 'NetworkReady' && !status);
  return bad && conditionText(bad);
}

/** The words of the event for each status of a condition (section 5.3). */
export const conditionEvents: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  MemoryPressure: { False: 'NodeHasSufficientMemory', True: 'NodeHasInsufficientMemory' },
  DiskPressure: { False: 'NodeHasNoDiskPressure', True: 'NodeHasDiskPressure' },
  PIDPressure: { False: 'NodeHasSufficientPID', True: 'NodeHasInsufficientPID' },
  Ready: { True: 'NodeReady', False: 'NodeNotReady' },
};
