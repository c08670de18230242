/**
 * The certificates of a cluster, made at its first start and kept in `pki/` of the data directory (mode 0700): one
 * file each for the authority, the API server and the administrator, with certificate and key in it (mode 0600), so
 * that a file is replaced whole or not at all. The caller owns the data directory (see the store's lock).
 *
 * The server's and the administrator's are made anew whenever they would not do: near their end, not from this
 * authority, damaged, or with other names than wanted. The authority never is: every kubeconfig out there trusts it.
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { messageOf, StatusError } from '../base/status-error.ts';
import { pemBlock, readSecretFile, writeSecretFile } from './secret-file.ts';
import { isCertificateUsage, readSigningRequest, writeCertificate } from './x509.ts';
import type { CertificateOptions, CertificateUsage, ReadSigningRequest } from './x509.ts';

/** Reads signing requests, and signs them with the cluster's authority. What controllers have of it. */
export interface CertificateAuthority {
  /** `request`: PEM. `BadRequest`: it is none, or is not signed by its own key. */
  read(request: string): Promise<ReadSigningRequest>;
  /** The certificate (PEM) for exactly the subject, names and key of the request. */
  sign(
    request: string,
    options: { usages: readonly string[]; notBeforeWallMs: number; notAfterWallMs: number },
  ): Promise<string>;
}

export interface PkiOptions {
  /** DNS name of this node. */
  readonly nodeName: string;
  /** Names by which the API server can be reached, beside the usual ones. */
  readonly dnsNames?: readonly string[];
  /** Addresses by which the API server can be reached, other than loopback. */
  readonly ipAddresses: readonly string[];
  /** How long certificates other than the authority's are valid. Default a year. */
  readonly leafLifeMs?: number;
}

export interface Pki {
  readonly caPem: string;
  readonly serverCertPem: string;
  readonly serverKeyPem: string;
  /** User `kubernetes-admin` of group `system:masters`. */
  readonly adminCertPem: string;
  readonly adminKeyPem: string;
  /** How the API server shows itself to kubelets: user `kube-apiserver-kubelet-client` of group `system:masters`. */
  readonly kubeletClientCertPem: string;
  readonly kubeletClientKeyPem: string;
  /** Signs for others. */
  readonly authority: CertificateAuthority;
  /** When the first of these certificates ends. Call again from `renewWallMs` on, to get new ones. */
  readonly notAfterWallMs: number;
  readonly renewWallMs: number;
}

const dayMs = 24 * 60 * 60 * 1_000;
const caLifeMs = 3_650 * dayMs; // 10 years, as upstream's kubeadm
const leafLifeMs = 365 * dayMs;
export const renewBeforeMs = 30 * dayMs; // a server that is restarted once a month is never found with an old one
const backdateMs = 5 * 60 * 1_000; // for clients whose clocks are a little behind

const serverNames = [
  'kubernetes',
  'kubernetes.default',
  'kubernetes.default.svc',
  'kubernetes.default.svc.cluster.local',
  'localhost',
];
const loopbackAddresses = ['127.0.0.1', '::1'];
const caName = 'livelet-ca';

interface Identity {
  readonly certificate: X509Certificate;
  readonly certPem: string;
  readonly key: KeyObject;
  readonly keyPem: string;
}

type Leaf = Wanted & { readonly lifeMs: number };

