import type { Clock } from '../base/clock.ts';
import type { Entropy } from '../base/entropy.ts';
import type { HttpHandler } from '../base/http.ts';
import type { Log } from '../base/log.ts';
import { noMetrics } from '../base/metrics.ts';
import { StatusError } from '../base/status-error.ts';
import { TaskScope } from '../base/task-scope.ts';
import { CorrelatingEventRecorder } from '../client/correlating-event-recorder.ts';
import { ClusterHeartbeat } from '../client/heartbeat.ts';
import { inProcessClient } from '../client/in-process-client.ts';
import { untilAborted } from '../cri/until-aborted.ts';
import { Kubelet } from '../kubelet/kubelet.ts';
import type { ProbeAttempt } from '../kubelet/probes/prober.ts';
import type { ScriptRule, SimImage } from '../sim/container-script.ts';
import type { Faults } from '../sim/faults.ts';
import { Lifeline } from '../sim/lifeline.ts';
import { SimLink } from '../sim/sim-link.ts';
import type { SimNetwork } from '../sim/sim-network.ts';
import { SimNodeFiles } from '../sim/sim-node-files.ts';
import { SimRuntime } from '../sim/sim-runtime.ts';
import { SkewedClock } from '../sim/skewed-clock.ts';
import type { ClockSkew } from '../sim/skewed-clock.ts';

export interface SimulatedNodeOptions {
  readonly name: string;
  readonly ip: string;
  /** The first three bytes of its pods' addresses: `10.244.0`. */
  readonly podSubnet: string;
  /** Whether the control plane tells it others, before which no pod has one. Default: no. */
  readonly awaitsPodCidr?: boolean;
  /** `cpu`, `memory`, `ephemeral-storage`, `pods`: quantities. */
  readonly capacity: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly clock?: ClockSkew;
  /** Whether its heartbeat is the one that the control plane asks for. Default: upstream's. */
  readonly followsSettings?: boolean;
  readonly images: readonly SimImage[];
  readonly rules: readonly ScriptRule[];
}

export interface SimulatedNodeDeps {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
  readonly faults: Faults;
  /** Shared by all nodes. */
  readonly network: SimNetwork;
  /** The API server, as this node reaches it while its network is whole. */
  readonly server: HttpHandler;
  readonly onProbeAttempt?: (attempt: ProbeAttempt) => void;
}

/** A run of the node's kubelet. */
export interface SimulatedKubelet {
  readonly kubelet: Kubelet;
  readonly scope: TaskScope;
  /** It dies between two instructions: nothing that it waits for comes, and no clean-up reaches anything. */
  crash(): void;
}

/** A machine in virtual time: the real kubelet on a simulated runtime, with everything that can happen to a machine. */
export class SimulatedNode {
  readonly name: string;
  readonly runtime: SimRuntime;
  readonly files = new SimNodeFiles();
  /** Its own, which may be wrong. */
  readonly clock: SkewedClock;
  readonly #deps: SimulatedNodeDeps;
  readonly #options: SimulatedNodeOptions;
  readonly #scope: TaskScope;
  readonly #link: SimLink;
  #boots = 1;
  #hasPower = true;
  #kubelet: SimulatedKubelet | undefined; // undefined: it does not run
  #lifeline = new Lifeline();

  /** Everything of it ends when `signal` aborts. */
  constructor(deps: SimulatedNodeDeps, options: SimulatedNodeOptions, signal: AbortSignal) {
    this.name = options.name;
    this.#deps = deps;
    this.#options = options;
    this.#scope = new TaskScope(signal);
    this.#link = new SimLink(deps.clock);
    this.clock = new SkewedClock(deps.clock, options.clock);
    const { faults, network } = deps;
    this.runtime = new SimRuntime(
      {
        clock: this.clock,
        entropy: deps.entropy.fork('runtime'),
        network,
        faults,
        writeLog: (file, line) => this.files.append(file, line),
      },
      {
        images: options.images,
        rules: options.rules,
        podSubnet: options.podSubnet,
        awaitsPodCidr: options.awaitsPodCidr ?? false,
        hostAddress: options.ip,
      },
      this.#scope.signal,
    );
  }

  /** The one that runs; `undefined`: none does. */
  get kubelet(): SimulatedKubelet | undefined {
    return this.#kubelet;
  }

  get isConnected(): boolean {
    return !this.#link.isCut;
  }

