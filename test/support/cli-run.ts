import assert from 'node:assert/strict';
import { connectionOver } from '../../src/cli/api-connection.ts';
import type { CliIo } from '../../src/cli/cli-io.ts';
import { run } from '../../src/cli/main.ts';
import { inProcessClient } from '../../src/client/in-process-client.ts';
import { admin, startApi } from './api-calls.ts';

export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Surroundings without a cluster, a home or a terminal; what is printed is kept. */
export function quietIo(
  clock: CliIo['clock'],
  stdin = '',
): { readonly io: CliIo; readonly printed: () => Omit<CliResult, 'code'> } {
  let stdout = '';
  let stderr = '';
  const io: CliIo = {
    env: {},
    homeDir: '/nonexistent',
    stdin: (async function* () {
      yield await Promise.resolve(Buffer.from(stdin));
    })(),
    stdoutIsTty: false,
    clock,
    write: (bytes) => Promise.resolve(io.out(bytes)),
    out: (text) => {
      stdout += typeof text === 'string' ? text : Buffer.from(text).toString('utf8');
    },
    err: (text) => {
      stderr += text;
    },
  };
  return { io, printed: () => ({ stdout, stderr }) };
}

/** The CLI against a real API server in this process, in virtual time. `close` fails if a timer is left. */
export async function startCli(deps: Parameters<typeof startApi>[0] = {}) {
  const api = await startApi(deps);
  const client = inProcessClient({ handle: api.server.handle, user: admin });
  /** Starts one command line, with `stdin` at its standard input; it ends by itself or when `signal` aborts. */
  function start(
    words: readonly string[],
    stdin = '',
    signal = new AbortController().signal,
  ): { readonly result: Promise<CliResult>; readonly printed: () => Omit<CliResult, 'code'> } {
    const { io, printed } = quietIo(api.clock, stdin);
    const connect: NonNullable<Parameters<typeof run>[1]['connect']> = (flags) => {
      const named = flags.optional('namespace');
      const scope = { namespace: named ?? 'default', namespaceIsExplicit: named !== undefined, timeoutMs: 0 };
      return connectionOver(client, scope, io);
    };
    return { result: run(words, { io, connect }, signal).then((code) => ({ code, ...printed() })), printed };
  }
  return {
    api,
    start,
    cli: (words: readonly string[], stdin = ''): Promise<CliResult> => start(words, stdin).result,
    /** Lets everything go on that needs no time to pass (verbs are loaded when called), until `holds`. */
    async until(holds: () => boolean): Promise<void> {
      for (let turns = 0; !holds(); turns++) {
        assert.ok(turns < turnsMax, `not within ${turnsMax} turns: ${holds.toString()}`);
        await api.settle();
      }
    },
    close: () => api.close(),
  };
}

const turnsMax = 10_000;
