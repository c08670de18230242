import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '../api/gen/types.ts';
import type { ChannelMessage, ChannelSocket } from '../client/channel-socket.ts';
import { startCli, quietIo } from '../../test/support/cli-run.ts';
import { podOf, podsPath, startApi } from '../../test/support/api-calls.ts';
import { inProcessClient } from '../client/in-process-client.ts';
import { connectionOver } from './api-connection.ts';
import { containerOf, runRemoteCommand } from './remote-command.ts';

const never = new AbortController().signal;
const failed = (message: string, more: object = {}): string => JSON.stringify({ status: 'Failure', message, ...more });

/** A server that sends these messages and closes. */
function serverOf(messages: readonly (readonly [channel: number, text: string])[]) {
  const sent: string[] = [];
  const socket: ChannelSocket = {
    async *messages(): AsyncGenerator<ChannelMessage, void, undefined> {
      for (const [channel, text] of messages) yield await Promise.resolve({ channel, bytes: Buffer.from(text) });
    },
    send(channel, bytes) {
      sent.push(`${channel} ${Buffer.from(bytes).toString('latin1')}`);
      return Promise.resolve();
    },
    close() {},
    destroy() {},
  };
  return { socket, sent };
}

const pod: Pod = {
  metadata: { name: 'web', namespace: 'shop' },
  spec: { containers: [{ name: 'a' }, { name: 'b' }], initContainers: [{ name: 'i' }] },
};

async function runWith(
  messages: Parameters<typeof serverOf>[0],
  remote: Partial<Parameters<typeof runRemoteCommand>[1]>,
) {
  const api = await startApi();
  const { io, printed } = quietIo(api.clock, 'typed');
  const { socket, sent } = serverOf(messages);
  const dialled: string[] = [];
  const raws: boolean[] = [];
  const terminal = {
    setRaw: (isRaw: boolean) => void raws.push(isRaw),
    size: () => ({ width: 91, height: 17 }),
    onResize: () => () => {},
  };
  const client = inProcessClient({ handle: api.server.handle, user: { name: 'nobody', groups: [] } });
  const dial = (target: string, protocol: string): Promise<ChannelSocket> => {
    dialled.push(`${protocol} ${target}`);
    return Promise.resolve(socket);
  };
  const connection = connectionOver(client, { namespace: 'x', namespaceIsExplicit: false, timeoutMs: 0, dial }, io);
  const command = {
    subresource: 'exec',
    container: 'a',
    command: ['sh', '-c', 'a b'],
    stdin: false,
    tty: false,
  } as const;
  const outcome = await runRemoteCommand(pod, { ...command, ...remote }, connection, { ...io, terminal }, never).catch(
    (error: unknown) => String(error),
  );
  await api.close();
  return { outcome, printed: printed(), dialled, sent, raws };
}

test('a command is asked for in a query, its output is printed and its exit code passed on', async () => {
  const exit = failed('no', { reason: 'NonZeroExitCode', details: { causes: [{ reason: 'ExitCode', message: '7' }] } });
  const found = await runWith(
    [
      [1, 'out'],
      [2, 'err\n'],
      [9, 'unknown'],
      [3, exit],
    ],
    {},
  );
  assert.deepEqual(found, {
    outcome: 7,
    printed: { stdout: 'out', stderr: 'err\ncommand terminated with exit code 7\n' },
    dialled: [
      'v5.channel.k8s.io /api/v1/namespaces/shop/pods/web/exec?command=sh&command=-c&command=a+b&container=a' +
        '&stdout=true&stderr=true',
    ],
    sent: [],
    raws: [],
  });
});

