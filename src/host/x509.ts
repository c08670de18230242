/**
 * Makes X.509 certificates (RFC 5280) of the few shapes that a cluster needs: ECDSA over P-256 with SHA-256. The
 * library
 * is loaded when the first certificate is made, since that takes 100 ms, and a later start makes none.
 */
import { randomBytes, webcrypto, type KeyObject } from 'node:crypto';

export interface CertificateOptions {
  /** Subject: one common name, and any organizations. Upstream reads them as user name and groups. */
  readonly commonName: string;
  readonly organizations: readonly string[];
  readonly subjectKey: KeyObject;
  readonly notBeforeWallMs: number;
  readonly notAfterWallMs: number;
  readonly usage: 'ca' | 'serverAuth' | 'clientAuth';
  /** ASCII. */
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  /** Who signs. `issuerName` and `issuerKey` are those of the subject if it signs itself. */
  readonly issuerName: string;
  readonly issuerPublicKey: KeyObject;
  readonly issuerKey: KeyObject;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const extendedUsages = { serverAuth: '1.3.6.1.5.5.7.3.1', clientAuth: '1.3.6.1.5.5.7.3.2' } as const;

/** The certificate as PEM. */
export async function writeCertificate(options: CertificateOptions): Promise<string> {
  await import('reflect-metadata'); // the library asks for it
  const x509 = await import('@peculiar/x509');
  const issuerPublicKey = await publicCryptoKey(options.issuerPublicKey);
  const subjectKey = await publicCryptoKey(options.subjectKey);
  const { KeyUsageFlags } = x509;
  const usages =
    options.usage === 'ca'
      ? [
          new x509.KeyUsagesExtension(
            KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign | KeyUsageFlags.digitalSignature,
            true,
          ),
        ]
      : [
          new x509.KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension([extendedUsages[options.usage]]),
        ];
  const names = [
    ...options.dnsNames.map((value) => ({ type: 'dns' as const, value })),
    ...options.ipAddresses.map((value) => ({ type: 'ip' as const, value })),
  ];
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: [...options.organizations.map((value) => ({ O: [value] })), { CN: [options.commonName] }],
    issuer: [{ CN: [options.issuerName] }],
    notBefore: new Date(options.notBeforeWallMs),
    notAfter: new Date(options.notAfterWallMs),
    signingAlgorithm: algorithm,
    publicKey: subjectKey,
    signingKey: await privateCryptoKey(options.issuerKey),
    extensions: [
      new x509.BasicConstraintsExtension(options.usage === 'ca', undefined, true),
      ...usages,
      await x509.SubjectKeyIdentifierExtension.create(subjectKey, false, webcrypto),
      await x509.AuthorityKeyIdentifierExtension.create(issuerPublicKey, false, webcrypto),
      ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
    ],
  });
  return `${certificate.toString('pem')}\n`;
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
