import net from 'node:net';
import { StatusError, messageOf } from '../../base/status-error.ts';
import type { PortMapping } from '../runtime.ts';

const connectionsMax = 1_024; // at once, for each port; more are closed

/** Ports of this machine that lead to ports of pods with an address of their own. TCP only. */
export class HostPorts {
  readonly #servers = new Map<string, net.Server[]>(); // by sandbox id
  readonly #sockets = new Map<string, Set<net.Socket>>(); // both ends of each connection, by sandbox id

  /** Listens for all of `mappings` that have a host port, or fails and listens for none. */
  async open(sandboxId: string, mappings: readonly PortMapping[], podIp: string): Promise<void> {
    const wanted = mappings.filter(({ hostPort }) => hostPort !== 0);
    if (wanted.length === 0) return;
    this.#servers.set(sandboxId, []);
    this.#sockets.set(sandboxId, new Set());
    try {
      for (const mapping of wanted) this.#servers.get(sandboxId)?.push(await this.#listen(sandboxId, mapping, podIp));
    } catch (error) {
      this.close(sandboxId);
      throw new StatusError('Conflict', `failed to setup network for sandbox: hostPort: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  close(sandboxId: string): void {
    for (const server of this.#servers.get(sandboxId) ?? []) server.close();
    for (const socket of this.#sockets.get(sandboxId) ?? []) socket.destroy();
    this.#servers.delete(sandboxId);
    this.#sockets.delete(sandboxId);
  }

  closeAll(): void {
    for (const sandboxId of this.#servers.keys()) this.close(sandboxId);
  }

  #listen(sandboxId: string, { hostIp, hostPort, containerPort }: PortMapping, podIp: string): Promise<net.Server> {
    const server = net.createServer({ allowHalfOpen: true }, (client) => {
      const pod = net.connect({ host: podIp, port: containerPort, allowHalfOpen: true });
      this.#join(sandboxId, client, pod);
    });
    server.maxConnections = connectionsMax;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(hostPort, hostIp === '' ? '0.0.0.0' : hostIp, () => resolve(server));
    });
  }

  #join(sandboxId: string, client: net.Socket, pod: net.Socket): void {
    const all = this.#sockets.get(sandboxId);
    for (const [socket, other] of [
      [client, pod],
      [pod, client],
    ] as const) {
      all?.add(socket);
      socket.on('error', () => other.destroy()); // as a broken connection looks to the other side
      socket.once('close', () => {
        all?.delete(socket);
        if (socket.errored !== null || !socket.readableEnded) other.destroy();
      });
      socket.pipe(other);
    }
  }
}