test('input goes to its end, and a terminal is raw for as long as the command runs', async () => {
  const found = await runWith(
    [
      [1, ''],
      [1, 'hi'],
      [3, '{"status":"Success"}'],
    ],
    { stdin: true, tty: true },
  );
  assert.equal(found.outcome, 0);
  assert.ok(found.dialled[0]?.endsWith('container=a&stdin=true&stdout=true&tty=true'));
  assert.deepEqual(found.raws, [true, false]);
  assert.deepEqual(found.sent.toSorted(), ['0 typed', '255 \0', '4 {"Width":91,"Height":17}']);
});

test('a failure to run, and a server that ends without a word, are errors', async () => {
  const message = 'Internal error occurred: no such file';
  assert.equal((await runWith([[3, failed(message)]], {})).outcome, `CliError: ${message}`);
  assert.match(String((await runWith([[1, 'x']], {})).outcome), /did not tell how the command ended/);
});

test('the container: asked for, of the annotation, or the first, which is told', () => {
  const { io, printed } = quietIo({ monoMs: () => 0, wallMs: () => 0, sleep: () => Promise.resolve() });
  assert.equal(containerOf(pod, 'i', false, io).name, 'i');
  assert.throws(() => containerOf(pod, 'x', false, io), /container x not found in pod web/);
  const annotations = { 'kubectl.kubernetes.io/default-container': 'b' };
  assert.equal(containerOf({ ...pod, metadata: { ...pod.metadata, annotations } }, '', false, io).name, 'b');
  assert.equal(containerOf(pod, '', true, io).name, 'a');
  assert.equal(printed().stderr, '');
  assert.equal(containerOf(pod, '', false, io).name, 'a');
  assert.equal(printed().stderr, 'Defaulted container "a" out of: a, b, i (init)\n');
});

test('words that make no sense are told before anything is asked, and so are pods that cannot be meant', async () => {
  const { cli, api, close } = await startCli();
  await api.ok('POST', podsPath, podOf('web'));
  const stderr = async (...words: string[]): Promise<string> => (await cli(words)).stderr;
  assert.match(await stderr('exec'), /^error: pod or type\/name must be specified\n/);
  assert.match(await stderr('exec', '--', 'ls'), /^error: pod or type\/name must be specified\n/);
  assert.match(await stderr('exec', 'web'), /^error: you must specify at least one command for the container\n/);
  assert.match(await stderr('exec', 'web', 'ls'), /^error: exec \[POD\] \[COMMAND\] is not supported anymore/);
  assert.equal(await stderr('exec', 'nosuch', '--', 'ls'), 'Error from server (NotFound): pods "nosuch" not found\n');
  assert.match(await stderr('exec', 'node/x', '--', 'ls'), /^error: cannot attach to \*v1\.Node/);
  assert.match(await stderr('attach'), /^error: at least 1 argument is required for attach\n/);
  assert.match(await stderr('port-forward', 'web'), /^error: TYPE\/NAME and list of ports are required/);
  assert.match(await stderr('port-forward', 'web', '1:2:3'), /^error: invalid port format '1:2:3'\n/);
  assert.match(await stderr('port-forward', 'web', '80:x'), /^error: error parsing remote port 'x'/);
  assert.match(await stderr('port-forward', 'web', '80:0'), /^error: remote port must be > 0\n/);
  assert.match(await stderr('port-forward', 'web', '80', '--address', 'here'), /^error: here is not a valid IP\n/);
  assert.match(await stderr('port-forward', 'web', '80'), /pod is not running\. Current status=Pending\n/);
  assert.match(await stderr('cp', 'a', 'b'), /^error: one of src or dest must be a remote file specification\n/);
  assert.match(await stderr('cp', 'p:a', 'q:b'), /^error: one of src or dest must be a local file specification\n/);
  assert.match(await stderr('cp', ':a', 'b'), /^error: filespec must match the canonical format/);
  assert.match(await stderr('cp', 'web:', 'b'), /^error: filepath can not be empty\n/);
  assert.match(await stderr('cp', 'a'), /^error: expected 'cp <file-spec-src> <file-spec-dest> \[-c container\]'/);
  await close();
});
