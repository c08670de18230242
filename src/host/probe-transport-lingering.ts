import type { Socket } from 'node:net';

const lingerMs = 10; // from once to twice this; upstream lets its probe sockets linger for at most a second

/**
 * Sockets whose answer has been read, and whose server was told `Connection: close`. The server is given a moment to
 * close first: then the TIME_WAIT is not on our side, where thousands of probes a second would use up the ports, and
 * the server sees a clean end, which a reset would not be. Nothing is read in the meantime, and one timer serves them
 * all.
 */
export class LingeringSockets {
  #young: Socket[] = []; // added since the last sweep
  #old: Socket[] = [];
  #timer: NodeJS.Timeout | undefined; // set while there are any

  /** Takes over the socket, which must not be read from any more. */
  add(socket: Socket): void {
    this.#young.push(socket);
    if (this.#timer === undefined) this.#timer = setTimeout(() => this.#sweep(), lingerMs);
  }

  #sweep(): void {
    for (const socket of this.#old) socket.destroy();
    this.#old = this.#young;
    this.#young = [];
    this.#timer = this.#old.length === 0 ? undefined : setTimeout(() => this.#sweep(), lingerMs);
  }
}
