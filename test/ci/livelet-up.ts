import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** The program as users run it. */
export const liveletBin = path.resolve(import.meta.dirname, '../../bin/livelet.js');
const startMsMax = 30_000;
const commandMsMax = 120_000;

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A `livelet up` in a directory of its own, and commands against it. */
export interface RunningLivelet {
  readonly dataDir: string;
  readonly kubeconfigPath: string;
  readonly pid: number;
  /** What `up` printed until it was Ready. */
  readonly greeting: string;
  /** Our own CLI. */
  livelet(args: readonly string[], input?: string): Promise<CommandResult>;
  /** The newest kubectl there is, or the one of `version` (`1.27`). */
  kubectl(args: readonly string[], input?: string, version?: string): Promise<CommandResult>;
  /** SIGTERM, and waits; the exit code. `signal` SIGKILL leaves the data directory for a later start. */
  stop(signal?: 'SIGTERM' | 'SIGKILL' | 'SIGINT'): Promise<number | null>;
  /** After `stop`. */
  remove(): void;
}

function run(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  input: string | undefined,
): Promise<CommandResult> {
  return new Promise((resolve) => {
    const options = { env: { ...process.env, ...env }, timeout: commandMsMax, maxBuffer: 64 * 1_024 * 1_024 };
    const child = execFile(command, [...args], options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
      resolve({ code, stdout, stderr });
    });
    child.stdin?.on('error', () => {}); // it may end without reading
    child.stdin?.end(input ?? '');
  });
}

/** Runs `livelet` with nothing set up. */
export function runLivelet(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<CommandResult> {
  return run(process.execPath, [liveletBin, ...args], env, undefined);
}

/** Directory with `kubectl.1.27` ... next to the `kubectl` on the PATH, where this machine has such. */
function kubectlDirectory(): string | undefined {
  for (const directory of (process.env['PATH'] ?? '').split(':')) {
    const candidate = path.join(directory, 'kubectl');
    if (fs.existsSync(candidate)) return path.dirname(fs.realpathSync(candidate));
  }
  return undefined;
}

/** Version (`1.33`) -> path of each kubectl that can be found; 1.34 where $LIVELET_TEST_KUBECTL names it. */
export function kubectlVersions(): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const directory = kubectlDirectory();
  for (const name of directory === undefined ? [] : fs.readdirSync(directory).sort()) {
    const version = /^kubectl\.(\d+\.\d+)$/.exec(name)?.[1];
    if (version !== undefined && directory !== undefined) found.set(version, path.join(directory, name));
  }
  const newest = process.env['LIVELET_TEST_KUBECTL'];
  if (newest !== undefined) found.set('1.34', newest);
  return found;
}

/** The newest kubectl there is, or the one of `version` (`1.27`). */
export function runKubectl(
  kubeconfigPath: string,
  args: readonly string[],
  input?: string,
  version?: string,
): Promise<CommandResult> {
  const kubectls = kubectlVersions();
  const kubectl = version === undefined ? [...kubectls.values()].at(-1) : kubectls.get(version);
  if (kubectl === undefined) throw new Error(`no kubectl ${version ?? ''}: set LIVELET_TEST_KUBECTL`);
  return run(kubectl, args, { KUBECONFIG: kubeconfigPath }, input);
}

export interface LiveletOptions {
  /** Default: a new one in the system's temporary directory. */
  readonly dataDir?: string;
  /** As `--runtime`; default `process`. */
  readonly runtime?: string;
}

export async function startLivelet(options: LiveletOptions = {}): Promise<RunningLivelet> {
  const dataDir = options.dataDir ?? fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-ci-'));
  const place = ['--data-dir', dataDir, '--port', '0', '--node-name', 'worker002'];
  const child = spawn(process.execPath, [liveletBin, 'up', ...place, '--runtime', options.runtime ?? 'process'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  const greeting = await new Promise<string>((resolve, reject) => {
    let text = '';
    const timer = setTimeout(() => reject(new Error(`not Ready within ${startMsMax} ms: ${text}`)), startMsMax);
    child.once('exit', (code) => reject(new Error(`livelet up ended with ${code}: ${text}`)));
    child.stdout.on('data', (data: Buffer) => {
      text += data.toString();
      if (!/ready/i.test(text)) return;
      clearTimeout(timer);
      resolve(text);
    });
  });
  const kubeconfigPath = path.join(dataDir, 'kubeconfig');
  const env = { KUBECONFIG: kubeconfigPath };
  return {
    dataDir,
    kubeconfigPath,
    greeting,
    pid: child.pid ?? 0,
    livelet: (args, input) => run(process.execPath, [liveletBin, ...args], env, input),
    kubectl: (args, input, version) => runKubectl(kubeconfigPath, args, input, version),
    stop(signal = 'SIGTERM') {
      child.kill(signal);
      return exited;
    },
    remove: () => fs.rmSync(dataDir, { recursive: true, force: true }),
  };
}

export function sleepMs(delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, delayMs);
  });
}
