import fsp from 'node:fs/promises';
import path from 'node:path';
import type { Clock } from '../base/clock.ts';
import { StatusError, messageOf } from '../base/status-error.ts';
import { RpcConnection } from '../cri/grpc/rpc-connection.ts';
import { socketPathOf } from '../cri/grpc/runtime-endpoint.ts';
import type { RuntimeCondition } from '../cri/runtime.ts';
import type { CniFacts, CriConfig, CriFacts, SandboxImageFacts } from './node-check.ts';

const answerMsMax = 5_000;
const pullMsMax = 60_000;

/**
 * Asks the runtime at `endpoint` (`unix:///...`) how it is, and looks at the CNI files that it names. Pulls the sandbox
 * image if it is not there, as the first pod would.
 */
export async function criFacts(clock: Clock, endpoint: string, signal: AbortSignal): Promise<CriFacts> {
  const connection = new RpcConnection(clock, socketPathOf(endpoint));
  try {
    const { runtime } = connection;
    const version = await connection.call('Version', answerMsMax, signal, (call) => runtime.version({}, call));
    const status = await connection.call('Status', answerMsMax, signal, (call) =>
      runtime.status({ verbose: true }, call),
    );
    const config = configOf(status.info['config']);
    return {
      kind: 'answers',
      endpoint,
      version: { runtimeName: version.runtimeName, runtimeVersion: version.runtimeVersion },
      conditions: (status.status?.conditions ?? []).map(
        ({ type, status: holds, reason, message }): RuntimeCondition => ({ type, status: holds, reason, message }),
      ),
      config,
      sandboxImage: await sandboxImageFacts(connection, config?.sandboxImage ?? '', signal),
      cni: config === undefined ? undefined : await cniFacts(config),
    };
  } catch (error) {
    if (signal.aborted || !(error instanceof StatusError)) throw error;
    return { kind: 'silent', endpoint, problem: /connect: ([^"]+)/.exec(error.message)?.[1] ?? error.message };
  } finally {
    connection.close();
  }
}

async function sandboxImageFacts(
  connection: RpcConnection,
  name: string,
  signal: AbortSignal,
): Promise<SandboxImageFacts | undefined> {
  if (name === '') return undefined;
  const { images } = connection;
  const image = { image: name };
  const present = await connection.call('ImageStatus', answerMsMax, signal, (call) =>
    images.imageStatus({ image }, call),
  );
  if (present.image !== undefined) return { name, isPresent: true, problem: '' };
  try {
    await connection.call('PullImage', pullMsMax, signal, (call) => images.pullImage({ image }, call));
    return { name, isPresent: true, problem: '' };
  } catch (error) {
    if (signal.aborted || !(error instanceof StatusError)) throw error;
    return { name, isPresent: false, problem: /connect: ([^"]+)/.exec(error.message)?.[1] ?? error.message };
  }
}

/** What containerd says of its CRI part, in JSON. Others say nothing, or something else. */
export function configOf(text: string | undefined): CriConfig | undefined {
  let config: unknown;
  try {
    config = JSON.parse(text ?? '');
  } catch {
    return undefined; // not containerd
  }
  const cniConfDir = textAt(config, 'cni', 'confDir');
  if (cniConfDir === '') return undefined;
  const binDirs = at(config, 'cni', 'binDirs'); // from 2.1 on
  return {
    sandboxImage: textAt(config, 'sandboxImage'),
    cniBinDirs: Array.isArray(binDirs) ? binDirs.map(String) : [textAt(config, 'cni', 'binDir')],
    cniConfDir,
    restrictsOomScoreAdj: at(config, 'restrictOOMScoreAdj') === true,
    usesSystemdCgroups: at(config, 'containerd', 'runtimes', 'runc', 'options', 'SystemdCgroup') === true,
  };
}

function at(value: unknown, ...keys: readonly string[]): unknown {
  let found = value;
  for (const key of keys) {
    if (typeof found !== 'object' || found === null) return undefined;
    found = Object.entries(found).find(([name]) => name === key)?.[1];
  }
  return found;
}

function textAt(value: unknown, ...keys: readonly string[]): string {
  const found = at(value, ...keys);
  return typeof found === 'string' ? found : '';
}

/** Of the configuration that one would write, where there is none. */
const usualPlugins: readonly string[] = ['bridge', 'host-local', 'portmap'];
const confFileEndings = ['.conf', '.conflist', '.json'];

async function cniFacts({ cniConfDir, cniBinDirs }: CriConfig): Promise<CniFacts> {
  const names = await fsp.readdir(cniConfDir).catch(() => []); // none: said as "no configuration"
  const [first] = names.filter((name) => confFileEndings.includes(path.extname(name))).sort();
  const confFile = first === undefined ? undefined : path.join(cniConfDir, first);
  const plugins =
    confFile === undefined ? usualPlugins : pluginsOf(await fsp.readFile(confFile, 'utf8').catch(messageOf));
  const installed = new Set<string>();
  for (const directory of cniBinDirs) {
    for (const name of await fsp.readdir(directory).catch(() => [])) installed.add(name);
  }
  return { confFile, plugins, missingPlugins: [...plugins, 'loopback'].filter((plugin) => !installed.has(plugin)) };
}

/** The types that a CNI configuration names, those of address management included; none if it is no JSON. */
function pluginsOf(text: string): string[] {
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch {
    return []; // the runtime says so itself: NetworkReady is false
  }
  const list = at(config, 'plugins');
  const plugins: unknown[] = Array.isArray(list) ? list : [config];
  return plugins.flatMap((plugin) => [textAt(plugin, 'type'), textAt(plugin, 'ipam', 'type')]).filter(Boolean);
}
