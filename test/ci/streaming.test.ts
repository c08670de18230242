/** exec, attach, cp, run and port-forward with every kubectl that can be found: SPDY before 1.31, WebSocket since. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { kubectlVersions, sleepMs, startLivelet } from './livelet-up.ts';
import type { CommandResult, RunningLivelet } from './livelet-up.ts';

const outputBytes = 10 * 1_024 * 1_024;

const pods = {
  apiVersion: 'v1',
  kind: 'List',
  items: [
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'shell' },
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: [
          { name: 'c', image: 'busybox:1.36', command: ['sh', '-c', 'while true; do echo tick; sleep 0.2; done'] },
          { name: 'other', image: 'busybox:1.36', command: ['sleep', '3600'] },
        ],
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'web' },
      spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'c', image: 'luksa/kubia' }] },
    },
  ],
};

const md5 = (data: Buffer | string): string => createHash('md5').update(data).digest('hex');

function get(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    http
      .get({ host: '127.0.0.1', port, agent: false }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (data: string) => (text += data));
        response.on('end', () => resolve(text));
      })
      .on('error', reject);
  });
}

/** What a program has printed so far, and its exit code. */
function watched(child: ChildProcess) {
  const seen = { text: '' };
  const add = (data: Buffer): void => {
    seen.text += data.toString('latin1');
  };
  child.stdout?.on('data', add);
  child.stderr?.on('data', add);
  const exited = once(child, 'exit') as Promise<[code: number | null]>;
  const until = async (pattern: RegExp): Promise<RegExpExecArray> => {
    for (let i = 0; i < 200; i++) {
      const found = pattern.exec(seen.text);
      if (found !== null) return found;
      await sleepMs(100);
    }
    return assert.fail(`${pattern} was not seen in ${JSON.stringify(seen.text)}`);
  };
  return { seen, exited, until };
}

const versions = [...kubectlVersions()];

