import net from 'node:net';
import tls from 'node:tls';
import type { PodTransport } from '../apiserver/pod-proxy.ts';
import { StatusError, messageOf } from '../base/status-error.ts';
import { failureText } from '../client/http/http-client.ts';
import { requestOver } from './node-request.ts';

const connectMsMax = 10_000;

/** Connects from this computer to the pod's own address, as upstream's API server does, once for each request. */
export const sendToPod: PodTransport = async (address, request, signal) => {
  const { scheme, host, port } = address;
  const where = net.isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
  const connection = await new Promise<net.Socket>((resolve, reject) => {
    const place = { host, port, timeout: connectMsMax };
    // Nobody knows the certificate of a pod.
    const socket =
      scheme === 'http'
        ? net.connect(place)
        : tls.connect({ ...place, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] });
    const onAbort = (): void => void socket.destroy(new Error('aborted'));
    const settled = (): void => {
      signal.removeEventListener('abort', onAbort);
      socket.setTimeout(0);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('timeout', () => socket.destroy(Object.assign(new Error('i/o timeout'), { code: 'ETIMEDOUT' })));
    socket.once(scheme === 'http' ? 'connect' : 'secureConnect', () => {
      settled();
      resolve(socket);
    });
    socket.on('error', (error) => {
      settled();
      const text = `error trying to reach service: ${failureText(error, { host: where, hostname: host })}`;
      if (signal.aborted) reject(signal.reason as Error); // the contract: the reason, unwrapped
      else reject(new StatusError('ServiceUnavailable', text, { cause: error }));
    });
  });
  try {
    return await requestOver(connection, where, request, signal);
  } catch (error) {
    if (signal.aborted) throw error;
    const text = `error trying to reach service: ${messageOf(error)}`;
    throw new StatusError('ServiceUnavailable', text, { cause: error });
  }
};
