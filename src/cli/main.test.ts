import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { quietIo, type CliResult } from '../../test/support/cli-run.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { run } from './main.ts';

async function cli(...words: readonly string[]): Promise<CliResult> {
  const { io, printed } = quietIo(new VirtualClock({ epochMs: 0 }));
  const code = await run(words, { io }, new AbortController().signal);
  return { code, ...printed() };
}

test('without a verb, and with --help, the verbs are listed', async () => {
  const help = await cli('--help');
  assert.equal(help.code, 0);
  for (const verb of [
    'up',
    'down',
    'status',
    'kubeconfig',
    'demo',
    'create',
    'apply',
    'get',
    'describe',
    'logs',
    'delete',
    'events',
  ]) {
    assert.match(help.stdout, new RegExp(`^ {2}${verb} `, 'm'));
  }
  assert.deepEqual(await cli(), help);
  assert.deepEqual(await cli('help'), help);
});

test('every verb has its help, with its flags', async () => {
  const { stdout } = await cli('--help');
  const verbs = [...stdout.matchAll(/^ {2}([a-z]+) {2,}/gm)].map((match) => match[1] ?? '');
  assert.ok(verbs.length >= 14, verbs.join());
  for (const verb of verbs) {
    const help = await cli(verb, '--help');
    assert.deepEqual([help.code, help.stderr], [0, ''], verb);
    assert.match(help.stdout, new RegExp(`Usage:\n {2}livelet ${verb}[\\s\\S]*-h, --help=false`), verb);
    assert.deepEqual(await cli('help', verb), help);
  }
});

test('--version prints the version of the package', async () => {
  assert.match((await cli('--version')).stdout, /^\d+\.\d+\.\d+\S*\n$/);
});

test('an unknown verb is an error that names what may have been meant', async () => {
  assert.deepEqual(await cli('gett', 'po'), {
    code: 1,
    stdout: '',
    stderr: 'error: unknown command "gett" for "livelet"\n\nDid you mean this?\n\tget\n\tset\n',
  });
  assert.equal((await cli('toString')).stderr, 'error: unknown command "toString" for "livelet"\n');
});

test('an unknown flag is an error that names the help', async () => {
  assert.deepEqual(await cli('get', '--foo'), {
    code: 1,
    stdout: '',
    stderr: "error: unknown flag: --foo\nSee 'livelet get --help' for usage.\n",
  });
});

test('flags of the connection may stand before the verb', async () => {
  const { stderr } = await cli('-n', 'get', '--server=http://127.0.0.1:1', 'describe');
  assert.equal(stderr, 'error: You must specify the type of resource to describe.\n');
});

test('without a cluster anywhere the error says how to get one', async () => {
  assert.deepEqual(await cli('get', 'po'), {
    code: 1,
    stdout: '',
    stderr: 'error: no cluster: start one with "livelet up", or name one with --kubeconfig, $KUBECONFIG or --server\n',
  });
});

test('a server that refuses connections is named', async () => {
  assert.deepEqual(await cli('get', 'po', '-s', 'http://127.0.0.1:1'), {
    code: 1,
    stdout: '',
    stderr: 'The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?\n',
  });
});

test('status without a cluster says so, with an exit code of its own', async () => {
  assert.deepEqual(await cli('status', '--data-dir', '/nonexistent'), {
    code: 3,
    stdout: 'no cluster runs on /nonexistent\n',
    stderr: '',
  });
  assert.equal((await cli('down', '--data-dir', '/nonexistent')).code, 0);
  assert.match(
    (await cli('kubeconfig', '--data-dir', '/nonexistent')).stderr,
    /^error: there is no \/nonexistent\/kubeconfig: /,
  );
});

test('up checks its words before it touches anything', async () => {
  assert.equal((await cli('up', 'x')).stderr, 'error: up takes no arguments: x\n');
  assert.equal((await cli('up', '--port', '70000')).stderr, 'error: --port 70000 is not between 0 and 65535\n');
  assert.equal(
    (await cli('up', '--runtime', 'x')).stderr,
    'error: unknown runtime "x": it can be process, cri (the containerd or CRI-O of this machine) or unix:///SOCKET.\n',
  );
});

test('image makes an image of a directory, lists it and takes it away again', async () => {
  const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-image-'));
  try {
    const image = (...words: readonly string[]): Promise<CliResult> => cli('image', ...words, '--data-dir', dataDir);
    const app = path.join(dataDir, 'app');
    fs.mkdirSync(app);
    fs.writeFileSync(path.join(app, 'package.json'), '{"main":"app.js"}');
    const rows = async (): Promise<string[]> =>
      (await image('list')).stdout.split('\n').filter((line) => line.includes('/me/app'));
    assert.deepEqual(await rows(), []);
    const added = await image('add', 'me/app:1', app);
    assert.deepEqual([added.code, added.stdout], [0, `docker.io/me/app:1 is ${app}\n`]);
    const [row = ''] = await rows();
    assert.match(row, /^docker\.io\/me\/app:1 +17 +\//);
    assert.ok(row.endsWith(app));
    assert.equal((await image('rm', 'me/app:1')).code, 0);
    assert.deepEqual(await rows(), []);
    const errors = [await image('rm', 'me/app:1'), await image('add', 'me/app', dataDir), await image('prune')];
    assert.deepEqual(
      errors.map(({ code, stderr }) => [code, stderr]),
      [
        [1, 'error: no image "me/app:1" was added\n'],
        [1, `error: ${dataDir} holds no image.json, no Dockerfile and no package.json\n`],
        [1, 'error: image can add, list and rm (got: prune)\n'],
      ],
    );
  } finally {
    fs.rmSync(dataDir, { recursive: true });
  }
});
