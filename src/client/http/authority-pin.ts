/** Trust by a hash: of a server that nothing is known of yet but the hash of its authority's key, as `kubeadm join`. */
import { createHash, X509Certificate } from 'node:crypto';
import net from 'node:net';
import tls from 'node:tls';
import { StatusError } from '../../base/status-error.ts';
import { failureText } from './http-client.ts';

const connectMsMax = 10_000;
const chainLengthMax = 8;

/** `sha256:HEX` of the certificate's public key (SubjectPublicKeyInfo). Upstream: `pubkeypin.Hash`. */
export function authorityHash(certificatePem: string): string {
  const { publicKey } = new X509Certificate(certificatePem);
  return `sha256:${createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')}`;
}

export function isAuthorityHash(text: string): boolean {
  return /^sha256:[0-9a-f]{64}$/i.test(text);
}

/**
 * Connects once without trusting anybody, and takes the root of the server's chain if its key has this hash: PEM, to
 * be trusted from then on. `Forbidden`: it has another; `ServiceUnavailable`: the server cannot be reached.
 */
export async function pinnedAuthority(
  server: string,
  hash: string,
  nowWallMs: number,
  signal: AbortSignal,
): Promise<string> {
  const url = new URL(server);
  const chain = await chainOf(url, signal);
  const root = chain.at(-1);
  const [leaf] = chain;
  if (leaf === undefined || root === undefined) throw new StatusError('Forbidden', `${server} shows no certificate`);
  const found = authorityHash(root.toString());
  if (found.toLowerCase() !== hash.toLowerCase()) {
    const text = `the authority of ${server} has the hash ${found}, and not ${hash} as asked for: this is another cluster, or somebody in between`;
    throw new StatusError('Forbidden', text);
  }
  for (const certificate of [leaf, root]) checkTime(server, certificate, nowWallMs);
  return root.toString();
}

function checkTime(server: string, { validFrom, validTo }: X509Certificate, nowWallMs: number): void {
  if (nowWallMs >= Date.parse(validFrom) && nowWallMs <= Date.parse(validTo)) return;
  const clock = new Date(nowWallMs).toISOString();
  const life = `valid from ${validFrom} to ${validTo}`;
  const text = `the certificate of ${server} is ${life}, but the clock of this computer says ${clock}: set the clocks`;
  throw new StatusError('Forbidden', text);
}

/** From the server's own certificate to the last one that it shows. */
function chainOf(url: URL, signal: AbortSignal): Promise<X509Certificate[]> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => {
      const text = `Get "${url.origin}": ${failureText(error, url)}`;
      if (signal.aborted) reject(signal.reason as Error); // the contract: the reason, unwrapped
      else reject(new StatusError('ServiceUnavailable', text, { cause: error }));
    };
    const socket = tls.connect({
      host,
      port: Number(url.port === '' ? 443 : url.port),
      ...(net.isIP(host) === 0 ? { servername: host } : {}),
      rejectUnauthorized: false, // the hash is looked at instead
      ALPNProtocols: ['http/1.1'],
      timeout: connectMsMax,
    });
    const onAbort = (): void => void socket.destroy(new Error('aborted'));
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('close', () => signal.removeEventListener('abort', onAbort));
    socket.once('timeout', () => socket.destroy(new Error(`no answer within ${connectMsMax} ms`)));
    socket.once('error', fail);
    socket.once('secureConnect', () => {
      const chain: X509Certificate[] = [];
      let next: tls.DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
      while (next?.raw !== undefined && chain.length < chainLengthMax) {
        chain.push(new X509Certificate(next.raw));
        next = next.issuerCertificate === next ? undefined : next.issuerCertificate;
      }
      socket.destroy();
      resolve(chain);
    });
  });
}
