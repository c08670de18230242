/**
 * Writes X.509 certificates (RFC 5280) of the few shapes that a cluster needs: ECDSA over P-256 with SHA-256. It only
 * writes; reading and checking is OpenSSL's business (`X509Certificate` of node:crypto). Why not a library: loading
 * @peculiar/x509 and making three certificates with it takes over 100 ms of the 500 ms that a whole start may take.
 */
import { createHash, type KeyObject, randomBytes, sign } from 'node:crypto';
import net from 'node:net';
import { StatusError } from '../base/status-error.ts';

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

/** The certificate as PEM. */
export function writeCertificate(options: CertificateOptions): string {
  const signature = sequence(oid('1.2.840.10045.4.3.2')); // ecdsa-with-SHA256
  const body = sequence(
    explicit(0, integer(Buffer.from([2]))), // version 3
    integer(serialNumber()),
    signature,
    name(options.issuerName, []),
    sequence(time(options.notBeforeWallMs), time(options.notAfterWallMs)),
    name(options.commonName, options.organizations),
    options.subjectKey.export({ type: 'spki', format: 'der' }),
    explicit(3, sequence(...extensions(options))),
  );
  const signed = sign('sha256', body, { key: options.issuerKey, dsaEncoding: 'der' });
  const lines =
    sequence(body, signature, bitString(signed, 0))
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40; // positive, and with no zero byte in front
  return bytes;
}

function extensions(options: CertificateOptions): Buffer[] {
  const isCa = options.usage === 'ca';
  // Bits from the left: digitalSignature, -, keyEncipherment, -, -, keyCertSign.
  const keyUsage = isCa ? bitString(Buffer.from([0b1010_0100]), 2) : bitString(Buffer.from([0b1000_0000]), 7);
  const all = [
    extension('2.5.29.15', true, keyUsage),
    extension('2.5.29.19', true, isCa ? sequence(der(0x01, Buffer.from([0xff]))) : sequence()), // basic constraints
    extension('2.5.29.14', false, der(0x04, keyIdentifier(options.subjectKey))),
  ];
  if (isCa) return all;
  all.push(extension('2.5.29.35', false, sequence(der(0x80, keyIdentifier(options.issuerPublicKey)))));
  const purpose = options.usage === 'serverAuth' ? '1.3.6.1.5.5.7.3.1' : '1.3.6.1.5.5.7.3.2';
  all.push(extension('2.5.29.37', false, sequence(oid(purpose))));
  const alternatives = [
    ...options.dnsNames.map((dnsName) => der(0x82, Buffer.from(dnsName, 'ascii'))),
    ...options.ipAddresses.map((address) => der(0x87, ipBytes(address))),
  ];
  if (alternatives.length > 0) all.push(extension('2.5.29.17', false, sequence(...alternatives)));
  return all;
}

function extension(id: string, isCritical: boolean, value: Buffer): Buffer {
  const critical = isCritical ? [der(0x01, Buffer.from([0xff]))] : [];
  return sequence(oid(id), ...critical, der(0x04, value));
}

/** RFC 7093, method 1: the first 160 bits of the SHA-256 of the key's bits (the last 65 bytes of a P-256 key). */
function keyIdentifier(key: KeyObject): Buffer {
  const bits = key.export({ type: 'spki', format: 'der' }).subarray(-65);
  return createHash('sha256').update(bits).digest().subarray(0, 20);
}

function name(commonName: string, organizations: readonly string[]): Buffer {
  const attribute = (id: string, text: string): Buffer => der(0x31, sequence(oid(id), der(0x0c, Buffer.from(text))));
  return sequence(
    ...organizations.map((organization) => attribute('2.5.4.10', organization)),
    attribute('2.5.4.3', commonName),
  );
}

/** UTCTime up to 2049, GeneralizedTime from then on, as RFC 5280 wants it; whole seconds. */
function time(wallMs: number): Buffer {
  const digits = new Date(wallMs).toISOString().replaceAll(/\.\d+|[-:T]/g, ''); // 20501231235959Z
  const isUtcTime = Number(digits.slice(0, 4)) < 2_050;
  return isUtcTime ? der(0x17, Buffer.from(digits.slice(2))) : der(0x18, Buffer.from(digits));
}

/** 4 bytes, or 16. Throws `Invalid` if it is no address. */
export function ipBytes(address: string): Buffer {
  if (net.isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  if (!net.isIPv6(address) || address.includes('%')) throw notAnAddress(address);
  const hex = address.replace(/[\d.]+$/, (last) => {
    if (!last.includes('.')) return last;
    const bytes = ipBytes(last); // the last 32 bits may be written as IPv4
    return `${bytes.readUInt16BE(0).toString(16)}:${bytes.readUInt16BE(2).toString(16)}`;
  });
  const [left = '', right] = hex.split('::');
  const head = left === '' ? [] : left.split(':');
  const tail = right === undefined || right === '' ? [] : right.split(':');
  const groups = [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => '0'), ...tail];
  return Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex');
}

function notAnAddress(text: string): StatusError {
  return new StatusError('Invalid', `${JSON.stringify(text)} is not an IP address`);
}

// DER (X.690): a tag, the length, the content.

function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  const lengthBytes = length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]; // up to 64 KiB
  return Buffer.concat([Buffer.from([tag, ...lengthBytes]), content]);
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts));
}

function explicit(number: number, content: Buffer): Buffer {
  return der(0xa0 | number, content);
}

/** `bytes`: big-endian, two's complement, as short as can be. */
function integer(bytes: Buffer): Buffer {
  return der(0x02, bytes);
}

function bitString(bytes: Buffer, unusedBits: number): Buffer {
  return der(0x03, Buffer.concat([Buffer.from([unusedBits]), bytes]));
}

function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const groups = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return der(0x06, Buffer.from(bytes));
}
