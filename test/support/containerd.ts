/**
 * A containerd of its own for tests: own root, state, socket, CNI network and images; nothing of the machine's is touched
 * or left behind. It lives, with all its shims and containers, in a PID and a mount namespace whose first process ends
 * with the test process, so that even SIGKILL of the tests ends every container.
 */
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import fsp from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { buildTestImages, imagesMissing, pauseImage } from './test-images.ts';
import { startTestRegistry } from './test-registry.ts';
import type { TestRegistry } from './test-registry.ts';

const run = promisify(execFile);
const toolMsMax = 60_000;
const daemonStartMsMax = 30_000;
const daemonStopMsMax = 20_000;
const imageMsMax = 30_000;
const pollMs = 20;

export interface TestContainerd {
  /** Path of its Unix socket. */
  readonly socket: string;
  /** `unix:///...` */
  readonly endpoint: `unix://${string}`;
  /**
   * Removed by `stop`. What is mounted below it on the machine is seen by containerd too: directories of kubelets belong
   * here (`fs.mkdtemp`).
   */
  readonly directory: string;
  /** The one directory of CNI configurations; `cniConfig` is the file in it. */
  readonly cniConfDir: string;
  readonly cniConfigPath: string;
  /** containerd's own log file. */
  readonly logPath: string;
  readonly registry: TestRegistry;
  /** `ctr -n k8s.io ARGS`; what it prints. Fails as it fails. */
  ctr(...args: readonly string[]): Promise<string>;
  /** Ends the daemon alone, with this signal, and waits for that; containers run on. */
  stopDaemon(signal?: 'TERM' | 'KILL'): Promise<void>;
  /** Starts it again; resolves when it answers. */
  startDaemon(): Promise<void>;
  /** Stops the daemon from doing anything (SIGSTOP), as if it hung; `resumeDaemon` wakes it. */
  pauseDaemon(): void;
  resumeDaemon(): void;
  /** Ends and removes everything. Idempotent. */
  stop(): Promise<void>;
}

const cniBinDirs = ['/usr/lib/cni', '/opt/cni/bin'];

/** Why containerd cannot be tested on this machine, for a test's `skip`; empty: it can. */
export function containerdMissing(): string {
  if (process.platform !== 'linux') return 'containerd needs Linux';
  if (process.getuid?.() !== 0) return 'containerd needs root';
  const tools = ['containerd', 'ctr', 'runc', 'iptables', 'ip', 'mount', 'unshare', 'bash', 'tar'];
  const missing = tools.filter((tool) => findTool(tool) === undefined);
  if (missing.length > 0) return `not installed: ${missing.join(', ')}`;
  if (cniBinDir() === undefined) return `no CNI plugins in ${cniBinDirs.join(' or ')}`;
  return imagesMissing();
}

/** Whether missing parts are failures and not reasons to skip: set by `.ci/run`. */
export const requiresAll = process.env['LIVELET_TEST_REQUIRE_ALL'] === '1';

/** For a test's `skip`: the reason, or false. Where everything must be there (CI), never a reason. */
export function skipWithoutContainerd(): string | false {
  const missing = containerdMissing();
  return missing === '' || requiresAll ? false : missing;
}

function findTool(name: string): string | undefined {
  const directories = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin'];
  return directories.map((directory) => path.join(directory, name)).find((file) => fs.existsSync(file));
}

function cniBinDir(): string | undefined {
  const plugins = ['bridge', 'host-local', 'portmap', 'loopback'];
  return cniBinDirs.find((directory) => plugins.every((plugin) => fs.existsSync(path.join(directory, plugin))));
}

