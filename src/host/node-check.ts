import type { RuntimeCondition, RuntimeVersion } from '../cri/runtime.ts';
import type { HostFacts } from './node-facts.ts';

/** One thing that a node needs, and how it is on this machine. */
export interface NodeCheck {
  /** `missing`: pods do not run without it. `limited`: pods run, something they may ask for does not work. */
  readonly state: 'ok' | 'limited' | 'missing';
  readonly name: string;
  /** What was found. */
  readonly found: string;
  /** What to do, where it is not ok: commands or lines of configuration. */
  readonly mend?: string;
}

/** What a CRI runtime said. */
export type CriFacts =
  | {
      readonly kind: 'silent';
      readonly endpoint: string;
      /** Why: `connect ENOENT ...`. */
      readonly problem: string;
    }
  | {
      readonly kind: 'answers';
      readonly endpoint: string;
      readonly version: RuntimeVersion;
      readonly conditions: readonly RuntimeCondition[];
      /** What it tells of its own configuration; containerd does. */
      readonly config: CriConfig | undefined;
      /** `undefined`: it was not said which image that is. */
      readonly sandboxImage: SandboxImageFacts | undefined;
      readonly cni: CniFacts | undefined;
    };

export interface CriConfig {
  readonly sandboxImage: string;
  readonly cniBinDirs: readonly string[];
  readonly cniConfDir: string;
  readonly restrictsOomScoreAdj: boolean;
  /** Its cgroups are made by systemd. */
  readonly usesSystemdCgroups: boolean;
}

export interface SandboxImageFacts {
  readonly name: string;
  /** It is there now. */
  readonly isPresent: boolean;
  /** Why it could not be pulled. */
  readonly problem: string;
}

/** What lies in the CNI directories. */
export interface CniFacts {
  /** The file that counts: the first in the order of names. */
  readonly confFile: string | undefined;
  /** Types that it names: `bridge`, `host-local`, `portmap`. Without a file those that one would name. */
  readonly plugins: readonly string[];
  /** Of these, what is not in the plugins' directory. */
  readonly missingPlugins: readonly string[];
}

/** What isolation the process runtime finds. */
export interface ProcessFacts {
  readonly kind: 'root' | 'user' | 'none';
  readonly network: 'namespace' | 'host';
  readonly reason: string;
}

const capSysResource = 24n;
const capNetAdmin = 12n;
const capSysAdmin = 21n;
const freeBytesMin = 100 * 1_024 * 1_024;
const freeShareWanted = 0.1; // upstream's kubelet evicts pods below that: nodefs.available<10%

/** Everything that a node needs for real containers, in the order in which to mend it. Pure. */
export function criNodeChecks(host: HostFacts, cri: CriFacts): readonly NodeCheck[] {
  return [
    checkSystem(host),
    checkRoot(host),
    checkSocket(cri),
    ...(cri.kind === 'answers' ? runtimeChecks(host, cri) : []),
    checkNamespaces(host),
    checkCgroups(host, cri),
    checkHostPorts(host, cri),
    checkDisk(host),
  ];
}

/** The same for local processes, which need nothing: what is not there makes less of them. */
export function processNodeChecks(host: HostFacts, isolation: ProcessFacts): readonly NodeCheck[] {
  return [
    isolation.kind === 'none'
      ? {
          state: 'limited',
          name: 'isolation',
          found: `containers are plain process groups: ${isolation.reason}`,
          mend: 'run as root on Linux, or permit user namespaces: sysctl -w kernel.unprivileged_userns_clone=1',
        }
      : { state: 'ok', name: 'isolation', found: `PID and mount namespaces, made as ${isolation.kind}` },
    isolation.network === 'host'
      ? {
          state: 'limited',
          name: 'pod network',
          found: "pods share this computer's network, two of them cannot listen on one port",
          mend: 'run as root on Linux, with the package iproute2',
        }
      : { state: 'ok', name: 'pod network', found: 'each pod has its own address' },
    host.cgroups.isWritable
      ? { state: 'ok', name: 'cgroups', found: `${host.cgroups.kind}, writable` }
      : {
          state: 'limited',
          name: 'cgroups',
          found: `${host.cgroups.kind}, not writable: limits of CPU and memory are not kept`,
          mend: 'run as root on Linux with cgroups mounted at /sys/fs/cgroup',
        },
    checkDisk(host),
  ];
}

