/**
 * Makes X.509 certificates (RFC 5280) of the few shapes that a cluster needs, and requests for them (RFC 2986): ECDSA
 * over P-256 with SHA-256; the requests of others may have any key. The library
 * is loaded when the first certificate is made, since that takes 100 ms, and a later start makes none.
 */
import { createPublicKey, randomBytes, webcrypto, type KeyObject } from 'node:crypto';
import { StatusError, messageOf } from '../base/status-error.ts';

export interface CertificateOptions {
  /** Subject: one common name, and any organizations. Upstream reads them as user name and groups. */
  readonly commonName: string;
  readonly organizations: readonly string[];
  readonly subjectKey: KeyObject;
  readonly notBeforeWallMs: number;
  readonly notAfterWallMs: number;
  /** An authority's own, or what the subject may use it for. */
  readonly usages: 'ca' | readonly CertificateUsage[];
  /** ASCII. */
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  /** Who signs. `issuerName` and `issuerKey` are those of the subject if it signs itself. */
  readonly issuerName: string;
  readonly issuerPublicKey: KeyObject;
  readonly issuerKey: KeyObject;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** As Kubernetes calls them. */
export type CertificateUsage = 'digital signature' | 'key encipherment' | 'client auth' | 'server auth';

export function isCertificateUsage(usage: string): usage is CertificateUsage {
  return usage === 'digital signature' || usage === 'key encipherment' || Object.hasOwn(extendedUsages, usage);
}

const extendedUsages = { 'server auth': '1.3.6.1.5.5.7.3.1', 'client auth': '1.3.6.1.5.5.7.3.2' } as const;

/** Both modules, once: the second asks for the first. */
async function loadX509(): Promise<typeof import('@peculiar/x509')> {
  await import('reflect-metadata');
  return await import('@peculiar/x509');
}

/** The certificate as PEM. */
export async function writeCertificate(options: CertificateOptions): Promise<string> {
  const x509 = await loadX509();
  const issuerPublicKey = await publicCryptoKey(options.issuerPublicKey);
  const subjectKey = new x509.PublicKey(new Uint8Array(options.subjectKey.export({ type: 'spki', format: 'der' })));
  const names = alternativeNames(options);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: subjectOf(options),
    issuer: [{ CN: [options.issuerName] }],
    notBefore: new Date(options.notBeforeWallMs),
    notAfter: new Date(options.notAfterWallMs),
    signingAlgorithm: algorithm,
    publicKey: subjectKey,
    signingKey: await privateCryptoKey(options.issuerKey),
    extensions: [
      new x509.BasicConstraintsExtension(options.usages === 'ca', undefined, true),
      ...usageExtensions(x509, options.usages),
      await x509.SubjectKeyIdentifierExtension.create(subjectKey, false, webcrypto),
      await x509.AuthorityKeyIdentifierExtension.create(issuerPublicKey, false, webcrypto),
      ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
    ],
  });
  return `${certificate.toString('pem')}\n`;
}

function usageExtensions(
  x509: typeof import('@peculiar/x509'),
  usages: CertificateOptions['usages'],
): InstanceType<(typeof import('@peculiar/x509'))['Extension']>[] {
  const { KeyUsageFlags } = x509;
  if (usages === 'ca') {
    const flags = KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign | KeyUsageFlags.digitalSignature;
    return [new x509.KeyUsagesExtension(flags, true)];
  }
  let flags = 0;
  const extended: string[] = [];
  for (const usage of usages) {
    if (usage === 'digital signature') flags |= KeyUsageFlags.digitalSignature;
    else if (usage === 'key encipherment') flags |= KeyUsageFlags.keyEncipherment;
    else extended.push(extendedUsages[usage]);
  }
  return [new x509.KeyUsagesExtension(flags, true), new x509.ExtendedKeyUsageExtension(extended)];
}

type Subject = Pick<CertificateOptions, 'commonName' | 'organizations'>;
type AlternativeNames = Pick<CertificateOptions, 'dnsNames' | 'ipAddresses'>;

function subjectOf({ organizations, commonName }: Subject): { O?: string[]; CN?: string[] }[] {
  return [...organizations.map((value) => ({ O: [value] })), { CN: [commonName] }];
}

function alternativeNames({ dnsNames, ipAddresses }: AlternativeNames): { type: 'dns' | 'ip'; value: string }[] {
  return [
    ...dnsNames.map((value) => ({ type: 'dns' as const, value })),
    ...ipAddresses.map((value) => ({ type: 'ip' as const, value })),
  ];
}

/** A request (PEM) for a certificate of this key, which must be ECDSA over P-256. */
export async function writeSigningRequest(
  options: Subject & AlternativeNames & { readonly publicKey: KeyObject; readonly privateKey: KeyObject },
): Promise<string> {
  const x509 = await loadX509();
  const names = alternativeNames(options);
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: subjectOf(options),
    keys: {
      publicKey: await publicCryptoKey(options.publicKey),
      privateKey: await privateCryptoKey(options.privateKey),
    },
    signingAlgorithm: algorithm,
    extensions: names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : [],
  });
  return `${request.toString('pem')}\n`;
}

/** What a signing request asks for. */
export interface ReadSigningRequest extends Subject, AlternativeNames {
  readonly emailAddresses: readonly string[];
  readonly uris: readonly string[];
  readonly publicKey: KeyObject;
}

/** Reads a request (PEM). `BadRequest`: it is none, or is not signed by the key in it. */
export async function readSigningRequest(pem: string): Promise<ReadSigningRequest> {
  const x509 = await loadX509();
  try {
    const request = new x509.Pkcs10CertificateRequest(pem);
    if (!(await request.verify())) throw new Error('its signature is not of its own key');
    const { subjectName } = request;
    const found = request.extensions.find((extension) => extension instanceof x509.SubjectAlternativeNameExtension);
    const names = found?.names.items ?? [];
    const ofType = (type: string): string[] => names.filter((name) => name.type === type).map(({ value }) => value);
    return {
      commonName: subjectName.getField('CN')[0] ?? '',
      organizations: subjectName.getField('O'),
      dnsNames: ofType('dns'),
      ipAddresses: ofType('ip'),
      emailAddresses: ofType('email'),
      uris: ofType('url'),
      publicKey: createPublicKey({ key: Buffer.from(request.publicKey.rawData), format: 'der', type: 'spki' }),
    };
  } catch (error) {
    throw new StatusError('BadRequest', `the signing request cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

function publicCryptoKey(key: KeyObject): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey('spki', key.export({ type: 'spki', format: 'der' }), algorithm, true, ['verify']);
}

function privateCryptoKey(key: KeyObject): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey('pkcs8', key.export({ type: 'pkcs8', format: 'der' }), algorithm, false, ['sign']);
}

/** 127 random bits: positive, and never the same twice. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}