interface Wanted {
  readonly commonName: string;
  readonly organizations: readonly string[];
  readonly usages: readonly CertificateUsage[];
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

/**
 * Makes what is missing, and returns all of it. `Forbidden` if a file cannot be read or written, `InternalError` if the
 * authority is damaged, or not valid at this computer's time; both messages name the file.
 */
export async function ensurePki(
  dataDirectory: string,
  options: PkiOptions,
  deps: { clock: Clock; log: Log },
): Promise<Pki> {
  const directory = path.join(dataDirectory, 'pki');
  try {
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    const nowWallMs = deps.clock.wallMs();
    const ca = await ensureAuthority(path.join(directory, 'ca.pem'), nowWallMs, deps.log);
    const lifeMs = options.leafLifeMs ?? leafLifeMs;
    const leaf = (file: string, wanted: Wanted): Promise<Identity> =>
      ensureLeaf(path.join(directory, file), { ...wanted, lifeMs }, ca, nowWallMs, deps.log);
    const server = await leaf('server.pem', {
      commonName: 'kube-apiserver',
      organizations: [],
      usages: ['digital signature', 'server auth'],
      dnsNames: [...new Set([...serverNames, options.nodeName, ...(options.dnsNames ?? [])])],
      ipAddresses: [...new Set([...loopbackAddresses, ...options.ipAddresses])],
    });
    const admin = await leaf('admin.pem', masterNamed('kubernetes-admin'));
    const kubeletClient = await leaf('apiserver-kubelet-client.pem', masterNamed('kube-apiserver-kubelet-client'));
    const notAfterWallMs = Math.min(...[server, admin, kubeletClient].map(notAfterOf));
    return {
      caPem: ca.certPem,
      serverCertPem: server.certPem,
      serverKeyPem: server.keyPem,
      adminCertPem: admin.certPem,
      adminKeyPem: admin.keyPem,
      kubeletClientCertPem: kubeletClient.certPem,
      kubeletClientKeyPem: kubeletClient.keyPem,
      authority: authorityOf(ca),
      notAfterWallMs,
      renewWallMs: notAfterWallMs - renewBefore(lifeMs),
    };
  } catch (error) {
    if (error instanceof StatusError) throw error;
    throw new StatusError('Forbidden', `cannot use the certificates in ${directory}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function masterNamed(commonName: string): Wanted {
  const usages = ['digital signature', 'client auth'] as const;
  return { commonName, organizations: ['system:masters'], usages, dnsNames: [], ipAddresses: [] };
}

/** Of a short life, a quarter. */
function renewBefore(lifeMs: number): number {
  return Math.min(renewBeforeMs, lifeMs / 4);
}

function authorityOf(ca: Identity): CertificateAuthority {
  return {
    read: readSigningRequest,
    async sign(request, { usages, notBeforeWallMs, notAfterWallMs }) {
      const { publicKey, ...asked } = await readSigningRequest(request);
      return await writeCertificate({
        ...asked,
        subjectKey: publicKey,
        notBeforeWallMs: Math.max(notBeforeWallMs, Date.parse(ca.certificate.validFrom)),
        notAfterWallMs: Math.min(notAfterWallMs, notAfterOf(ca)),
        usages: usages.filter(isCertificateUsage),
        ...issuedBy(ca),
      });
    },
  };
}

function issuedBy(ca: Identity): Pick<CertificateOptions, 'issuerName' | 'issuerPublicKey' | 'issuerKey'> {
  return { issuerName: caName, issuerPublicKey: ca.certificate.publicKey, issuerKey: ca.key };
}

async function ensureAuthority(file: string, nowWallMs: number, log: Log): Promise<Identity> {
  const text = readSecretFile(file);
  if (text === undefined) {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const certPem = await writeCertificate({
      commonName: caName,
      organizations: [],
      subjectKey: publicKey,
      notBeforeWallMs: nowWallMs - backdateMs,
      notAfterWallMs: nowWallMs + caLifeMs,
      usages: 'ca',
      dnsNames: [],
      ipAddresses: [],
      issuerName: caName,
      issuerPublicKey: publicKey,
      issuerKey: privateKey,
    });
    log.info('certificateMade', { file, reason: 'missing' });
    return keep(file, certPem, privateKey);
  }
  const found = parseIdentity(text);
  const advice = `restore it, or remove ${path.dirname(file)} to make new certificates (and replace every kubeconfig)`;
  if (typeof found === 'string') {
    throw new StatusError('InternalError', `${file} is damaged (${found}): ${advice}`);
  }
  const { validFrom, validTo } = found.certificate;
  const clock = new Date(nowWallMs).toISOString();
  if (nowWallMs < Date.parse(validFrom)) {
    const text = `${file} is valid from ${validFrom} on, but the clock of this computer says ${clock}: set the clock`;
    throw new StatusError('InternalError', text);
  }
  if (nowWallMs > Date.parse(validTo)) {
    const text = `${file} was valid until ${validTo}, and the clock of this computer says ${clock}`;
    throw new StatusError('InternalError', `${text}: set the clock, or ${advice}`);
  }
  return found;
}

async function ensureLeaf(file: string, wanted: Leaf, ca: Identity, nowWallMs: number, log: Log): Promise<Identity> {
  const text = readSecretFile(file);
  const found = text === undefined ? 'missing' : parseIdentity(text);
  const reason = typeof found === 'string' ? found : unfitness(found.certificate, wanted, ca, nowWallMs);
  if (typeof found !== 'string' && reason === undefined) return found;
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const certPem = await writeCertificate({
    ...wanted,
    subjectKey: publicKey,
    notBeforeWallMs: Math.max(nowWallMs - backdateMs, Date.parse(ca.certificate.validFrom)),
    notAfterWallMs: Math.min(nowWallMs + wanted.lifeMs, notAfterOf(ca)),
    ...issuedBy(ca),
  });
  log.info('certificateMade', { file, reason });
  return keep(file, certPem, privateKey);
}

/** Why the certificate will not do; `undefined` if it will. */
function unfitness(certificate: X509Certificate, wanted: Leaf, ca: Identity, nowWallMs: number): string | undefined {
  if (!certificate.verify(ca.certificate.publicKey)) return 'signed by another authority';
  if (nowWallMs < Date.parse(certificate.validFrom)) return 'not valid yet';
  // One that ends with its authority cannot be had for longer.
  const validToMs = Date.parse(certificate.validTo);
  if (nowWallMs >= validToMs - renewBefore(wanted.lifeMs) && validToMs < notAfterOf(ca)) return 'near its end';
  const names = certificate.subjectAltName?.split(', ').length ?? 0;
  const hasAll =
    wanted.dnsNames.every((dnsName) => certificate.checkHost(dnsName) !== undefined) &&
    wanted.ipAddresses.every((address) => certificate.checkIP(address) !== undefined);
  if (!hasAll || names !== wanted.dnsNames.length + wanted.ipAddresses.length) return 'for other names';
  const subject = [...wanted.organizations.map((organization) => `O=${organization}`), `CN=${wanted.commonName}`];
  return certificate.subject === subject.join('\n') ? undefined : 'for another subject';
}

function notAfterOf(identity: Identity): number {
  return Date.parse(identity.certificate.validTo);
}

/** What the file holds, or what is wrong with it. */
function parseIdentity(text: string): Identity | string {
  try {
    const certPem = pemBlock(text, 'CERTIFICATE');
    const keyPem = pemBlock(text, 'PRIVATE KEY');
    const certificate = new X509Certificate(certPem);
    const key = createPrivateKey(keyPem);
    if (!certificate.checkPrivateKey(key)) return 'its key belongs to another certificate';
    return { certificate, certPem, key, keyPem };
  } catch (error) {
    return messageOf(error);
  }
}

/** Writes both into the file, which then holds either the old or the new, whenever the computer stops. */
function keep(file: string, certPem: string, key: KeyObject): Identity {
  const keyPem = String(key.export({ type: 'pkcs8', format: 'pem' }));
  writeSecretFile(file, certPem + keyPem);
  return { certificate: new X509Certificate(certPem), certPem, key, keyPem };
}
