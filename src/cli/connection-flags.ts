import type { Flag } from './flags.ts';

/** The flags of every verb that talks to an API server: which one, as whom, in which namespace. */
export const connectionFlags: readonly Flag[] = [
  { name: 'kubeconfig', kind: 'string', help: 'Path to the kubeconfig file.' },
  { name: 'context', kind: 'string', help: 'The name of the kubeconfig context to use.' },
  { name: 'namespace', short: 'n', kind: 'string', help: 'The namespace for this request.' },
  { name: 'server', short: 's', kind: 'string', help: 'The address and port of the API server.' },
  { name: 'token', kind: 'string', help: 'Bearer token for authentication to the API server.' },
  { name: 'certificate-authority', kind: 'string', help: 'Path to a certificate file of the certificate authority.' },
  { name: 'client-certificate', kind: 'string', help: 'Path to a client certificate file for TLS.' },
  { name: 'client-key', kind: 'string', help: 'Path to a client key file for TLS.' },
  {
    name: 'insecure-skip-tls-verify',
    kind: 'bool',
    help: "If true, the server's certificate will not be checked. This makes your HTTPS connections insecure.",
  },
  { name: 'tls-server-name', kind: 'string', help: "The name expected in the server's certificate." },
  {
    name: 'request-timeout',
    kind: 'string',
    fallback: '0',
    help: 'How long to wait for one request, like 1s, 2m, 3h. Zero: for ever.',
  },
];