/** Starts it with the images of `test-images.ts`. About three seconds. */
export async function startContainerd(): Promise<TestContainerd> {
  const missing = containerdMissing();
  if (missing !== '') throw new Error(`containerd cannot be tested here: ${missing}`);
  const closers: (() => Promise<unknown> | void)[] = [];
  const close = async (): Promise<void> => {
    let failure: unknown;
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) {
      try {
        await closer();
      } catch (error) {
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
  };
  try {
    return await openIn(closers, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function openIn(closers: (() => Promise<unknown> | void)[], close: () => Promise<void>): Promise<TestContainerd> {
  const directory = await fsp.mkdtemp(path.join(os.tmpdir(), 'livelet-containerd-'));
  closers.push(() => fsp.rm(directory, { recursive: true, force: true }));
  // Shared, so that a kubelet's mounts below it (volumes in memory) are seen in containerd's mount namespace.
  await run('mount', ['--bind', directory, directory], { timeout: toolMsMax });
  closers.push(() => unmountAll(directory));
  await run('mount', ['--make-shared', directory], { timeout: toolMsMax });

  const images = await buildTestImages(path.join(directory, 'images'));
  const registry = await startTestRegistry(images);
  closers.push(() => registry.close());
  const bridge = await makeBridge();
  closers.push(() => run('ip', ['link', 'delete', bridge.name], { timeout: toolMsMax }));
  const hadHostPorts = await hasChain(hostPortChains[0]);
  closers.push(() => removeHostPortRules(bridge.name, hadHostPorts));
  const place = placeOf(directory);
  await writeConfigs(place, bridge, registry);

  const ids = new Set<string>();
  closers.push(() => removeCgroups(ids, directory));
  const supervisor = new Supervisor(place);
  closers.push(() => supervisor.close());
  await supervisor.open();
  const ctr = async (...args: readonly string[]): Promise<string> => {
    const options = { timeout: toolMsMax, maxBuffer: 16 * 1_048_576 };
    return (await run('ctr', ['--address', place.socket, '--namespace', 'k8s.io', ...args], options)).stdout;
  };
  // Before their processes end with the namespace: the ids name the cgroups that remain.
  closers.push(async () => {
    const listed = supervisor.isRunning ? await ctr('containers', 'list', '--quiet').catch(() => '') : '';
    for (const id of listed.split('\n').filter(Boolean)) ids.add(id);
  });
  await supervisor.start();
  await importImages(place, images.directory, ctr);

  return {
    ...place,
    directory,
    endpoint: `unix://${place.socket}`,
    registry,
    ctr,
    stopDaemon: (signal = 'TERM') => supervisor.stop(signal),
    startDaemon: () => supervisor.start(),
    pauseDaemon: () => supervisor.tell('signal STOP'),
    resumeDaemon: () => supervisor.tell('signal CONT'),
    stop: close,
  };
}

interface Place {
  readonly directory: string;
  readonly socket: string;
  readonly configPath: string;
  readonly logPath: string;
  readonly cniConfDir: string;
  readonly cniConfigPath: string;
  readonly certsDir: string;
}

function placeOf(directory: string): Place {
  const cniConfDir = path.join(directory, 'cni');
  return {
    directory,
    socket: path.join(directory, 'containerd.sock'),
    configPath: path.join(directory, 'config.toml'),
    logPath: path.join(directory, 'containerd.log'),
    cniConfDir,
    cniConfigPath: path.join(cniConfDir, '10-livelet-test.conflist'),
    certsDir: path.join(directory, 'registries'),
  };
}

interface Bridge {
  readonly name: string;
  readonly subnet: string;
}

const bridgesMax = 200;

/** A bridge that nobody else has; its number is that of the subnet, so that two runs at a time do not meet. */
async function makeBridge(): Promise<Bridge> {
  for (let i = 0; i < bridgesMax; i++) {
    const number = (process.pid + i) % bridgesMax;
    const name = `lvltest${number}`;
    try {
      await run('ip', ['link', 'add', name, 'type', 'bridge'], { timeout: toolMsMax });
      return { name, subnet: `10.231.${number}.0/24` };
    } catch (error) {
      if (!String(error).includes('File exists')) throw error;
    }
  }
  throw new Error(`${bridgesMax} bridges of other tests are there: ip link delete lvltestN`);
}

async function writeConfigs(place: Place, bridge: Bridge, registry: TestRegistry): Promise<void> {
  await fsp.mkdir(place.cniConfDir);
  await fsp.writeFile(place.cniConfigPath, JSON.stringify(cniConfig(place, bridge), undefined, 2));
  await fsp.mkdir(path.join(place.certsDir, '_default'), { recursive: true });
  const hosts = `server = "${registry.url}"\n[host."${registry.url}"]\n  capabilities = ["pull", "resolve"]\n`;
  await fsp.writeFile(path.join(place.certsDir, '_default/hosts.toml'), hosts);
  await fsp.writeFile(place.configPath, containerdConfig(place));
}

function cniConfig({ directory }: Place, { name, subnet }: Bridge): object {
  return {
    cniVersion: '0.4.0',
    name,
    plugins: [
      {
        type: 'bridge',
        bridge: name,
        isGateway: true,
        ipam: {
          type: 'host-local',
          ranges: [[{ subnet }]],
          routes: [{ dst: '0.0.0.0/0' }],
          dataDir: path.join(directory, 'ipam'),
        },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  };
}

function containerdConfig({ directory, socket, cniConfDir, certsDir }: Place): string {
  return `version = 2
root = "${directory}/root"
state = "${directory}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "${socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "${directory}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "${pauseImage}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${cniBinDir()}"
    conf_dir = "${cniConfDir}"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "${certsDir}"
`;
}

/** The images of the layout, and until containerd's CRI part has seen each. */
async function importImages(
  place: Place,
  layout: string,
  ctr: (...args: readonly string[]) => Promise<string>,
): Promise<void> {
  const archive = path.join(place.directory, 'images.tar');
  await run('tar', ['--create', '--file', archive, '-C', layout, '.'], { timeout: toolMsMax });
  await ctr('images', 'import', archive);
  await fsp.rm(archive);
  await until('containerd has taken the images', imageMsMax, async () => {
    const listed = await ctr('images', 'list');
    const names = listed.split('\n').filter((line) => /^[a-z.]+\//.test(line));
    return names.length > 0 && names.every((line) => line.includes('io.cri-containerd.image=managed'));
  });
}

/**
 * The first process of the namespaces: a shell that starts and stops the daemon as told on its stdin, reaps what the
 * shims leave, and ends, everything with it, at the end of its stdin.
 */
const supervisorScript = `
mount --make-rshared / && mount -t tmpfs livelet-test /run && mkdir -p /run/netns || exit 1
# The CNI library keeps its results there.
mkdir -p /var/lib/cni && mount -t tmpfs livelet-test /var/lib/cni || exit 1
echo ready
while read -r word signal; do
  case $word in
    start) containerd --config "$CONFIG" </dev/null >>"$LOG" 2>&1 & daemon=$!; echo started ;;
    stop) kill "-$signal" "$daemon"; wait "$daemon"; echo stopped ;;
    signal) kill "-$signal" "$daemon" ;;
  esac
done
`;

class Supervisor {
  readonly #place: Place;
  #child: ChildProcess | undefined;
  #exited: Promise<unknown> = Promise.resolve();
  #output = '';
  #onOutput: (() => void) | undefined;
  isRunning = false;

  constructor(place: Place) {
    this.#place = place;
  }

  async open(): Promise<void> {
    const namespaces = ['--mount', '--propagation', 'slave', '--pid', '--fork', '--mount-proc', '--kill-child'];
    const child = spawn('unshare', [...namespaces, 'bash', '-c', supervisorScript], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, CONFIG: this.#place.configPath, LOG: this.#place.logPath },
    });
    this.#child = child;
    this.#exited = new Promise((resolve) => {
      child.once('exit', resolve);
      child.once('error', resolve);
    });
    child.stdin.on('error', () => {}); // told by `exit`
    child.stdout.on('data', (data: Buffer) => {
      this.#output += data.toString();
      this.#onOutput?.();
    });
    await this.#said('ready', daemonStartMsMax);
  }

  tell(line: string): void {
    this.#child?.stdin?.write(`${line}\n`);
  }

  /** Resolves when CRI answers. */
  async start(): Promise<void> {
    const before = await sizeOf(this.#place.logPath);
    this.tell('start');
    await this.#said('started', daemonStartMsMax);
    this.isRunning = true;
    await until(
      'containerd is up',
      daemonStartMsMax,
      async () => {
        // The shell makes the file just after it says `started`.
        const bytes = await fsp.readFile(this.#place.logPath).catch(() => Buffer.alloc(0));
        const log = bytes.subarray(before).toString();
        return log.includes('Start streaming server') && (await canConnect(this.#place.socket));
      },
      () => fs.readFileSync(this.#place.logPath, 'utf8').slice(-4_000),
    );
  }

  async stop(signal: 'TERM' | 'KILL'): Promise<void> {
    if (!this.isRunning) return;
    this.isRunning = false;
    this.tell(`stop ${signal}`);
    await this.#said('stopped', daemonStopMsMax);
  }

  /** Ends the namespaces' first process, and so every process in them. */
  async close(): Promise<void> {
    this.#child?.stdin?.end();
    const timer = setTimeout(() => this.#child?.kill('SIGKILL'), daemonStopMsMax);
    await this.#exited;
    clearTimeout(timer);
  }

  async #said(word: string, msMax: number): Promise<void> {
    await until(`containerd's supervisor said ${word}`, msMax, () => {
      const at = this.#output.indexOf(`${word}\n`);
      if (at >= 0) this.#output = this.#output.slice(at + word.length + 1);
      return Promise.resolve(at >= 0);
    });
  }
}

async function sizeOf(file: string): Promise<number> {
  return (await fsp.stat(file).catch(() => undefined))?.size ?? 0;
}

async function canConnect(socket: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const connection = net.connect(socket);
    connection.once('connect', () => {
      connection.destroy();
      resolve(true);
    });
    connection.once('error', () => resolve(false));
  });
}

async function until(
  what: string,
  msMax: number,
  holds: () => Promise<boolean>,
  details: () => string = () => '',
): Promise<void> {
  const endMs = performance.now() + msMax;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`not within ${msMax} ms: ${what} ${details()}`);
    await new Promise((resolve) => {
      setTimeout(resolve, pollMs);
    });
  }
}

/** What a kubelet mounted below it, and itself. */
async function unmountAll(directory: string): Promise<void> {
  const mounts = fs
    .readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((mount) => mount === directory || mount.startsWith(`${directory}/`));
  for (const mount of mounts.reverse()) await run('umount', ['--lazy', mount], { timeout: toolMsMax });
}

const hostPortChains = ['CNI-HOSTPORT-DNAT', 'CNI-HOSTPORT-SETMARK', 'CNI-HOSTPORT-MASQ'] as const;

async function iptables(...args: readonly string[]): Promise<string> {
  return (await run('iptables', ['--wait', '--table', 'nat', ...args], { timeout: toolMsMax })).stdout;
}

async function hasChain(chain: string): Promise<boolean> {
  return await iptables('--list-rules', chain).then(
    () => true,
    () => false,
  );
}

/** The portmap plugin's rules of pods that were not stopped; its chains too, if they came since the start and are empty. */
async function removeHostPortRules(network: string, hadChains: boolean): Promise<void> {
  if (!(await hasChain(hostPortChains[0]))) return;
  const ofPods = await rulesOf(hostPortChains[0]);
  const ours = ofPods.filter((rule) => rule.includes(`name: \\"${network}\\"`));
  for (const rule of ours) {
    await deleteRule(rule);
    const target = /-j (CNI-DN-\S+)/.exec(rule)?.[1];
    if (target === undefined) continue;
    await iptables('--flush', target);
    await iptables('--delete-chain', target);
  }
  if (hadChains || ours.length < ofPods.length) return;
  const jumps = (await rulesOf()).filter((rule) => / -j CNI-HOSTPORT-(?:DNAT|MASQ)$/.test(rule));
  for (const rule of jumps) await deleteRule(rule);
  for (const chain of hostPortChains) {
    await iptables('--flush', chain);
    await iptables('--delete-chain', chain);
  }
}

/** `-A CHAIN ...`, of one chain or of all. */
async function rulesOf(...chain: readonly string[]): Promise<string[]> {
  return (await iptables('--list-rules', ...chain)).split('\n').filter((line) => line.startsWith('-A'));
}

async function deleteRule(rule: string): Promise<void> {
  const words = [...rule.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(([, quoted, plain]) =>
    quoted === undefined ? (plain ?? '') : quoted.replaceAll(/\\(.)/g, '$1'),
  );
  await iptables('--delete', ...words.slice(1));
}

const cgroupRoot = '/sys/fs/cgroup';
const cgroupDepthMax = 7;

/** The control groups of these containers, and those of the livelets that had their data in `directory`. */
async function removeCgroups(containerIds: ReadonlySet<string>, directory: string): Promise<void> {
  const owned = new Set<string>();
  for (const name of await fsp.readdir(directory)) {
    const owner = await fsp.readFile(path.join(directory, name, 'runtime-owner'), 'utf8').catch(() => ''); // no livelet's
    if (owner !== '') owned.add(`livelet-${owner.trim()}`);
  }
  const visit = async (parent: string, isOurs: boolean, depth: number): Promise<void> => {
    if (depth > cgroupDepthMax) return;
    const entries = await fsp.readdir(parent, { withFileTypes: true }).catch(() => []);
    for (const { name } of entries.filter((entry) => entry.isDirectory())) {
      const inner = path.join(parent, name);
      const goes = isOurs || owned.has(name) || containerIds.has(name);
      await visit(inner, goes, depth + 1);
      // containerd's own parent stays while others have groups in it.
      if (goes || name === 'k8s.io') await fsp.rmdir(inner).catch(() => {});
    }
  };
  await visit(cgroupRoot, false, 0);
}
