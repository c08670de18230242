import fs from 'node:fs';
import path from 'node:path';
import { StatusError, messageOf } from '../../base/status-error.ts';
import { parseDockerfile } from './dockerfile.ts';

/** How an image is run, in OCI's words. */
export interface ImageConfig {
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly env: readonly { readonly key: string; readonly value: string }[];
  /** Empty: `/`. */
  readonly workingDir: string;
  /** `NAME`, `UID`, `UID:GID` ...; empty: root, or whoever runs livelet. */
  readonly user: string;
  readonly exposedPorts: readonly string[];
  readonly stopSignal: string | undefined;
}

export const emptyImageConfig: ImageConfig = {
  entrypoint: [],
  cmd: [],
  env: [],
  workingDir: '',
  user: '',
  exposedPorts: [],
  stopSignal: undefined,
};

export interface DirectoryImage {
  readonly config: ImageConfig;
  /** Where in the container the directory is seen. */
  readonly mountPath: string;
  /** What of the directory's description is not carried out; empty: all of it is. */
  readonly notice: string;
}

const defaultMountPath = '/app';
const descriptionBytesMax = 1_048_576;

/**
 * Reads how to run the program in `directory`, from the first of `image.json`, `Dockerfile` and `package.json` that
 * is there. Fails with `BadRequest` if there is none, or if it does not say what to run.
 */
export function readDirectoryImage(directory: string): DirectoryImage {
  const json = readText(path.join(directory, 'image.json'));
  if (json !== undefined) return fromImageJson(json, directory);
  const dockerfile = readText(path.join(directory, 'Dockerfile'));
  if (dockerfile !== undefined) return fromDockerfile(dockerfile, directory);
  const packageJson = readText(path.join(directory, 'package.json'));
  if (packageJson !== undefined) return fromPackageJson(packageJson, directory);
  throw new StatusError('BadRequest', `${directory} holds no image.json, no Dockerfile and no package.json`);
}

function readText(file: string): string | undefined {
  let stat: fs.Stats | undefined;
  try {
    stat = fs.statSync(file, { throwIfNoEntry: false });
  } catch (error) {
    throw new StatusError('BadRequest', messageOf(error), { cause: error });
  }
  if (stat === undefined || !stat.isFile()) return undefined;
  if (stat.size > descriptionBytesMax)
    throw new StatusError('BadRequest', `${file} is over ${descriptionBytesMax} bytes`);
  return fs.readFileSync(file, 'utf8');
}

function parseObject(text: string, file: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new StatusError('BadRequest', `${file}: ${messageOf(error)}`, { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new StatusError('BadRequest', `${file}: expected an object`);
  }
  return { ...value };
}

/** Our own form: `entrypoint`, `cmd`, `env` (an object), `workingDir`, `user`, `exposedPorts`, `stopSignal`. */
function fromImageJson(text: string, directory: string): DirectoryImage {
  const file = path.join(directory, 'image.json');
  const object = parseObject(text, file);
  const known = ['entrypoint', 'cmd', 'env', 'workingDir', 'user', 'exposedPorts', 'stopSignal'];
  const unknown = Object.keys(object).find((key) => !known.includes(key));
  if (unknown !== undefined) throw new StatusError('BadRequest', `${file}: unknown field "${unknown}"`);
  const words = (key: string): string[] => {
    const value = object[key] ?? [];
    if (Array.isArray(value) && value.every((word) => typeof word === 'string')) return value;
    throw new StatusError('BadRequest', `${file}: ${key}: expected a list of strings`);
  };
  const word = (key: string): string => {
    const value = object[key] ?? '';
    if (typeof value === 'string') return value;
    throw new StatusError('BadRequest', `${file}: ${key}: expected a string`);
  };
  const env = object['env'] ?? {};
  if (typeof env !== 'object') throw new StatusError('BadRequest', `${file}: env: expected an object`);
  const config: ImageConfig = {
    entrypoint: words('entrypoint'),
    cmd: words('cmd'),
    env: Object.entries(env).map(([key, value]) => ({ key, value: String(value) })),
    workingDir: word('workingDir') || defaultMountPath,
    user: word('user'),
    exposedPorts: words('exposedPorts'),
    stopSignal: word('stopSignal') || undefined,
  };
  return withCommand({ config, mountPath: config.workingDir, notice: '' }, file);
}

function fromDockerfile(text: string, directory: string): DirectoryImage {
  const parsed = parseDockerfile(text);
  // Copied to the working directory as a rule: so that is where the directory is shown.
  const hasOwnDirectory = parsed.workingDir !== '' && parsed.workingDir !== '/';
  const mountPath = hasOwnDirectory ? parsed.workingDir : defaultMountPath;
  const isNode = /(?:^|\/)node(?::|@|$)/.test(parsed.from);
  const cmd = parsed.entrypoint.length === 0 && parsed.cmd.length === 0 && isNode ? ['node'] : parsed.cmd;
  const skipped = parsed.ignored.filter((name) => name === 'RUN' || name === 'COPY' || name === 'ADD');
  const image: DirectoryImage = {
    config: { ...parsed, cmd, workingDir: mountPath },
    mountPath,
    notice: skipped.length === 0 ? '' : `${skipped.join(', ')} of its Dockerfile are not carried out`,
  };
  return withCommand(image, path.join(directory, 'Dockerfile'));
}

function fromPackageJson(text: string, directory: string): DirectoryImage {
  const file = path.join(directory, 'package.json');
  const object = parseObject(text, file);
  const { scripts, main } = object;
  const hasStart = typeof scripts === 'object' && scripts !== null && 'start' in scripts;
  const program = typeof main === 'string' ? main : ['server.js', 'index.js'].find((name) => exists(directory, name));
  const cmd = hasStart ? ['npm', 'start'] : program === undefined ? [] : ['node', program];
  return withCommand(
    { config: { ...emptyImageConfig, cmd, workingDir: defaultMountPath }, mountPath: defaultMountPath, notice: '' },
    file,
  );
}

function exists(directory: string, name: string): boolean {
  return fs.existsSync(path.join(directory, name));
}

function withCommand(image: DirectoryImage, file: string): DirectoryImage {
  if (image.config.entrypoint.length + image.config.cmd.length > 0) return image;
  throw new StatusError('BadRequest', `${file} does not say what to run`);
}
