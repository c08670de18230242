/** Keeps the two certificates of a node: asks for new ones at 70 to 90 % of their lives, as upstream's kubelet. */
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { Clock } from '../base/clock.ts';
import type { Entropy } from '../base/entropy.ts';
import type { Log } from '../base/log.ts';
import { StatusError } from '../base/status-error.ts';
import type { Client } from '../client/client.ts';
import { pemBlock, readSecretFile, writeSecretFile } from '../host/secret-file.ts';
import { writeCertificate } from '../host/x509.ts';
import { requestCertificate } from './node-identity.ts';
import type { CertificateWish, IssuedCertificate } from './node-identity.ts';

const retryMs = 2_000;
const retryMsMax = 60_000;
const sleepMsMax = 24 * 60 * 60 * 1_000; // longer timers are cut short by Node.js
const temporaryLifeMs = 24 * 60 * 60 * 1_000;

export interface RotationDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
}

/** Runs until `signal` aborts. `current` undefined: there is none yet, it is asked for at once. */
export async function keepCertificate(
  deps: RotationDeps,
  wish: CertificateWish,
  current: string | undefined,
  onIssued: (issued: IssuedCertificate) => void,
  signal: AbortSignal,
): Promise<void> {
  const { clock, entropy, log } = deps;
  let dueWallMs = current === undefined ? 0 : rotationWallMs(current, entropy);
  let delayMs = retryMs;
  for (;;) {
    const leftMs = dueWallMs - clock.wallMs();
    if (leftMs > 0) {
      await clock.sleep(Math.min(leftMs, sleepMsMax), 'node.certificate.rotate', signal);
      continue;
    }
    try {
      const issued = await requestCertificate(deps.client, wish, deps, signal);
      onIssued(issued);
      log.info('certificateIssued', { signer: wish.signerName });
      dueWallMs = rotationWallMs(issued.clientCertificate, entropy);
      delayMs = retryMs;
    } catch (error) {
      if (signal.aborted || !(error instanceof StatusError)) throw error;
      log.warn('certificateNotIssued', { signer: wish.signerName, error: error.message });
      await clock.sleep(delayMs, 'node.certificate.retry', signal);
      delayMs = Math.min(retryMsMax, delayMs * 2);
    }
  }
}

/** Upstream: `jitteryDuration` in `client-go/util/certificate`. */
function rotationWallMs(certificate: string, entropy: Entropy): number {
  const { validFrom, validTo } = new X509Certificate(certificate);
  const [fromMs, toMs] = [Date.parse(validFrom), Date.parse(validTo)];
  return fromMs + (toMs - fromMs) * (0.7 + 0.2 * entropy.unit());
}

function servingPath(dataDir: string): string {
  return path.join(dataDir, 'pki', 'kubelet-serving.pem');
}

/** The node's own serving certificate, if it still does; else `undefined`. */
export function readServing(
  dataDir: string,
  wish: CertificateWish,
  authorityPem: string,
  nowWallMs: number,
): IssuedCertificate | undefined {
  const text = readSecretFile(servingPath(dataDir)) ?? '';
  const [clientCertificate, clientKey] = [pemBlock(text, 'CERTIFICATE'), pemBlock(text, 'PRIVATE KEY')];
  try {
    const certificate = new X509Certificate(clientCertificate);
    const fits =
      certificate.verify(new X509Certificate(authorityPem).publicKey) &&
      certificate.checkPrivateKey(createPrivateKey(clientKey)) &&
      Date.parse(certificate.validTo) > nowWallMs &&
      wish.dnsNames.every((name) => certificate.checkHost(name) !== undefined) &&
      wish.ipAddresses.every((address) => certificate.checkIP(address) !== undefined);
    return fits ? { clientCertificate, clientKey } : undefined;
  } catch {
    return undefined; // absent or damaged: a new one is asked for
  }
}

export function writeServing(dataDir: string, { clientCertificate, clientKey }: IssuedCertificate): void {
  fs.mkdirSync(path.dirname(servingPath(dataDir)), { recursive: true, mode: 0o700 });
  writeSecretFile(servingPath(dataDir), clientCertificate + clientKey);
}

/** What the node's server shows until the authority has signed one for it; nobody trusts it. */
export async function temporaryServing(nodeName: string, nowWallMs: number): Promise<IssuedCertificate> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const clientCertificate = await writeCertificate({
    commonName: `system:node:${nodeName}`,
    organizations: ['system:nodes'],
    subjectKey: publicKey,
    notBeforeWallMs: nowWallMs,
    notAfterWallMs: nowWallMs + temporaryLifeMs,
    usages: ['digital signature', 'server auth'],
    dnsNames: [nodeName],
    ipAddresses: [],
    issuerName: `system:node:${nodeName}`,
    issuerPublicKey: publicKey,
    issuerKey: privateKey,
  });
  return { clientCertificate, clientKey: String(privateKey.export({ type: 'pkcs8', format: 'pem' })) };
}