function checkSystem({ platform }: HostFacts): NodeCheck {
  if (platform === 'linux') return { state: 'ok', name: 'system', found: 'Linux' };
  return {
    state: 'missing',
    name: 'system',
    found: platform,
    mend: 'real containers need Linux; here there is --runtime process',
  };
}

function has(capabilities: bigint | undefined, bit: bigint): boolean {
  return capabilities !== undefined && ((capabilities >> bit) & 1n) === 1n;
}

function checkRoot({ uid, capabilities }: HostFacts): NodeCheck {
  const name = 'root';
  if (uid !== 0) {
    const found = `user ${uid ?? 'unknown'}: volumes, cgroups and the socket of the runtime are root's`;
    return { state: 'missing', name, found, mend: 'start livelet with sudo' };
  }
  const lacking = [
    ...(has(capabilities, capSysAdmin) ? [] : ['CAP_SYS_ADMIN']),
    ...(has(capabilities, capNetAdmin) ? [] : ['CAP_NET_ADMIN']),
  ];
  if (lacking.length === 0) return { state: 'ok', name, found: 'root, may mount and set up networks' };
  return {
    state: 'missing',
    name,
    found: `root without ${lacking.join(', ')}`,
    mend: `give this machine or container more: --cap-add ${lacking.join(' --cap-add ')} (or --privileged)`,
  };
}

function checkSocket(cri: CriFacts): NodeCheck {
  const name = 'runtime';
  if (cri.kind === 'silent' && cri.problem.includes('Unimplemented')) {
    const mend = 'containerd: take "cri" out of disabled_plugins in /etc/containerd/config.toml, and restart it';
    return { state: 'missing', name, found: `${cri.endpoint} does not speak CRI v1: ${cri.problem}`, mend };
  }
  if (cri.kind === 'silent') {
    return {
      state: 'missing',
      name,
      found: `${cri.endpoint} does not answer: ${cri.problem}`,
      mend:
        'install and start one, e.g. apt-get install containerd runc containernetworking-plugins iptables && ' +
        'systemctl start containerd; containerd without systemd: containerd &',
    };
  }
  const { runtimeName, runtimeVersion } = cri.version;
  return { state: 'ok', name, found: `${runtimeName} ${runtimeVersion} speaks CRI v1 at ${cri.endpoint}` };
}

type AnsweringCri = Extract<CriFacts, { readonly kind: 'answers' }>;

function runtimeChecks(host: HostFacts, cri: AnsweringCri): NodeCheck[] {
  return [checkReady(cri), ...checkCni(cri), ...checkSandboxImage(cri), checkOomScore(host, cri)];
}

function conditionOf({ conditions }: AnsweringCri, type: string): RuntimeCondition | undefined {
  return conditions.find((condition) => condition.type === type);
}

function checkReady(cri: AnsweringCri): NodeCheck {
  const condition = conditionOf(cri, 'RuntimeReady');
  const name = 'RuntimeReady';
  if (condition?.status === true) return { state: 'ok', name, found: 'true' };
  return {
    state: 'missing',
    name,
    found: textOf(condition),
    mend: `look into its log: journalctl -u ${cri.version.runtimeName}`,
  };
}

function textOf(condition: RuntimeCondition | undefined): string {
  if (condition === undefined) return 'the runtime did not say';
  return `${condition.reason}: ${condition.message}`;
}

const confDirDefault = '/etc/cni/net.d';

