/** What only real processes show: files, forks, signals, users, leftovers. */
import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { Log } from '../../src/base/log.ts';
import { hasReason } from '../../src/base/status-error.ts';
import { ProcessImages } from '../../src/cri/process/images.ts';
import type { ContainerNotice, ProcessRuntime } from '../../src/cri/process/process-runtime.ts';
import { openTerminal } from '../../src/cri/process/terminal.ts';
import { HostClock } from '../../src/host/host-clock.ts';
import type { LinuxContainerResources } from '../../src/cri/runtime.ts';
import { httpGet, readAll } from './pod-clients.ts';
import { processesWith } from './processes-with.ts';
import { RemoteClient } from './remote-client.ts';
import { plainSecurityContext } from './runtime-configs.ts';
import { logTexts, RuntimeBench, type OpenedRuntime } from './runtime-bench.ts';

export interface OpenedProcessRuntime extends OpenedRuntime {
  readonly runtime: ProcessRuntime;
  readonly directory: string;
}

export interface OpenOverrides {
  /** Kept after `close`. Default: a new one, removed. */
  readonly directory?: string;
  readonly log?: Log;
  readonly onNotice?: (notice: ContainerNotice) => void;
}

export type OpenProcessRuntime = (overrides?: OpenOverrides) => Promise<OpenedProcessRuntime>;

type Way = 'root' | 'user' | 'none';

const noResources: LinuxContainerResources = {
  cpuShares: undefined,
  cpuQuota: undefined,
  cpuPeriod: undefined,
  memoryLimitBytes: undefined,
  oomScoreAdj: undefined,
};

interface Case {
  readonly bench: RuntimeBench;
  readonly opened: OpenedProcessRuntime;
}

type CaseTest = (sentence: string, body: (c: Case) => Promise<void>) => void;

function endlessSignal(): AbortSignal {
  const { signal } = new AbortController();
  setMaxListeners(0, signal); // everything in a test waits on this one
  return signal;
}

function sleepMs(delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, delayMs);
  });
}

function sh(script: string): readonly string[] {
  return ['sh', '-c', script];
}

export function processSuite(name: string, way: Way, open: OpenProcessRuntime): void {
  const caseTest: CaseTest = (sentence, body) => {
    test(sentence, { timeout: 30_000 }, async () => {
      const opened = await open();
      try {
        await body({ opened, bench: new RuntimeBench(opened, endlessSignal()) });
      } finally {
        await opened.close();
      }
    });
  };
  describe(name, { concurrency: 4 }, () => {
    commandTests(caseTest);
    logTests(caseTest);
    if (way !== 'none') namespaceTests(caseTest);
    if (way === 'root') rootTests(caseTest);
    if (way === 'none') plainTests(caseTest);
    goneClientTests(caseTest);
    imageTests(caseTest);
    restartTests(open);
  });
}

