/**
 * Who a node is to its cluster: a kubeconfig in its data directory, with the authority that it trusts and a certificate
 * for `system:node:NAME`. Got once with a token, kept and renewed from then on.
 */
import { createHash, generateKeyPairSync, X509Certificate } from 'node:crypto';
import type { KeyPairKeyObjectResult } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { CertificateSigningRequest } from '../api/gen/types.ts';
import { resources } from '../api/resources.ts';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { StatusError, hasReason } from '../base/status-error.ts';
import type { Client } from '../client/client.ts';
import { authorityHash, pinnedAuthority } from '../client/http/authority-pin.ts';
import { HttpClient } from '../client/http/http-client.ts';
import { parseKubeconfig } from '../client/http/kubeconfig.ts';
import { renderKubeconfig } from '../host/render-kubeconfig.ts';
import { readSecretFile, writeSecretFile } from '../host/secret-file.ts';
import { writeSigningRequest } from '../host/x509.ts';

export interface NodeIdentity {
  readonly server: string;
  readonly certificateAuthority: string;
  readonly clientCertificate: string;
  readonly clientKey: string;
}

export interface JoinOptions {
  /** `https://HOST:PORT`. */
  readonly server: string;
  /** For the first time only. */
  readonly token?: string | undefined;
  /** `sha256:HEX`; for the first time only, later it is checked if it is given. */
  readonly caCertHash?: string | undefined;
}

export interface IdentityDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** Told once when the server cannot be reached; it is tried again and again. */
  readonly onWaiting: (why: string) => void;
}

const retryMs = 1_000;
const retryMsMax = 15_000;
const pollMs = 500;

export function identityPath(dataDir: string): string {
  return path.join(dataDir, 'kubeconfig');
}

/** What the data directory has, or what joining gives. Errors: `StatusError` whose message says what to do. */
export async function ensureIdentity(
  dataDir: string,
  nodeName: string,
  options: JoinOptions,
  deps: IdentityDeps,
  signal: AbortSignal,
): Promise<NodeIdentity> {
  const found = readIdentity(dataDir, nodeName, options, deps.clock.wallMs());
  if (found.kind === 'usable') return found.identity;
  const { token, caCertHash, server } = options;
  if (token === undefined || caCertHash === undefined) {
    const text = `${found.why}: --token and --ca-cert-hash are needed ("livelet token create" on the server prints both)`;
    throw new StatusError('Invalid', text);
  }
  const certificateAuthority = await patiently(deps, signal, () =>
    pinnedAuthority(server, caCertHash, deps.clock.wallMs(), signal),
  );
  const client = new HttpClient({ server, certificateAuthority, token });
  try {
    const key = newKey(); // the same at every try: whose answer was lost finds its request again
    const wish = clientOf(nodeName);
    const issued = await patiently(deps, signal, () => requestCertificate(client, wish, deps, signal, key));
    const identity = { server, certificateAuthority, ...issued };
    writeIdentity(dataDir, nodeName, identity);
    deps.log.info('nodeJoined', { nodeName, server });
    return identity;
  } catch (error) {
    if (!hasReason(error, 'Unauthorized')) throw error;
    const text = `the server ${server} does not accept the token: it is mistyped, was deleted, or has expired ("livelet token list" on the server shows those that it has)`;
    throw new StatusError('Unauthorized', text, { cause: error });
  } finally {
    client.close();
  }
}

type Found =
  | { readonly kind: 'usable'; readonly identity: NodeIdentity }
  /** Joining would help. */
  | { readonly kind: 'none'; readonly why: string };

function readIdentity(dataDir: string, nodeName: string, options: JoinOptions, nowWallMs: number): Found {
  const file = identityPath(dataDir);
  const text = readSecretFile(file);
  if (text === undefined) return { kind: 'none', why: `${dataDir} belongs to no node yet` };
  const { certificateAuthority, clientCertificate, clientKey } = parseKubeconfig(text, file);
  if (certificateAuthority === undefined || clientCertificate === undefined || clientKey === undefined) {
    throw new StatusError('Invalid', `${file} is not the kubeconfig of a node`);
  }
  const certificate = new X509Certificate(clientCertificate);
  const user = /^CN=(.*)$/m.exec(certificate.subject)?.[1] ?? '';
  if (user !== `system:node:${nodeName}`) {
    const text = `${dataDir} belongs to ${user}, and not to a node ${nodeName}: use another --data-dir, or that node's name`;
    throw new StatusError('Invalid', text);
  }
  const hash = authorityHash(certificateAuthority);
  const { caCertHash = hash } = options;
  if (caCertHash.toLowerCase() !== hash) {
    const text = `${dataDir} belongs to a cluster whose authority has the hash ${hash}, and not ${caCertHash}: use another --data-dir`;
    throw new StatusError('Invalid', text);
  }
  if (nowWallMs > Date.parse(certificate.validTo)) {
    return { kind: 'none', why: `the certificate of node ${nodeName} ended on ${certificate.validTo}` };
  }
  return { kind: 'usable', identity: { server: options.server, certificateAuthority, clientCertificate, clientKey } };
}

