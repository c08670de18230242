/** Clients of what listens in a pod. */
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** All that a server says by itself until it ends. */
export function readAll(host: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = net.connect(port, host);
    socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    socket.once('end', () => resolve(text));
    socket.once('error', reject);
  });
}

const listenTriesMax = 200;

/** The app says that it is starting before it listens, so it may refuse for a moment. */
export async function httpGet(ip: string): Promise<string> {
  for (let tries = 1; ; tries++) {
    try {
      const response = await fetch(`http://${ip}:8080/`);
      return `${response.status} ${await response.text()}`;
    } catch (error) {
      const isRefused = error instanceof TypeError && String(error.cause).includes('ECONNREFUSED');
      if (!isRefused || tries === listenTriesMax) throw error;
      await sleep(50);
    }
  }
}