  /** What broke down, if something did. */
  get failure(): unknown {
    return this.#scope.failure ?? this.#kubelet?.scope.failure;
  }

  /** Starts the kubelet, which takes over what its predecessor left. */
  startKubelet(): SimulatedKubelet {
    const scope = new TaskScope(this.#scope.signal);
    const lifeline = new Lifeline();
    this.#lifeline = lifeline;
    const { entropy, log, network, onProbeAttempt } = this.#deps;
    const clock = lifeline.view(this.clock);
    const user = { name: `system:node:${this.name}`, groups: ['system:nodes'] };
    const client = inProcessClient({ handle: hungOn(lifeline, this.#link.over(this.#deps.server)), user });
    const source = { component: 'kubelet', host: this.name };
    const recorder = new CorrelatingEventRecorder({ client, clock, entropy: entropy.fork('events'), log, source });
    const heartbeat = new ClusterHeartbeat({ client, clock, entropy: entropy.fork('heartbeat'), log });
    const { followsSettings = false } = this.#options;
    const kubelet = new Kubelet(
      {
        client,
        runtime: lifeline.view(this.runtime),
        clock,
        entropy,
        log,
        metrics: noMetrics,
        probeMetrics: noMetrics,
        recorder,
        files: lifeline.view(this.files),
        transport: lifeline.view(network),
        ...(followsSettings ? { heartbeat } : {}),
        ...(onProbeAttempt === undefined ? {} : { onProbeAttempt }),
      },
      this.#kubeletOptions(),
    );
    scope.start((signal) => recorder.run(signal));
    if (followsSettings) scope.start((signal) => heartbeat.run(signal));
    scope.start((signal) => kubelet.run(signal));
    const running: SimulatedKubelet = {
      kubelet,
      scope,
      crash: () => {
        lifeline.cut();
        scope.close(new Error('crashed')).catch(() => {}); // takes its timers away; never settles otherwise
        if (this.#kubelet === running) this.#kubelet = undefined;
      },
    };
    this.#kubelet = running;
    return running;
  }

  #kubeletOptions(): ConstructorParameters<typeof Kubelet>[1] {
    const { name, ip, capacity, labels } = this.#options;
    return {
      nodeName: name,
      hostname: name,
      nodeIps: [ip],
      kubeletPort: 10_250,
      capacity,
      labels: labels ?? {},
      hostInfo: {
        architecture: 'amd64',
        bootID: this.#boots === 1 ? 'boot' : `boot-${this.#boots}`,
        kernelVersion: '6.0',
        machineID: 'machine',
        operatingSystem: 'linux',
        osImage: 'Simulated',
        systemUUID: 'machine',
      },
      rootDir: '/var/lib/kubelet',
      podLogsDir: '/var/log/pods',
    };
  }

  /** Asks the node's server. A machine that is off or cut off never answers; without a kubelet it refuses. */
  readonly handle: HttpHandler = (request, signal) => {
    const kubelet = this.#kubelet;
    if (kubelet === undefined && this.#hasPower) {
      throw new StatusError('ServiceUnavailable', `dial tcp ${this.#options.ip}:10250: connect: connection refused`);
    }
    const answer: HttpHandler = kubelet?.kubelet.handle ?? (() => new Promise(() => {}));
    return untilAborted(this.#link.over(this.#lifeline.call(answer))(request, signal), signal);
  };

  /** The machine loses power: its containers end at once, and nobody is told. */
  powerOff(): void {
    this.#hasPower = false;
    this.#kubelet?.crash();
    this.runtime.powerOff();
  }

  /** The machine comes up again, with the files that it had. */
  powerOn(): void {
    this.#hasPower = true;
    this.#boots += 1;
    this.startKubelet();
  }

  /** Its network is gone; its kubelet and its containers go on. */
  partition(): void {
    this.#link.cut();
  }

  heal(): void {
    this.#link.heal();
  }

  /** The kubelet stands still (SIGSTOP); its containers go on. */
  pause(): void {
    this.#lifeline.pause();
  }

  resume(): void {
    this.#lifeline.resume();
  }
}

function hungOn(lifeline: Lifeline, handle: HttpHandler): HttpHandler {
  return lifeline.call(async (request, signal) => {
    const response = await handle(request, signal);
    const { body } = response;
    if (typeof body === 'string' || body instanceof Uint8Array) return response;
    return { ...response, body: lifeline.stream(body) };
  });
}