function commandTests(caseTest: CaseTest): void {
  caseTest('words, variables and directories reach the command as they are', async ({ bench }) => {
    const output = await bench.output(['sh', '-c', 'printf "[%s]" "$@"; pwd; echo "$ODD"; env | grep "^a-b=" || :'], {
      args: ['zero', "it's", 'two words', '$HOME', 'a\nb', '', '*', 'ü'],
      envs: [
        { key: 'ODD', value: 'first' },
        { key: 'ODD', value: `quote ' dollar $X\nsecond line` },
      ],
      workingDir: '/usr',
    });
    assert.equal(output, "[it's][two words][$HOME][a\nb][][*][ü]/usr\nquote ' dollar $X\nsecond line\n");
  });

  caseTest('a variable with a name that no shell accepts is set all the same', async ({ bench }) => {
    const print = 'process.stdout.write(process.env["a.b"] + process.env.IFS + "\\n")';
    const envs = [
      { key: 'a.b', value: '1' },
      { key: 'IFS', value: '2' },
    ];
    assert.equal(await bench.output(['node', '-e', print], { envs }), '12\n');
  });

  caseTest('exec sees the environment and the directory of its container', async ({ bench }) => {
    const id = await bench.run(['sleep', '600'], { envs: [{ key: 'FOO', value: 'b a\nr' }], workingDir: '/usr' });
    const { stdout } = await bench.runtime.execSync(id, sh('pwd; echo "$FOO"'), 10_000, bench.signal);
    assert.equal(new TextDecoder().decode(stdout), '/usr\nb a\nr\n');
  });

  caseTest('exec that is ended takes along what it has started', async ({ bench }) => {
    const id = await bench.run(['sleep', '600']);
    const mark = `3${process.pid}.25`; // a duration that nobody else sleeps for
    const command = sh(`sleep ${mark} & sleep ${mark}; :`);
    await assert.rejects(bench.runtime.execSync(id, command, 200, bench.signal), { name: 'ExecTimeoutError' });
    // Killed, they are still seen until the kernel gets to it.
    for (let i = 0; i < 40 && processesWith(mark).length > 0; i++) await sleepMs(50);
    assert.deepEqual(processesWith(mark), []);
  });

  caseTest('many execs at once all come back', async ({ bench }) => {
    const id = await bench.run(['sleep', '600']);
    const codes = await Promise.all(
      Array.from({ length: 24 }, async (_, i) => {
        return (await bench.runtime.execSync(id, sh(`exit ${i}`), 20_000, bench.signal)).exitCode;
      }),
    );
    assert.deepEqual(
      codes,
      Array.from({ length: 24 }, (_, i) => i),
    );
  });

  caseTest('commands that cannot be executed are told apart', async ({ bench }) => {
    const startError = async (command: string, workingDir = ''): Promise<string> => {
      const id = await bench.create(await bench.sandbox(), [command], { workingDir });
      await assert.rejects(bench.runtime.startContainer(id, bench.signal));
      return (await bench.status(id)).message.replace(/^.*unable to start container process: /, '');
    };
    assert.deepEqual(
      [await startError('/no/such'), await startError('/etc/passwd'), await startError('true', '/no/dir')],
      [
        'exec: "/no/such": stat /no/such: no such file or directory: unknown',
        'exec: "/etc/passwd": permission denied: unknown',
        'chdir to cwd ("/no/dir") set in config.json failed: no such file or directory: unknown',
      ],
    );
  });

  caseTest('standard input is empty, or stays open if so asked', async ({ bench }) => {
    assert.equal(await bench.output(['cat']), '');
    const id = await bench.run(['cat'], { stdin: true });
    await bench.runtime.execSync(id, ['true'], 10_000, bench.signal);
    assert.equal((await bench.status(id)).state, 'running');
  });

  caseTest('what a container forks does not outlive it', async ({ bench }) => {
    const mark = `4${process.pid}.25`;
    await bench.ended(await bench.run(sh(`sleep ${mark} & sleep ${mark} & sleep 0.1`)));
    assert.deepEqual(processesWith(mark), []);
  });

  caseTest('stop signals by other names reach the handler', async ({ bench }) => {
    const script = "trap 'exit 4' USR1; echo up; while true; do sleep 0.02; done";
    const id = await bench.run(sh(script), { stopSignal: 'SIGUSR1' });
    await bench.said(id, 'up');
    await bench.runtime.stopContainer(id, 20_000, bench.signal);
    assert.equal((await bench.status(id)).exitCode, 4);
    const sandbox = await bench.sandbox();
    await assert.rejects(bench.create(sandbox, ['true'], { stopSignal: 'SIGNONE' }), (e) => hasReason(e, 'BadRequest'));
  });

  caseTest('what is not supported is refused by the name of its field', async ({ bench }) => {
    const sandbox = await bench.sandbox();
    const refused = async (overrides: Parameters<RuntimeBench['create']>[2]): Promise<string> => {
      try {
        await bench.create(sandbox, ['true'], overrides);
        return 'accepted';
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      }
    };
    const privileged = { ...plainSecurityContext, privileged: true };
    assert.match(await refused({ securityContext: privileged }), /^securityContext\.privileged: true is not supported/);
    const namespaces = { network: 'pod', pid: 'pod', ipc: 'pod' } as const;
    await assert.rejects(bench.sandbox({ namespaces }), { message: /^shareProcessNamespace: true is not supported/ });
  });
}