function checkCni(cri: AnsweringCri): NodeCheck[] {
  const { cni, config } = cri;
  const condition = conditionOf(cri, 'NetworkReady');
  const confDir = config?.cniConfDir ?? confDirDefault;
  const checks: NodeCheck[] = [];
  if (condition?.status === true) checks.push({ state: 'ok', name: 'NetworkReady', found: 'true' });
  else {
    checks.push({
      state: 'missing',
      name: 'NetworkReady',
      found: textOf(condition),
      mend:
        cni?.confFile === undefined
          ? `put a configuration into ${confDir}, e.g. 10-livelet.conflist: ${exampleConflist}`
          : `the runtime does not take ${cni.confFile}: look into its log`,
    });
  }
  if (cni !== undefined && cni.missingPlugins.length > 0) {
    checks.push({
      state: 'missing',
      name: 'CNI plugins',
      found: `${cni.missingPlugins.join(', ')} not in ${config?.cniBinDirs.join(', ') ?? 'its directory'}`,
      mend: pluginsMend(cri),
    });
  } else if (cni?.confFile !== undefined) {
    checks.push({ state: 'ok', name: 'CNI plugins', found: `${cni.plugins.join(', ')} (${cni.confFile})` });
  }
  return checks;
}

const exampleConflist = JSON.stringify({
  cniVersion: '0.4.0',
  name: 'pods',
  plugins: [
    {
      type: 'bridge',
      bridge: 'cni0',
      isGateway: true,
      ipMasq: true,
      ipam: { type: 'host-local', ranges: [[{ subnet: '10.88.0.0/16' }]], routes: [{ dst: '0.0.0.0/0' }] },
    },
    { type: 'portmap', capabilities: { portMappings: true } },
  ],
});

/** Debian and others put the plugins elsewhere than containerd looks for them. */
function pluginsMend({ version, config }: AnsweringCri): string {
  const install = 'apt-get install containernetworking-plugins';
  if (version.runtimeName !== 'containerd' || config?.cniBinDirs.includes('/usr/lib/cni') === true) return install;
  return (
    `${install}, which puts them into /usr/lib/cni; in /etc/containerd/config.toml: ` +
    `[plugins."io.containerd.grpc.v1.cri".cni] bin_dir = "/usr/lib/cni", and restart it`
  );
}

function checkSandboxImage({ sandboxImage, version }: AnsweringCri): NodeCheck[] {
  if (sandboxImage === undefined) return []; // the runtime keeps it to itself
  const { name: image, isPresent, problem } = sandboxImage;
  if (isPresent) return [{ state: 'ok', name: 'sandbox image', found: image }];
  const line = `sandbox_image = "NAME" in [plugins."io.containerd.grpc.v1.cri"] of /etc/containerd/config.toml`;
  return [
    {
      state: 'missing',
      name: 'sandbox image',
      found: `${image} is not there and cannot be pulled: ${problem}`,
      mend:
        version.runtimeName === 'containerd'
          ? `ctr -n k8s.io images import PAUSE.tar, or name another one: ${line}`
          : 'pull or load it, or name another one in the configuration of the runtime',
    },
  ];
}

/** Whether containers can get the `oom_score_adj` of their QoS class. */
function checkOomScore(host: HostFacts, { version, config }: AnsweringCri): NodeCheck {
  const name = 'oom_score_adj';
  if (has(host.boundingCapabilities, capSysResource)) {
    return { state: 'ok', name, found: 'may be lowered (CAP_SYS_RESOURCE)' };
  }
  if (config?.restrictsOomScoreAdj === true) {
    return {
      state: 'limited',
      name,
      found: 'root without CAP_SYS_RESOURCE: containers get no lower one than the runtime has itself',
      mend: 'nothing, if that will do; else give this machine CAP_SYS_RESOURCE',
    };
  }
  const found = 'root without CAP_SYS_RESOURCE cannot lower it, and runc then fails to start containers';
  if (version.runtimeName !== 'containerd') {
    return { state: 'missing', name, found, mend: 'give this machine CAP_SYS_RESOURCE' };
  }
  const line = '[plugins."io.containerd.grpc.v1.cri"] restrict_oom_score_adj = true';
  return { state: 'missing', name, found, mend: `in /etc/containerd/config.toml: ${line}, and restart it` };
}

