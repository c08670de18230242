import type { TransportFailure } from '../kubelet/probes/probe-transport.ts';
import { transportFailures } from '../kubelet/probes/transport-failures.ts';

/** The ends of a connection, `ADDRESS:PORT` each. */
export interface Ends {
  readonly local: string;
  readonly remote: string;
}

/** What Go's dialer would say of a connect to `host` that failed with this error of Node's. */
export function dialFailure(error: NodeJS.ErrnoException, host: string, port: number): TransportFailure {
  // Of several addresses of a name, the first one's error.
  if (error instanceof AggregateError) return dialFailure(error.errors[0] as NodeJS.ErrnoException, host, port);
  const address = addressOf(error) ?? host;
  switch (error.code) {
    case 'ECONNREFUSED':
      return transportFailures.refused(address, port);
    case 'EHOSTUNREACH':
      return transportFailures.noRoute(address, port);
    case 'ENETUNREACH':
      return transportFailures.netUnreachable(address, port);
    case 'ENOTFOUND':
      return transportFailures.lookup(host);
    case 'EAI_AGAIN':
      return transportFailures.lookup(host, 'Temporary failure in name resolution');
    default:
      return transportFailures.connect(address, port, systemWords(error));
  }
}

/** What Go's client would say of a connection that broke. */
export function brokenFailure(error: NodeJS.ErrnoException, ends: Ends): TransportFailure {
  switch (error.code) {
    case 'ECONNRESET':
      return transportFailures.reset(ends.local, ends.remote);
    case 'EPIPE':
      return transportFailures.brokenPipe(ends.local, ends.remote);
    default:
      return { kind: 'other', detail: `read tcp ${ends.local}->${ends.remote}: read: ${systemWords(error)}` };
  }
}

/** What Go's client would say of a TLS handshake that failed. */
export function tlsFailure(error: NodeJS.ErrnoException, ends: Ends): TransportFailure {
  const code = error.code ?? '';
  // The server's first bytes were no TLS record. Of all plain-text protocols, HTTP is what is meant nearly always.
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG') {
    return transportFailures.plainHttpOnTls;
  }
  // Node's own word for a server that closed before the handshake was done.
  if (code === 'ECONNRESET' && error.syscall === undefined) return transportFailures.eof;
  if (!code.startsWith('ERR_SSL_')) return brokenFailure(error, ends);
  const words = code.slice('ERR_SSL_'.length).toLowerCase().replaceAll('_', ' ');
  const alert = /^(?:sslv3|tlsv1|tlsv13)? ?alert (.*)$/.exec(words)?.[1];
  return { kind: 'other', detail: alert === undefined ? `tls: ${words}` : `remote error: tls: ${alert}` };
}

const systemWordsByCode: Readonly<Record<string, string>> = {
  ETIMEDOUT: 'connection timed out',
  ECONNRESET: 'connection reset by peer',
  EADDRNOTAVAIL: 'cannot assign requested address',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EINVAL: 'invalid argument',
  EMFILE: 'too many open files',
  ENFILE: 'too many open files in system',
  ENOBUFS: 'no buffer space available',
};

/** As libc words it, which is what Go prints. */
function systemWords(error: NodeJS.ErrnoException): string {
  return systemWordsByCode[error.code ?? ''] ?? error.message;
}

function addressOf(error: object): string | undefined {
  return 'address' in error && typeof error.address === 'string' ? error.address : undefined;
}