function logTests(caseTest: CaseTest): void {
  caseTest('lines over 16 KiB are split, the last one needs no newline', async ({ bench }) => {
    const write = 'process.stdout.write("a".repeat(40_000) + "\\n" + "b".repeat(16_384) + "\\nend")';
    const id = await bench.run(['node', '-e', write]);
    await bench.ended(id);
    const lines = (await bench.log(id)).split('\n').filter((line) => line !== '');
    assert.deepEqual(
      lines.map((line) => {
        const [, , tag, text = ''] = line.split(' ');
        return [tag, text[0], text.length];
      }),
      [
        ['P', 'a', 16_384],
        ['P', 'a', 16_384],
        ['F', 'a', 7_232],
        ['F', 'b', 16_384],
        ['F', 'e', 3],
      ],
    );
  });

  caseTest('bytes that are no UTF-8 reach the log unchanged', async ({ bench }) => {
    const id = await bench.run(sh("printf 'a\\377\\300b\\n'"));
    await bench.ended(id);
    const bytes = await fsp.readFile((await bench.status(id)).logPath);
    assert.equal(bytes.subarray(bytes.indexOf(' F ') + 3).toString('latin1'), 'a\xff\xc0b\n');
  });

  caseTest('/dev/stdout can be opened anew', async ({ bench }) => {
    assert.equal(await bench.output(sh('echo hi > /dev/stdout')), 'hi\n');
  });

  caseTest('after a rotation the log goes on in a new file', async ({ bench }) => {
    const id = await bench.run(sh('echo one; read line; echo two'), { stdin: true });
    await bench.said(id, 'one');
    const { logPath } = await bench.status(id);
    await fsp.rename(logPath, `${logPath}.old`);
    await bench.runtime.reopenContainerLog(id, bench.signal);
    await bench.runtime.stopContainer(id, 0, bench.signal);
    assert.equal(logTexts(await fsp.readFile(`${logPath}.old`, 'utf8')), 'one\n');
    assert.equal(await fsp.readFile(logPath, 'utf8'), '');
  });

  caseTest('a container that never stops writing is slowed down, and stops at once', async ({ bench }) => {
    const id = await bench.run(['yes']);
    const startedMs = performance.now();
    while (performance.now() - startedMs < 300) await bench.status(id);
    const rssBytes = process.memoryUsage().rss;
    await bench.runtime.stopContainer(id, 0, bench.signal);
    assert.equal((await bench.status(id)).exitCode, 137);
    assert.ok(process.memoryUsage().rss - rssBytes < 256 * 1_024 * 1_024);
  });
}

