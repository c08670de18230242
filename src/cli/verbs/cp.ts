import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { goQuote } from '../../api/go-text.ts';
import type { ApiConnection } from '../api-connection.ts';
import { CliError } from '../cli-error.ts';
import type { CliIo } from '../cli-io.ts';
import { containerOf, namedPod, runRemoteCommand } from '../remote-command.ts';
import type { Verb, VerbCall } from '../verb.ts';

export const verb: Verb = {
  usage: 'cp SRC DEST [-c CONTAINER], where one of both is [NAMESPACE/]POD:PATH',
  help:
    'Copy files and directories to and from containers. Both this computer and the image of the container must have ' +
    "the 'tar' program.",
  connects: true,
  flags: [
    { name: 'container', short: 'c', kind: 'string', help: 'The container. Default: the first one of the pod.' },
    { name: 'no-preserve', kind: 'bool', help: 'The owner and the permissions are not kept in the container.' },
  ],
  run: runCp,
};

const specHelp =
  "expected 'cp <file-spec-src> <file-spec-dest> [-c container]'.\n<file-spec> is:\n" +
  "[namespace/]pod-name:/file/path for a remote file\n/file/path for a local file\nSee 'livelet cp -h' for help and examples";

type FileSpec =
  | { readonly kind: 'local'; readonly file: string }
  | { readonly kind: 'remote'; readonly namespace: string | undefined; readonly pod: string; readonly file: string };

function parseSpec(text: string): FileSpec {
  const colon = text.indexOf(':');
  if (colon < 0) return { kind: 'local', file: text };
  const place = text.slice(0, colon).split('/');
  const [pod = '', namespace] = place.toReversed();
  if (pod === '' || place.length > 2) {
    throw new CliError('filespec must match the canonical format: [[namespace/]pod:]file/path');
  }
  return { kind: 'remote', namespace, pod, file: text.slice(colon + 1) };
}

async function runCp(call: VerbCall): Promise<number> {
  const { args, connect } = call;
  if (args.length !== 2) throw new CliError(specHelp);
  const [source, target] = args.map(parseSpec);
  if (source === undefined || target === undefined) throw new CliError(specHelp);
  if (source.kind === target.kind) {
    throw new CliError(
      `one of src or dest must be a ${source.kind === 'local' ? 'remote' : 'local'} file specification`,
    );
  }
  if (source.file === '' || target.file === '') throw new CliError('filepath can not be empty');
  const connection = connect();
  if (source.kind === 'remote' && target.kind === 'local') {
    await download(await openRemote(source, call, connection), source.file, target.file, call.io);
  } else if (source.kind === 'local' && target.kind === 'remote') {
    if (!fs.existsSync(source.file)) throw new CliError(`${source.file} doesn't exist in local filesystem`);
    const remote = await openRemote(target, call, connection);
    await upload(remote, source.file, target.file, call.flags.bool('no-preserve'));
  }
  return 0;
}

/** Runs a program in the container; what it prints on stderr is shown. */
interface RemoteFiles {
  run(command: readonly string[], streams: Partial<Pick<CliIo, 'stdin' | 'write' | 'err'>>): Promise<number>;
}

async function openRemote(
  spec: FileSpec & { readonly kind: 'remote' },
  { flags, io, signal }: VerbCall,
  opened: ApiConnection,
): Promise<RemoteFiles> {
  const connection = spec.namespace === undefined ? opened : { ...opened, namespace: spec.namespace };
  const pod = await namedPod(spec.pod, connection, io, signal);
  const { name: container } = containerOf(pod, flags.string('container'), false, io);
  return {
    run(command, streams) {
      const remote = {
        subresource: 'exec',
        container,
        command,
        stdin: streams.stdin !== undefined,
        tty: false,
      } as const;
      return runRemoteCommand(pod, remote, connection, { ...io, write: () => Promise.resolve(), ...streams }, signal);
    },
  };
}

/** A tar program of this computer, started. */
function startTar(args: readonly string[]): ChildProcess & { readonly done: Promise<void> } {
  const child = spawn('tar', args, { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.on('error', () => {}); // it ended first: `done` tells
  const done = new Promise<void>((resolve, reject) => {
    child.once('error', (error) => reject(new CliError(`cannot run tar: ${error.message}`, { cause: error })));
    child.once('close', (code) => {
      if (code === 0) resolve();
      else reject(new CliError(`tar ended with exit code ${code}`));
    });
  });
  done.catch(() => {}); // also awaited, when the other end is through
  return Object.assign(child, { done });
}

async function upload(remote: RemoteFiles, source: string, target: string, noPreserve: boolean): Promise<void> {
  const keep = noPreserve ? ['--no-same-permissions', '--no-same-owner'] : [];
  const isInto = (await remote.run(['test', '-d', target], { err: () => {} })) === 0;
  const wanted = isInto ? path.posix.join(target, path.basename(path.resolve(source))) : target;
  const isDirectory = fs.statSync(source).isDirectory();
  const work = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-cp-'));
  try {
    let from = source;
    let into = wanted;
    let entry = '.';
    if (isDirectory) {
      await checked(remote.run(['mkdir', '-p', wanted], {}));
    } else {
      // Its name in the container may be another one, and not every tar can rename.
      entry = path.posix.basename(wanted);
      into = path.posix.dirname(wanted);
      from = work;
      fs.copyFileSync(source, path.join(work, entry));
    }
    const tar = startTar(['-cf', '-', '-C', from, `./${entry}`]);
    if (tar.stdout === null) throw new CliError('tar has no output');
    await checked(remote.run(['tar', '-xmf', '-', ...keep, '-C', into], { stdin: tar.stdout }));
    await tar.done;
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

async function download(remote: RemoteFiles, source: string, target: string, io: CliIo): Promise<void> {
  const [directory, name] = [path.posix.dirname(source), path.posix.basename(source)];
  const work = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-cp-'));
  try {
    const tar = startTar(['-xf', '-', '--no-same-owner', '-C', work]);
    const { stdin } = tar;
    if (stdin === null) throw new CliError('tar has no input');
    const write = async (bytes: Uint8Array): Promise<void> => {
      if (!stdin.write(bytes)) await Promise.race([once(stdin, 'drain'), tar.done.catch(() => {})]);
    };
    try {
      await checked(remote.run(['tar', 'cf', '-', '-C', directory, name], { write }));
    } finally {
      stdin.end();
    }
    await tar.done;
    const found = path.join(work, name);
    if (fs.lstatSync(found).isSymbolicLink()) throw new CliError(`${source} is a symbolic link`);
    const isIntoDirectory =
      !fs.statSync(found).isDirectory() && fs.existsSync(target) && fs.statSync(target).isDirectory();
    fs.mkdirSync(path.dirname(path.resolve(target)), { recursive: true });
    fs.cpSync(found, isIntoDirectory ? path.join(target, name) : target, {
      recursive: true,
      // As kubectl: what a link of the container means on this computer is anybody's guess.
      filter(from) {
        const isLink = fs.lstatSync(from).isSymbolicLink();
        if (isLink) io.err(`warning: skipping symlink: ${goQuote(path.relative(work, from))}\n`);
        return !isLink;
      },
    });
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

async function checked(running: Promise<number>): Promise<void> {
  const exitCode = await running;
  if (exitCode !== 0) throw new CliError('the copy failed in the container', { exitCode: 1 });
}
