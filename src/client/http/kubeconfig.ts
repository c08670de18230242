import fs from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { StatusError, messageOf } from '../../base/status-error.ts';

/** Where a cluster is and who we are there: one context of a kubeconfig, with its files read. */
export interface ClusterAccess {
  /** `https://127.0.0.1:6443`, perhaps with a path; without a slash at the end. */
  readonly server: string;
  /** PEM. Absent: the certificate authorities of the system. */
  readonly certificateAuthority?: string;
  /** PEM. */
  readonly clientCertificate?: string;
  /** PEM. */
  readonly clientKey?: string;
  /** Bearer token. */
  readonly token?: string;
  readonly insecureSkipTlsVerify?: boolean;
  /** The name expected in the server's certificate, if it is not the host's. */
  readonly tlsServerName?: string;
}

export interface KubeconfigAccess extends ClusterAccess {
  /** The file that it came from. */
  readonly path: string;
  readonly context: string;
  readonly cluster: string;
  readonly user: string;
  /** The context's namespace; `default` if it names none. */
  readonly namespace: string;
}

export interface KubeconfigOptions {
  /** `--kubeconfig`: only this file. */
  readonly file?: string;
  /** `$KUBECONFIG`: a list separated by colons, of which the first file that exists is used. */
  readonly kubeconfig?: string;
  /** For `~/.kube/config`, which is used when `$KUBECONFIG` is empty. */
  readonly home?: string;
  /** `--context`; absent: the file's current-context. */
  readonly context?: string;
}

/**
 * Reads the kubeconfig that kubectl would read; `undefined` if there is none. Unlike kubectl it does not merge several
 * files. Throws `BadRequest` for a file that cannot be used. Credential plug-ins (`exec`, `auth-provider`) are refused.
 */
export function loadKubeconfig(options: KubeconfigOptions): KubeconfigAccess | undefined {
  const file = options.file ?? firstExisting(options);
  if (file === undefined) return undefined;
  let text: string;
  try {
    text = fs.readFileSync(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const isMissing = code === 'ENOENT';
    const why = isMissing ? `stat ${file}: no such file or directory` : messageOf(error);
    throw isMissing ? new StatusError('BadRequest', why, { cause: error }) : refused(file, why, error);
  }
  return parseKubeconfig(text, file, options.context);
}

function firstExisting(options: KubeconfigOptions): string | undefined {
  const listed = (options.kubeconfig ?? '').split(path.delimiter).filter((name) => name !== '');
  if (listed.length > 0) return listed.find((name) => fs.existsSync(name));
  if (options.home === undefined) return undefined;
  const usual = path.join(options.home, '.kube', 'config');
  return fs.existsSync(usual) ? usual : undefined;
}

/** Parses `text`, which came from `file`; paths in it are relative to the file's directory. */
export function parseKubeconfig(text: string, file: string, contextName?: string): KubeconfigAccess {
  let parsed: unknown;
  try {
    parsed = parse(text);
  } catch (error) {
    throw refused(file, messageOf(error), error);
  }
  const config = recordOf(parsed);
  const context = contextName ?? textOf(config['current-context']);
  if (context === undefined || context === '') throw refused(file, 'no current-context is set');
  const contextFields = named(config, 'contexts', 'context', context);
  if (contextFields === undefined) throw new StatusError('BadRequest', `context "${context}" does not exist`);
  const clusterName = textOf(contextFields['cluster']) ?? '';
  const cluster = named(config, 'clusters', 'cluster', clusterName);
  if (cluster === undefined) throw refused(file, `cluster "${clusterName}" does not exist`);
  const userName = textOf(contextFields['user']) ?? '';
  const user = userName === '' ? {} : named(config, 'users', 'user', userName);
  if (user === undefined) throw refused(file, `auth info "${userName}" does not exist`);
  const server = textOf(cluster['server']);
  if (server === undefined || !URL.canParse(server))
    throw refused(file, `cluster "${clusterName}" has no usable server`);
  return {
    path: file,
    context,
    cluster: clusterName,
    user: userName,
    namespace: textOf(contextFields['namespace']) ?? 'default',
    server: server.replace(/\/+$/, ''),
    ...clusterTls(cluster, file),
    ...credentials(user, userName, file),
  };
}

type Fields = Readonly<Record<string, unknown>>;
type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function clusterTls(cluster: Fields, file: string): Partial<ClusterAccess> {
  const access: Mutable<Partial<ClusterAccess>> = {};
  const authority = pemOf(cluster, 'certificate-authority', file);
  if (authority !== undefined) access.certificateAuthority = authority;
  if (cluster['insecure-skip-tls-verify'] === true) access.insecureSkipTlsVerify = true;
  const serverName = textOf(cluster['tls-server-name']);
  if (serverName !== undefined) access.tlsServerName = serverName;
  if (textOf(cluster['proxy-url']) !== undefined) throw refused(file, 'proxy-url is not supported');
  return access;
}

function credentials(user: Fields, name: string, file: string): Partial<ClusterAccess> {
  for (const plugin of ['exec', 'auth-provider', 'username', 'as']) {
    if (user[plugin] !== undefined) throw refused(file, `user "${name}": ${plugin} is not supported`);
  }
  const access: Mutable<Partial<ClusterAccess>> = {};
  const certificate = pemOf(user, 'client-certificate', file);
  const key = pemOf(user, 'client-key', file);
  const tokenFile = textOf(user['tokenFile']);
  const token = textOf(user['token']) ?? (tokenFile === undefined ? undefined : readBeside(file, tokenFile).trim());
  if (certificate !== undefined) access.clientCertificate = certificate;
  if (key !== undefined) access.clientKey = key;
  if (token !== undefined) access.token = token;
  return access;
}

/** `NAME-data` (base64) wins over `NAME` (a file). */
function pemOf(fields: Fields, name: string, file: string): string | undefined {
  const data = textOf(fields[`${name}-data`]);
  if (data !== undefined) return Buffer.from(data, 'base64').toString('utf8');
  const pemFile = textOf(fields[name]);
  return pemFile === undefined ? undefined : readBeside(file, pemFile);
}

function readBeside(file: string, name: string): string {
  const target = path.resolve(path.dirname(file), name);
  try {
    return fs.readFileSync(target, 'utf8');
  } catch (error) {
    throw refused(file, `unable to read ${target}: ${messageOf(error)}`, error);
  }
}

/** The fields under `inner` of the entry of the list `list` that is called `name`. */
function named(config: Fields, list: string, inner: string, name: string): Fields | undefined {
  const entries = config[list];
  if (!Array.isArray(entries)) return undefined;
  for (const entry of entries) {
    const fields = recordOf(entry);
    if (fields['name'] === name) return recordOf(fields[inner]);
  }
  return undefined;
}

function recordOf(value: unknown): Fields {
  // An object has fields of unknown types, whatever it is.
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function refused(file: string, why: string, cause?: unknown): StatusError {
  return new StatusError('BadRequest', `error loading config file "${file}": ${why}`, { cause });
}