function namespaceTests(caseTest: CaseTest): void {
  caseTest('the command is PID 1 and sees only its own', async ({ bench }) => {
    const print = 'console.log(process.pid, fs.readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name)).join())';
    assert.equal(await bench.output(['node', '-e', print]), '1 1\n');
  });

  caseTest('a Node.js program without a handler survives SIGTERM', async ({ bench }) => {
    const id = await bench.run(['node', '-e', 'console.log("up"); setInterval(() => {}, 1000)']);
    await bench.said(id, 'up');
    await bench.runtime.stopContainer(id, 200, bench.signal);
    assert.equal((await bench.status(id)).exitCode, 137);
  });

  caseTest('what leaves the session and the process group ends with its container too', async ({ bench }) => {
    const mark = `5${process.pid}.25`;
    const script = `const { spawn } = require("child_process");
      spawn("sleep", ["${mark}"], { detached: true, stdio: "ignore" }).unref();
      console.log("up"); setTimeout(() => process.exit(6), 50);`;
    const ended = await bench.ended(await bench.run(['node', '-e', script]));
    assert.equal(ended.exitCode, 6);
    assert.deepEqual(processesWith(mark), []);
  });

  caseTest('the pod’s name is the host’s name, and /tmp and /run are the container’s own', async ({ bench }) => {
    const sandbox = await bench.sandbox();
    const id = await bench.run(
      sh('hostname; echo $HOSTNAME; ls -A /tmp /run; echo x > /tmp/x; cat /tmp/x'),
      {},
      sandbox,
    );
    await bench.ended(id);
    const { hostname } = sandbox.config;
    assert.equal(logTexts(await bench.log(id)), `${hostname}\n${hostname}\n/run:\n\n/tmp:\nx\n`);
    assert.notEqual(hostname, fs.readFileSync('/proc/sys/kernel/hostname', 'utf8').trim());
  });

  caseTest('directories and files are mounted, read-only where so asked', async ({ bench, opened }) => {
    const volume = path.join(opened.directory, 'a volume');
    await fsp.mkdir(volume);
    await fsp.writeFile(path.join(volume, 'in'), 'from outside\n');
    const message = path.join(opened.directory, 'message');
    await fsp.writeFile(message, '');
    const script = `cat "/mnt data/in"; echo out > "/mnt data/out"; cat /var/run/secrets/x/in
      (: > /var/run/secrets/x/no) 2>/dev/null || echo read-only; echo why > /dev/termination-log`;
    const output = await bench.output(sh(script), {
      mounts: [
        { hostPath: volume, containerPath: '/mnt data', readonly: false },
        { hostPath: volume, containerPath: '/var/run/secrets/x', readonly: true },
        { hostPath: message, containerPath: '/dev/termination-log', readonly: false },
      ],
    });
    assert.equal(output, 'from outside\nfrom outside\nread-only\n');
    assert.deepEqual((await fsp.readdir(volume)).sort(), ['in', 'out']);
    assert.equal(await fsp.readFile(message, 'utf8'), 'why\n');
  });

  caseTest('a volume that is not there fails the start with the text of mount', async ({ bench }) => {
    const mounts = [{ hostPath: '/no/such/volume', containerPath: '/data', readonly: false }];
    const id = await bench.create(await bench.sandbox(), ['true'], { mounts });
    await assert.rejects(bench.runtime.startContainer(id, bench.signal), { message: /no\/such\/volume/ });
    assert.equal((await bench.status(id)).reason, 'StartError');
  });

  caseTest('a new top directory is the container’s alone', async ({ bench }) => {
    const name = `/livelet-test-${process.pid}`;
    assert.equal(await bench.output(sh(`mkdir ${name} && echo made`)), 'made\n');
    assert.equal(await bench.output(sh(`mkdir ${name} && echo made`)), 'made\n');
    assert.ok(!fs.existsSync(name));
  });
}