export function writeIdentity(dataDir: string, nodeName: string, identity: NodeIdentity): void {
  fs.mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const kubeconfig = renderKubeconfig({
    server: identity.server,
    clusterName: 'livelet',
    userName: `system:node:${nodeName}`,
    caPem: identity.certificateAuthority,
    clientCertPem: identity.clientCertificate,
    clientKeyPem: identity.clientKey,
  });
  writeSecretFile(identityPath(dataDir), kubeconfig);
}

/** What a certificate is asked for. */
export interface CertificateWish {
  readonly signerName: string;
  readonly usages: readonly string[];
  readonly nodeName: string;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

/** For a node's requests to the API server. */
export function clientOf(nodeName: string): CertificateWish {
  const signerName = 'kubernetes.io/kube-apiserver-client-kubelet';
  return { signerName, usages: ['digital signature', 'client auth'], nodeName, dnsNames: [], ipAddresses: [] };
}

/** For the server of a node. */
export function servingOf(nodeName: string, ipAddresses: readonly string[]): CertificateWish {
  const signerName = 'kubernetes.io/kubelet-serving';
  return { signerName, usages: ['digital signature', 'server auth'], nodeName, dnsNames: [nodeName], ipAddresses };
}

export interface IssuedCertificate {
  readonly clientCertificate: string;
  readonly clientKey: string;
}

function newKey(): KeyPairKeyObjectResult {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

/**
 * The certificate that the cluster's authority gives for a key (default: a new one), which never leaves this computer.
 * The request is named by the key, as upstream's, so that one that is sent again is the same request.
 */
export async function requestCertificate(
  client: Client,
  wish: CertificateWish,
  { clock }: Pick<IdentityDeps, 'clock'>,
  signal: AbortSignal,
  { privateKey, publicKey }: KeyPairKeyObjectResult = newKey(),
): Promise<IssuedCertificate> {
  const { signerName, usages, nodeName, dnsNames, ipAddresses } = wish;
  const commonName = `system:node:${nodeName}`;
  const organizations = ['system:nodes'];
  const pem = await writeSigningRequest({ commonName, organizations, dnsNames, ipAddresses, publicKey, privateKey });
  const type = resources.certificatesigningrequests;
  const digest = createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64url');
  const name = `node-csr-${digest}`;
  const body: CertificateSigningRequest = {
    metadata: { name },
    spec: { request: Buffer.from(pem).toString('base64'), signerName, usages },
  };
  let request = await createOnce(client, body, signal);
  for (;;) {
    const { certificate = '', conditions = [] } = request.status ?? {};
    if (certificate !== '') {
      return {
        clientCertificate: Buffer.from(certificate, 'base64').toString(),
        clientKey: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
      };
    }
    const refusal = conditions.find((condition) => condition.type === 'Denied' || condition.type === 'Failed');
    if (refusal !== undefined) {
      throw new StatusError('Forbidden', `node ${nodeName} gets no certificate: ${refusal.message ?? refusal.type}`);
    }
    await clock.sleep(pollMs, 'node.certificate', signal);
    request = await client.get(type, { name }, signal);
  }
}

async function createOnce(
  client: Client,
  body: CertificateSigningRequest,
  signal: AbortSignal,
): Promise<CertificateSigningRequest> {
  const type = resources.certificatesigningrequests;
  try {
    return await client.create(type, {}, body, signal);
  } catch (error) {
    if (!hasReason(error, 'AlreadyExists')) throw error;
    return await client.get(type, { name: body.metadata?.name ?? '' }, signal);
  }
}

/** Tries until the server can be reached. */
async function patiently<T>(deps: IdentityDeps, signal: AbortSignal, body: () => Promise<T>): Promise<T> {
  let delayMs = retryMs;
  for (let tries = 1; ; tries++) {
    try {
      return await body();
    } catch (error) {
      if (signal.aborted || !hasReason(error, 'ServiceUnavailable')) throw error;
      deps.log.warn('serverUnreachable', { error: error.message });
      if (tries === 1) deps.onWaiting(error.message);
    }
    await deps.clock.sleep(delayMs, 'node.join', signal);
    delayMs = Math.min(retryMsMax, delayMs * 2);
  }
}
