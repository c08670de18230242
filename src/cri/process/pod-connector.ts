import { spawn, type ChildProcess } from 'node:child_process';
import net from 'node:net';
import { StatusError, messageOf } from '../../base/status-error.ts';
import { portForwardErrorText } from '../port-forward-error.ts';
import { untilAborted } from '../until-aborted.ts';
import { stdioOfChild } from './inherited-files.ts';
import { systemPath } from './shell-tools.ts';

const idleMs = 30_000; // a helper that nobody asks for a connection for so long ends; its connections live on
const familyHosts = ['127.0.0.1', '::1'] as const; // in containerd's order
const errorTexts: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ETIMEDOUT: 'connection timed out',
  EHOSTUNREACH: 'no route to host',
  ENETUNREACH: 'network is unreachable',
  EADDRNOTAVAIL: 'cannot assign requested address',
  EAFNOSUPPORT: 'address family not supported by protocol',
};

interface Helper {
  readonly child: ChildProcess;
  readonly pending: Map<number, (outcome: net.Socket | string) => void>; // by request number; a string: the error code
}

/**
 * Runs in the pod's network namespace and hands over connections: `{id, host, port}` comes in, `{id}` goes out with the
 * connection, or `{id, code}`. Reads nothing from them: their first bytes belong to us.
 */
const helperScript = `
const net = require('net');
let idle;
const wait = () => { clearTimeout(idle); idle = setTimeout(() => process.exit(), ${idleMs}); };
process.on('disconnect', () => process.exit());
process.on('message', ({ id, host, port }) => {
  wait();
  const socket = net.connect({ host, port });
  socket.pause();
  socket.once('error', (error) => process.send({ id, code: error.code || error.message }));
  socket.once('connect', () => process.send({ id }, socket));
});
wait();
`;

/** Connections to the loopback interface of pods with a network of their own. Needs to be root. */
export class PodConnector {
  readonly #nsenter: string;
  readonly #helpers = new Map<string, Helper>(); // by sandbox id
  #requestCount = 0;

  constructor(nsenter: string) {
    this.#nsenter = nsenter;
  }

  /** `networkFile`: a path of the namespace. Errors as `connectHere`. */
  async connect(sandboxId: string, networkFile: string, port: number, signal: AbortSignal): Promise<net.Socket> {
    return await connectToFamilies(sandboxId, port, signal, (host) => this.#ask(sandboxId, networkFile, host, port));
  }

  /** Of a pod that ends. */
  close(sandboxId: string): void {
    this.#helpers.get(sandboxId)?.child.kill('SIGKILL');
  }

  closeAll(): void {
    for (const { child } of this.#helpers.values()) child.kill('SIGKILL');
  }

  #ask(sandboxId: string, networkFile: string, host: string, port: number): Promise<net.Socket | string> {
    const { child, pending } = this.#helpers.get(sandboxId) ?? this.#start(sandboxId, networkFile);
    const id = this.#requestCount++;
    return new Promise((resolve) => {
      pending.set(id, resolve);
      child.send({ id, host, port }, (error) => {
        if (error !== null) settle(pending, id, error.message);
      });
    });
  }

  #start(sandboxId: string, networkFile: string): Helper {
    const child = spawn(this.#nsenter, [`--net=${networkFile}`, '--', process.execPath, '-e', helperScript], {
      env: { PATH: systemPath },
      cwd: '/',
      detached: true, // Ctrl-C on the terminal reaches livelet alone
      stdio: stdioOfChild(['ignore', 'ignore', 'ignore'], 'ipc'),
    });
    const helper: Helper = { child, pending: new Map() };
    this.#helpers.set(sandboxId, helper);
    child.on('message', (message: unknown, handle: unknown) => {
      if (typeof message !== 'object' || message === null || !('id' in message)) return;
      const id = Number(message.id);
      if (handle instanceof net.Socket) {
        handle.allowHalfOpen = true; // before it is read
        if (!settle(helper.pending, id, handle)) handle.destroy();
      } else {
        settle(helper.pending, id, 'code' in message ? String(message.code) : 'the connection was lost');
      }
    });
    const end = (text: string): void => {
      if (this.#helpers.get(sandboxId) === helper) this.#helpers.delete(sandboxId);
      for (const id of helper.pending.keys()) settle(helper.pending, id, text);
    };
    child.once('error', (error) => end(error.message));
    child.once('disconnect', () => end('the pod’s network is gone'));
    child.unref();
    child.channel?.unref();
    return helper;
  }
}

/** False: nobody waits for it. */
function settle(pending: Helper['pending'], id: number, outcome: net.Socket | string): boolean {
  const resolve = pending.get(id);
  pending.delete(id);
  resolve?.(outcome);
  return resolve !== undefined;
}

/**
 * A connection to this machine's loopback interface, for pods on its network. Fails with the text of containerd's
 * port-forward.
 */
export async function connectHere(sandboxId: string, port: number, signal: AbortSignal): Promise<net.Socket> {
  return await connectToFamilies(sandboxId, port, signal, (host) => {
    const socket = net.connect({ host, port, allowHalfOpen: true });
    return new Promise((resolve) => {
      socket.once('connect', () => resolve(socket));
      socket.once('error', (error) => resolve('code' in error ? String(error.code) : messageOf(error)));
    });
  });
}

async function connectToFamilies(
  sandboxId: string,
  port: number,
  signal: AbortSignal,
  connect: (host: string) => Promise<net.Socket | string>,
): Promise<net.Socket> {
  const failures: string[] = [];
  for (const host of familyHosts) {
    const connecting = connect(host);
    const outcome = await untilAborted(connecting, signal).catch((error: unknown) => {
      void connecting.then((late) => typeof late !== 'string' && late.destroy());
      throw error;
    });
    if (typeof outcome !== 'string') return outcome;
    failures.push(errorTexts[outcome] ?? outcome);
  }
  const [ipv4 = '', ipv6 = ''] = failures;
  throw new StatusError('ServiceUnavailable', portForwardErrorText(sandboxId, port, ipv4, ipv6));
}