function rootTests(caseTest: CaseTest): void {
  caseTest('what a container writes anywhere stays in it', async ({ bench, opened }) => {
    const { files } = opened.runtime.isolation;
    if (files !== 'overlay') return; // said by `isolation`
    const name = `livelet-test-${process.pid}`;
    assert.equal(
      await bench.output(sh(`echo x > /etc/${name}; rm /etc/passwd; [ -e /etc/passwd ] || echo gone`)),
      'gone\n',
    );
    assert.ok(!fs.existsSync(`/etc/${name}`) && fs.existsSync('/etc/passwd'));
  });

  caseTest('a read-only root cannot be written to, its volumes can', async ({ bench, opened }) => {
    const securityContext = { ...plainSecurityContext, readonlyRootfs: true };
    const mounts = [{ hostPath: opened.directory, containerPath: '/data', readonly: false }];
    const script = 'for f in /x /etc/x /tmp/x /data/x; do (: > $f) 2>/dev/null && echo $f; done; :';
    assert.equal(await bench.output(sh(script), { securityContext, mounts }), '/data/x\n');
  });

  caseTest('user, groups and capabilities are those asked for, in exec as well', async ({ bench }) => {
    const securityContext = {
      ...plainSecurityContext,
      runAsUser: 12_345,
      runAsGroup: 23_456,
      supplementalGroups: [34_567],
      noNewPrivs: true,
    };
    const script = 'id -u; id -g; id -G; grep NoNewPrivs /proc/self/status; echo hi > /dev/stdout; sleep 600';
    const id = await bench.run(sh(script), { securityContext });
    await bench.said(id, 'hi');
    const who = logTexts(await bench.log(id)).replace('hi\n', '');
    assert.equal(who, '12345\n23456\n23456 34567\nNoNewPrivs:\t1\n');
    const command = sh('id -u; id -g; id -G; grep NoNewPrivs /proc/self/status');
    const { stdout } = await bench.runtime.execSync(id, command, 10_000, bench.signal);
    assert.equal(new TextDecoder().decode(stdout), who);
  });

  caseTest('root in a container has the usual capabilities, less and more by request', async ({ bench }) => {
    const bounding = async (add: string[], drop: string[]): Promise<string> => {
      const securityContext = { ...plainSecurityContext, addCapabilities: add, dropCapabilities: drop };
      const output = await bench.output(sh('grep CapEff /proc/self/status'), { securityContext });
      return output.replace(/^CapEff:\s*0*/, '').trim();
    };
    assert.equal(await bounding([], []), 'a80425fb');
    assert.equal(await bounding(['NET_ADMIN'], []), 'a80435fb');
    assert.equal(await bounding(['NET_BIND_SERVICE'], ['ALL']), '400');
  });

  caseTest('pods have addresses of their own: two listen on the same port', async ({ bench, opened }) => {
    if (opened.runtime.isolation.network !== 'namespace') return; // said by `isolation`
    const serve = `require("net").createServer((socket) => socket.end(require("os").hostname())).listen(8080, () => console.log("up"))`;
    const answers: string[] = [];
    const names: string[] = [];
    for (let i = 0; i < 2; i++) {
      const sandbox = await bench.sandbox();
      const id = await bench.run(['node', '-e', serve], {}, sandbox);
      await bench.said(id, 'up');
      const { ips } = await bench.runtime.podSandboxStatus(sandbox.id, bench.signal);
      assert.match(ips[0] ?? '', /^10\.244\.\d+\.\d+$/);
      answers.push(await readAll(ips[0] ?? '', 8080));
      names.push(sandbox.config.hostname);
    }
    assert.deepEqual(answers, names);
  });

  caseTest('a pod on the machine’s network has no address of its own, nor a name', async ({ bench }) => {
    const sandbox = await bench.sandbox({ namespaces: { network: 'node', pid: 'container', ipc: 'pod' } });
    assert.deepEqual((await bench.runtime.podSandboxStatus(sandbox.id, bench.signal)).ips, []);
    const id = await bench.run(['hostname'], {}, sandbox);
    await bench.ended(id);
    const machine = fs.readFileSync('/proc/sys/kernel/hostname', 'utf8');
    assert.deepEqual([logTexts(await bench.log(id)), sandbox.config.hostname === machine.trim()], [machine, false]);
  });

  caseTest('a memory limit holds where cgroups are ours, and is told of where not', async ({ opened }) => {
    const notices: ContainerNotice[] = [];
    await opened.runtime.close();
    const again = await reopen(opened, notices);
    try {
      const bench = new RuntimeBench(again, endlessSignal());
      const eat = 'const all = []; for (let i = 0; i < 400; i++) all.push(Buffer.alloc(1e6, 1)); console.log("ate")';
      const resources = { ...noResources, memoryLimitBytes: 120 * 1_048_576 };
      const ended = await bench.ended(await bench.run(['node', '-e', eat], { resources }));
      if (notices.length === 0) assert.deepEqual([ended.exitCode, ended.reason], [137, 'OOMKilled']);
      else assert.match(notices[0]?.message ?? '', /^resources\.limits are not enforced: /);
    } finally {
      await again.close();
    }
  });
}

function goneClientTests(caseTest: CaseTest): void {
  /** Runs `script` until its client goes, and resolves when it has then started to sleep for `mark`. */
  async function leave({ bench }: Case, script: string, mark: string, tty: boolean): Promise<void> {
    const id = await bench.run(['sleep', '600']);
    const client = new RemoteClient();
    const gone = new AbortController();
    const streams = client.streams({ stdin: true, tty });
    const running = bench.runtime.exec(id, { command: sh(script), tty }, streams, gone.signal);
    await client.sees('up');
    gone.abort(new Error('gone'));
    await assert.rejects(running, { message: 'gone' });
    while (processesWith(mark).length === 0) await sleepMs(10);
    client.endInput();
  }

  caseTest('a command whose client has gone sees the end of its input, and goes on', async (c) => {
    const mark = `6${process.pid}.25`;
    await leave(c, `echo up; cat > /dev/null; n=${mark.slice(0, -3)}; echo lost; exec sleep $n.25`, mark, false);
  });

  caseTest('a command whose terminal has gone is told so', async (c) => {
    const mark = `7${process.pid}.25`;
    const trap = `trap "exec sleep \\$n.25" HUP; n=${mark.slice(0, -3)}`;
    await leave(c, `${trap}; echo up; while true; do sleep 0.02; done`, mark, true);
  });
}

