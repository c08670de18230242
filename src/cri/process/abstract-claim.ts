import net from 'node:net';

/**
 * Claims a name among all livelets of this network namespace: a socket in the kernel's abstract name space, which goes
 * with this process, however it ends. `undefined`: another one has it.
 */
export function claimName(name: string): Promise<net.Server | undefined> {
  return new Promise((resolve) => {
    const server = net.createServer((socket) => socket.destroy());
    server.once('error', () => resolve(undefined)); // taken
    server.listen(`\0livelet-${name}`, () => resolve(server.unref()));
  });
}

export async function releaseName(claim: net.Server): Promise<void> {
  await new Promise<void>((resolve) => claim.close(() => resolve()));
}
