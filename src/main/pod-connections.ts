import net from 'node:net';
import tls from 'node:tls';
import type { PodTransport } from '../apiserver/pod-proxy.ts';
import { StatusError, messageOf } from '../base/status-error.ts';
import { failureText } from '../client/http/http-client.ts';
import { connected } from './connected.ts';
import { requestOver } from './node-request.ts';

/** Connects from this computer to the pod's own address, as upstream's API server does, once for each request. */
export const sendToPod: PodTransport = async ({ scheme, host, port }, request, signal) => {
  const where = net.isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
  const failed = (error: Error): StatusError => unreachable(failureText(error, { host: where, hostname: host }), error);
  // Nobody knows the certificate of a pod.
  const secured = { host, port, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] };
  const connection =
    scheme === 'http'
      ? await connected(net.connect({ host, port }), 'connect', failed, signal)
      : await connected(tls.connect(secured), 'secureConnect', failed, signal);
  try {
    return await requestOver(connection, where, request, signal);
  } catch (error) {
    throw signal.aborted ? error : unreachable(messageOf(error), error);
  }
};

function unreachable(why: string, cause: unknown): StatusError {
  return new StatusError('ServiceUnavailable', `error trying to reach service: ${why}`, { cause });
}