/** The same directory again; its notices are kept. Set by `restartTests`, which knows how to open. */
let reopen: (opened: OpenedProcessRuntime, notices: ContainerNotice[]) => Promise<OpenedProcessRuntime> = () =>
  Promise.reject(new Error('not set'));

function plainTests(caseTest: CaseTest): void {
  caseTest('what some library has opened here for all children stays unseen', async ({ bench }) => {
    const { path: terminal, hangUp } = await openTerminal(new HostClock(), undefined); // without close-on-exec
    try {
      const print =
        'for (const n of fs.readdirSync("/proc/self/fd")) try { console.log(fs.readlinkSync("/proc/self/fd/" + n)) } catch {}';
      const output = await bench.output(['node', '-e', print]);
      assert.ok(output.includes('fifos/') && !output.includes('ptmx') && !output.includes(terminal), output);
    } finally {
      hangUp();
    }
  });

  caseTest('without namespaces a volume is refused, what every pod gets is left out', async ({ bench, opened }) => {
    const mount = (containerPath: string) => ({ hostPath: opened.directory, containerPath, readonly: false });
    const usual = [mount('/etc/hosts'), mount('/dev/termination-log')];
    assert.equal(await bench.output(sh('echo ran'), { mounts: usual }), 'ran\n');
    const sandbox = await bench.sandbox();
    await assert.rejects(bench.create(sandbox, ['true'], { mounts: [mount('/data')] }), {
      message: /^volumeMounts: \/data: mounting needs Linux namespaces/,
    });
  });
}

function imageTests(caseTest: CaseTest): void {
  caseTest('the shipped image is well five times, and then sick', async ({ bench, opened }) => {
    if (opened.runtime.isolation.network !== 'namespace') return; // its port may be taken on this machine
    const sandbox = await bench.sandbox();
    const id = await bench.run([], { image: 'luksa/kubia-unhealthy' }, sandbox);
    await bench.said(id, 'Kubia server starting...');
    const ip = (await bench.runtime.podSandboxStatus(sandbox.id, bench.signal)).ips[0] ?? '';
    const answers: string[] = [];
    for (let i = 0; i < 6; i++) answers.push(await httpGet(ip));
    const well = `200 You've hit ${sandbox.config.hostname}\n`;
    assert.deepEqual(answers, [well, well, well, well, well, "500 I'm not well. Please restart me!\n"]);
    const gateway = `${ip.slice(0, ip.lastIndexOf('.'))}.1`;
    const log = logTexts(await bench.log(id)).split('\n');
    assert.deepEqual(log.slice(0, 2), ['Kubia server starting...', `Received request from ::ffff:${gateway}`]);
    assert.equal((await bench.status(id)).image, 'docker.io/luksa/kubia-unhealthy:latest');
  });

  caseTest('a registered directory runs as its description says, and is there after a restart', async (c) => {
    const app = path.join(c.opened.directory, 'app');
    await fsp.mkdir(app);
    await fsp.writeFile(path.join(app, 'main.js'), 'console.log("hi from", process.argv[2], process.env.COLOR);');
    await fsp.writeFile(
      path.join(app, 'Dockerfile'),
      'FROM node:20\nENV COLOR=blue\nWORKDIR /srv/app\nCOPY . .\nENTRYPOINT ["node", "/srv/app/main.js"]\nCMD ["me"]\n',
    );
    const { id, sizeBytes } = await c.opened.runtime.registerImage('example.com/hi:1', app);
    assert.deepEqual((await c.bench.runtime.imageStatus('example.com/hi:1', c.bench.signal))?.id, id);
    const { size } = await fsp.stat(path.join(app, 'Dockerfile'));
    assert.ok(sizeBytes > size);
    assert.equal(await c.bench.output([], { image: 'example.com/hi:1' }), 'hi from me blue\n');
    assert.equal(await c.bench.output([], { image: 'example.com/hi:1', args: ['you'] }), 'hi from you blue\n');
    // As `livelet image` does, in a process of its own.
    const others = new ProcessImages({ stateDir: path.join(c.opened.directory, 'state'), imagesDir: 'images' });
    await others.register('example.com/hi:2', app);
    assert.equal(await c.bench.output([], { image: 'example.com/hi:2' }), 'hi from me blue\n');
    assert.equal(await others.unregister('example.com/hi:2'), true);
    assert.equal(await c.bench.runtime.imageStatus('example.com/hi:2', c.bench.signal), undefined);
    const { notice } = await c.bench.runtime.pullImage('example.com/hi:1', c.bench.signal);
    assert.equal(notice, 'COPY of its Dockerfile are not carried out');
  });

  caseTest('an unknown image names those that there are', async ({ bench }) => {
    await assert.rejects(bench.runtime.pullImage('nginx:1.27', bench.signal), {
      message:
        'failed to pull and unpack image "docker.io/library/nginx:1.27": the process runtime downloads no images; ' +
        'it has luksa/kubia, luksa/kubia-unhealthy, busybox, alpine, debian, ubuntu, bash, node; ' +
        '"livelet image add NAME DIR" makes an image of a directory, "livelet up --runtime cri" runs those of registries',
    });
  });
}

