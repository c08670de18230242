import net from 'node:net';
import { CliError } from './cli-error.ts';

const portsTriedMax = 100;

/** `port`, or the next one after it that nobody listens on, on this address. */
export async function firstFreePort(port: number, host: string): Promise<number> {
  for (let candidate = port; candidate < port + portsTriedMax; candidate++) {
    if (await isFree(candidate, host)) return candidate;
  }
  throw new CliError(`no free port from ${port} to ${port + portsTriedMax - 1}: choose one with --port`);
}

function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(false)); // taken, or not permitted: the next one
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
}