describe('streaming', () => {
  let cluster: RunningLivelet;
  let directory: string;
  before(async () => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-streaming-'));
    cluster = await startLivelet();
    const { code, stderr } = await cluster.kubectl(['create', '-f', '-'], JSON.stringify(pods));
    assert.equal(code, 0, stderr);
    await cluster.kubectl(['wait', '--for=condition=Ready', 'pod', '--all', '--timeout=60s']);
  });
  after(async () => {
    await cluster.stop();
    cluster.remove();
    fs.rmSync(directory, { recursive: true, force: true });
  });

  for (const [version, kubectlPath] of versions) {
    const kubectl = (args: readonly string[], input?: string): Promise<CommandResult> =>
      cluster.kubectl(args, input, version);
    const start = (args: readonly string[]): ChildProcess =>
      spawn(kubectlPath, args, { env: { ...process.env, KUBECONFIG: cluster.kubeconfigPath } });
    /** Under a terminal of its own. */
    const startTty = (args: readonly string[]): ChildProcess => {
      const env = { ...process.env, KUBECONFIG: cluster.kubeconfigPath };
      const line = [kubectlPath, ...args].map((word) => `'${word}'`).join(' ');
      return spawn('script', ['-qec', `stty cols 91 rows 17; ${line}`, '/dev/null'], { env });
    };

    test(`kubectl ${version}: exec: exit codes, output and errors apart, input to its end, words of failures`, async () => {
      const inC = (...command: string[]): string[] => ['exec', 'shell', '-c', 'c', '--', ...command];
      const both = await kubectl(inC('sh', '-c', 'echo out; echo err >&2; exit 7'));
      assert.deepEqual(both, { code: 7, stdout: 'out\n', stderr: 'err\ncommand terminated with exit code 7\n' });
      assert.deepEqual(await kubectl(['exec', '-i', 'shell', '-c', 'c', '--', 'cat'], 'to the end'), {
        code: 0,
        stdout: 'to the end',
        stderr: '',
      });
      const absent = await kubectl(inC('/no/such/program'));
      assert.notEqual(absent.code, 0);
      assert.match(absent.stderr, /^error: Internal error occurred: error executing command in container: .*no such/s);
      const nowhere = await kubectl(['exec', 'shell', '-c', 'x', '--', 'true']);
      assert.equal(nowhere.stderr, 'Error from server (BadRequest): container x is not valid for pod shell\n');
      const missing = await kubectl(['exec', 'nosuch', '--', 'true']);
      assert.equal(missing.stderr, 'Error from server (NotFound): pods "nosuch" not found\n');
      const defaulted = await kubectl(['exec', 'shell', '--', 'true']);
      assert.match(defaulted.stderr, /^Defaulted container "c" out of: c, other/);
      assert.equal(defaulted.code, 0);
    });

    test(`kubectl ${version}: exec: ten megabytes each way`, async () => {
      const data = randomBytes(outputBytes / 2).toString('hex');
      const there = await kubectl(['exec', '-i', 'shell', '-c', 'c', '--', 'md5sum'], data);
      assert.equal(there.stdout.slice(0, 32), md5(data), there.stderr);
      const program = `head -c ${outputBytes} /dev/zero | tr '\\0' x`;
      const back = await kubectl(['exec', 'shell', '-c', 'c', '--', 'sh', '-c', program]);
      assert.equal(md5(back.stdout), md5('x'.repeat(outputBytes)), back.stderr);
    });

    test(`kubectl ${version}: exec -it: a terminal of the client's size`, async () => {
      const child = startTty(['exec', '-it', 'shell', '-c', 'c', '--', 'sh']);
      const { until, exited } = watched(child);
      await until(/[#$] /);
      child.stdin?.write('stty size; echo sum-$((40+2))\r');
      await until(/17 91/);
      await until(/sum-42/);
      child.stdin?.write('exit 6\r');
      await until(/command terminated with exit code 6/);
      assert.deepEqual((await exited)[0], 6);
    });

    test(`kubectl ${version}: attach, and a client that is killed leaves the container as it is`, async () => {
      const child = start(['attach', 'shell', '-c', 'c']);
      const { until, exited } = watched(child);
      await until(/tick\n(?:.*\n)*tick/);
      child.kill('SIGKILL');
      await exited;
      const input = start(['exec', '-i', 'shell', '-c', 'c', '--', 'sh', '-c', 'echo on; cat; echo over > /tmp/over']);
      const inputSeen = watched(input);
      await inputSeen.until(/on\n/);
      input.kill('SIGKILL');
      await inputSeen.exited;
      const waitOver = 'for i in $(seq 100); do [ -e /tmp/over ] && exec rm /tmp/over; sleep 0.1; done; exit 1';
      const over = await kubectl(['exec', 'shell', '-c', 'c', '--', 'sh', '-c', waitOver]);
      assert.equal(over.code, 0, `the input of a killed client did not end: ${over.stderr}`);
    });

    test(`kubectl ${version}: cp there and back`, async () => {
      const [from, to] = [path.join(directory, 'from'), path.join(directory, `to-${version}`)];
      fs.mkdirSync(path.join(from, 'sub'), { recursive: true });
      fs.writeFileSync(path.join(from, 'a'), randomBytes(300_000));
      fs.writeFileSync(path.join(from, 'sub', 'b c'), 'text');
      const target = `/tmp/cp-${version}`;
      const there = await kubectl(['cp', from, `shell:${target}`, '-c', 'c']);
      assert.equal(there.code, 0, there.stderr);
      const back = await kubectl(['cp', `shell:${target}`, to, '-c', 'c']);
      assert.equal(back.code, 0, back.stderr);
      execFileSync('diff', ['-r', from, to]);
    });

    test(`kubectl ${version}: run -i --rm with a shell, its exit code and nothing left`, async () => {
      const name = `run-${version.replace('.', '-')}`;
      const args = ['run', '-i', '--rm', '--restart=Never', name, '--image=busybox:1.36', '--', 'sh'];
      const child = start(args);
      const { seen, exited, until } = watched(child);
      await until(/If you don't see a command prompt/);
      child.stdin?.end('echo from-$((1+1)); exit 5\n');
      assert.equal((await exited)[0], 5, seen.text);
      assert.match(seen.text, /from-2\n/);
      assert.match((await kubectl(['get', 'pod', name])).stderr, /not found/);
    });

    test(`kubectl ${version}: port-forward: several connections, and a port where nobody listens`, async () => {
      const child = start(['port-forward', 'web', ':8080']);
      const { until, exited } = watched(child);
      const port = Number((await until(/Forwarding from 127\.0\.0\.1:(\d+) -> 8080/))[1]);
      const answers = await Promise.all(Array.from({ length: 6 }, () => get(port)));
      assert.deepEqual(new Set(answers), new Set(["You've hit web\n"]));
      assert.equal(await get(port), "You've hit web\n");
      child.kill('SIGTERM');
      await exited;
      const closed = start(['port-forward', 'web', ':9']);
      const refused = watched(closed);
      const closedPort = Number((await refused.until(/Forwarding from 127\.0\.0\.1:(\d+) -> 9/))[1]);
      await assert.rejects(get(closedPort));
      await refused.until(/an error occurred forwarding \d+ -> 9: error forwarding port 9 to pod .*connection refused/);
      closed.kill('SIGTERM');
      await refused.exited;
    });
  }

  test('livelet exec, cp and port-forward do the same', async () => {
    const { livelet } = cluster;
    const both = await livelet(['exec', 'shell', '-c', 'c', '--', 'sh', '-c', 'echo out; echo err >&2; exit 7']);
    assert.deepEqual(both, { code: 7, stdout: 'out\n', stderr: 'err\ncommand terminated with exit code 7\n' });
    const data = randomBytes(outputBytes / 2).toString('hex');
    const echoed = await livelet(['exec', '-i', 'shell', '-c', 'c', '--', 'cat'], data);
    assert.equal(md5(echoed.stdout), md5(data), echoed.stderr);
    const from = path.join(directory, 'ours');
    fs.mkdirSync(path.join(from, 'sub'), { recursive: true });
    fs.writeFileSync(path.join(from, 'sub', 'b c'), data);
    const to = path.join(directory, 'ours-back');
    const copies = [
      [from, 'shell:/tmp/ours'],
      ['shell:/tmp/ours', to],
      [path.join(from, 'sub', 'b c'), 'shell:/tmp/renamed'],
      ['shell:/tmp/renamed', path.join(to, 'one')],
    ];
    for (const copy of copies) {
      const { code, stderr } = await livelet(['cp', ...copy, '-c', 'c']);
      assert.equal(code, 0, stderr);
    }
    execFileSync('diff', [path.join(to, 'one'), path.join(to, 'sub', 'b c')]);
    execFileSync('diff', [path.join(from, 'sub', 'b c'), path.join(to, 'one')]);
    const bin = path.resolve(import.meta.dirname, '../../bin/livelet.js');
    const env = { ...process.env, KUBECONFIG: cluster.kubeconfigPath };
    const child = spawn(process.execPath, [bin, 'port-forward', 'web', ':8080'], { env });
    const { until, exited } = watched(child);
    const port = Number((await until(/Forwarding from 127\.0\.0\.1:(\d+) -> 8080/))[1]);
    const answers = await Promise.all(Array.from({ length: 6 }, () => get(port)));
    assert.deepEqual(new Set(answers), new Set(["You've hit web\n"]));
    child.kill('SIGTERM');
    assert.equal((await exited)[0], 0);
  });

  test('there are kubectls of both kinds to test with', () => {
    const found = versions.map(([version]) => version);
    assert.ok(
      found.some((version) => version < '1.31') && found.some((version) => version >= '1.31'),
      `found ${found.join(', ')}`,
    );
  });
});