function restartTests(open: OpenProcessRuntime): void {
  reopen = async (opened, notices) =>
    open({ directory: opened.directory, onNotice: (notice) => void notices.push(notice) });

  test('a later start knows what ran: ended, with its log and its attempt', { timeout: 30_000 }, async () => {
    const first = await open();
    const bench = new RuntimeBench(first, endlessSignal());
    const sandbox = await bench.sandbox();
    const id = await bench.run(sh('echo up; sleep 600'), { metadata: { name: 'main', attempt: 4 } }, sandbox);
    await bench.said(id, 'up');
    const before = await bench.status(id);
    await first.runtime.close();
    const second = await open({ directory: first.directory });
    try {
      const again = new RuntimeBench(second, endlessSignal());
      const after = await again.status(id);
      assert.deepEqual(
        [after.state, after.exitCode, after.reason, after.metadata, after.logPath, after.startedWallMs],
        ['exited', 137, 'Error', { name: 'main', attempt: 4 }, before.logPath, before.startedWallMs],
      );
      assert.ok((after.finishedWallMs ?? 0) >= (after.startedWallMs ?? Number.NaN));
      assert.equal((await again.runtime.podSandboxStatus(sandbox.id, again.signal)).state, 'notReady');
      assert.equal(logTexts(await again.log(id)), 'up\n');
      await again.runtime.removePodSandbox(sandbox.id, again.signal);
      assert.deepEqual(await again.runtime.listContainers({}, again.signal), []);
    } finally {
      await second.runtime.close();
      await fsp.rm(first.directory, { recursive: true, force: true });
    }
  });

  // Any other error ends the node: it would be a mistake of ours.
  test('what this machine refuses is an error of the one call', { timeout: 30_000 }, async () => {
    const opened = await open();
    try {
      const bench = new RuntimeBench(opened, endlessSignal());
      const sandbox = await bench.sandbox();
      for (const records of ['containers', 'sandboxes']) {
        await fsp.rm(path.join(opened.directory, 'state', records), { recursive: true });
      }
      const refused = { name: 'StatusError', reason: 'InternalError' };
      await assert.rejects(bench.create(sandbox, sh('sleep 60')), refused);
      await assert.rejects(bench.sandbox(), refused);
      await assert.rejects(bench.runtime.stopPodSandbox(sandbox.id, bench.signal), refused);
    } finally {
      await opened.close();
    }
  });

  test('a full disk costs lines of the log, not the container', { timeout: 30_000 }, async () => {
    const warnings: string[] = [];
    const log: Log = { info() {}, warn: (event) => void warnings.push(event), error() {} };
    const opened = await open({ log });
    try {
      const bench = new RuntimeBench(opened, endlessSignal());
      const sandbox = await bench.sandbox();
      const directory = path.join(sandbox.config.logDirectory, 'main');
      await fsp.mkdir(directory, { recursive: true });
      await fsp.symlink('/dev/full', path.join(directory, '0.log'));
      const ended = await bench.ended(await bench.run(sh('echo lost; echo lost; exit 3'), {}, sandbox));
      assert.deepEqual([ended.exitCode, warnings.includes('containerLogLost')], [3, true]);
    } finally {
      await opened.close();
    }
  });
}
