import { joinHostPort } from './go-text.ts';
import type { TransportFailure } from './probe-transport.ts';

/**
 * The wording of what goes wrong on the network, as Go's dialer and HTTP client have it. Both transports (sockets,
 * simulated) take it from here.
 */
export const transportFailures = {
  refused: (address: string, port: number): TransportFailure => dial('refused', address, port, 'connection refused'),
  noRoute: (address: string, port: number): TransportFailure => dial('noRoute', address, port, 'no route to host'),
  netUnreachable: (address: string, port: number): TransportFailure =>
    dial('noRoute', address, port, 'network is unreachable'),
  /** A connect that failed with another error of the operating system, in its words. */
  connect: (address: string, port: number, words: string): TransportFailure => dial('other', address, port, words),
  dialTimeout: (address: string, port: number): TransportFailure => ({
    kind: 'dialTimeout',
    detail: `dial tcp ${joinHostPort(address, port)}: i/o timeout`,
  }),
  lookup: (name: string, words = 'no such host'): TransportFailure => ({
    kind: 'lookup',
    detail: `dial tcp: lookup ${name}: ${words}`,
  }),
  /** No response headers in time, for whatever reason: connecting counts too. */
  headersTimeout: {
    kind: 'timeout',
    detail: 'context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
  },
  eof: { kind: 'eof', detail: 'EOF' },
  /** `local` and `remote` are `ADDRESS:PORT`. */
  reset: (local: string, remote: string): TransportFailure => ({
    kind: 'reset',
    detail: `read tcp ${local}->${remote}: read: connection reset by peer`,
  }),
  /** Nobody reads any more what we send. */
  brokenPipe: (local: string, remote: string): TransportFailure => ({
    kind: 'other',
    detail: `write tcp ${local}->${remote}: write: broken pipe`,
  }),
  /** `words` say what is malformed: `malformed HTTP response "hello"`. */
  broken: (words: string): TransportFailure => ({
    kind: 'malformed',
    detail: `net/http: HTTP/1.x transport connection broken: ${words}`,
  }),
  plainHttpOnTls: { kind: 'malformed', detail: 'http: server gave HTTP response to HTTPS client' },
  bodyTimeout: {
    kind: 'body',
    detail: 'context deadline exceeded (Client.Timeout or context cancellation while reading body)',
  },
  bodyTooShort: { kind: 'body', detail: 'unexpected EOF' },
} as const satisfies Record<string, TransportFailure | ((...args: never[]) => TransportFailure)>;

function dial(kind: 'refused' | 'noRoute' | 'other', address: string, port: number, words: string): TransportFailure {
  return { kind, detail: `dial tcp ${joinHostPort(address, port)}: connect: ${words}` };
}