const neededNamespaces = ['mnt', 'pid', 'net', 'ipc', 'uts'];

function checkNamespaces({ namespaces }: HostFacts): NodeCheck {
  const name = 'namespaces';
  const lacking = neededNamespaces.filter((kind) => !namespaces.includes(kind));
  if (lacking.length === 0) return { state: 'ok', name, found: neededNamespaces.join(', ') };
  return { state: 'missing', name, found: `the kernel has no ${lacking.join(', ')}`, mend: 'another kernel' };
}

const neededControllers = ['cpu', 'memory', 'pids'];

function checkCgroups({ cgroups }: HostFacts, cri: CriFacts): NodeCheck {
  const name = 'cgroups';
  if (cgroups.kind === 'none') {
    const mend = 'mount -t cgroup2 none /sys/fs/cgroup';
    return { state: 'missing', name, found: 'none at /sys/fs/cgroup', mend };
  }
  if (!cgroups.isWritable) {
    const mend = 'mount -o remount,rw /sys/fs/cgroup (a container needs --privileged for that)';
    return { state: 'missing', name, found: `${cgroups.kind} at /sys/fs/cgroup, not writable`, mend };
  }
  const lacking = neededControllers.filter((controller) => !cgroups.controllers.includes(controller));
  if (lacking.length > 0) {
    return {
      state: 'limited',
      name,
      found: `${cgroups.kind} without ${lacking.join(', ')}: these limits are not kept`,
      mend: 'kernel parameters: cgroup_enable=memory swapaccount=1',
    };
  }
  if (cri.kind === 'answers' && cri.config?.usesSystemdCgroups === true) {
    return {
      state: 'limited',
      name,
      found: 'the runtime leaves its cgroups to systemd: limits of containers are kept, those of whole pods are not',
      mend: 'SystemdCgroup = false in [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]',
    };
  }
  return { state: 'ok', name, found: `${cgroups.kind}, writable, with ${neededControllers.join(', ')}` };
}

function checkHostPorts({ tools }: HostFacts, cri: CriFacts): NodeCheck {
  const name = 'hostPort';
  if (!tools.includes('iptables')) {
    const mend = 'apt-get install iptables';
    return { state: 'limited', name, found: 'no iptables: hostPort does not work', mend };
  }
  const plugins = cri.kind === 'answers' ? cri.cni?.plugins : undefined;
  if (plugins !== undefined && plugins.length > 0 && !plugins.includes('portmap')) {
    return {
      state: 'limited',
      name,
      found: 'the CNI configuration has no portmap: hostPort does not work',
      mend: 'add to its plugins: {"type": "portmap", "capabilities": {"portMappings": true}}',
    };
  }
  return { state: 'ok', name, found: plugins === undefined ? 'iptables' : 'iptables, portmap' };
}

function checkDisk({ disk }: HostFacts): NodeCheck {
  const name = 'disk';
  const free = `${gib(disk.freeBytes)} of ${gib(disk.totalBytes)} GiB free at ${disk.directory}`;
  if (disk.freeBytes < freeBytesMin) return { state: 'missing', name, found: free, mend: 'make room' };
  if (disk.freeBytes < freeShareWanted * disk.totalBytes) {
    return { state: 'limited', name, found: `${free}: less than a tenth`, mend: 'make room' };
  }
  return { state: 'ok', name, found: free };
}

function gib(bytes: number): string {
  return (bytes / 1_024 ** 3).toFixed(1);
}
