import { CliError } from '../cli-error.ts';
import { checkTerminal, containerOf, namedPod, runRemoteCommand } from '../remote-command.ts';
import type { Verb, VerbCall } from '../verb.ts';

export const verb: Verb = {
  usage: 'attach (POD | pod/NAME) [-c CONTAINER] [flags]',
  help: 'Attach to a process that is already running inside a container.',
  connects: true,
  flags: [
    { name: 'container', short: 'c', kind: 'string', help: 'The container. Default: the first one of the pod.' },
    { name: 'quiet', short: 'q', kind: 'bool', help: 'Only print output of the container.' },
    { name: 'stdin', short: 'i', kind: 'bool', help: 'Pass stdin to the container.' },
    { name: 'tty', short: 't', kind: 'bool', help: 'Stdin is a terminal.' },
  ],
  run: runAttach,
};

const recorded =
  'All commands and output from this session will be recorded in container logs, ' +
  'including credentials and sensitive information passed through the command prompt.\n';

async function runAttach({ args, flags, io, signal, connect }: VerbCall): Promise<number> {
  const [target, ...more] = args;
  const seeHelp = "\nSee 'livelet attach -h' for help and examples";
  if (target === undefined) throw new CliError(`at least 1 argument is required for attach${seeHelp}`);
  if (more.length > 0) throw new CliError(`only one POD or TYPE/NAME is allowed${seeHelp}`);
  const connection = connect();
  const pod = await namedPod(target, connection, io, signal);
  const phase = pod.status?.phase ?? '';
  if (phase === 'Succeeded' || phase === 'Failed') {
    throw new CliError(`cannot attach a container in a completed pod; current phase is ${phase}`);
  }
  const [stdin, isQuiet] = [flags.bool('stdin'), flags.bool('quiet')];
  const container = containerOf(pod, flags.string('container'), isQuiet, io);
  if (!isQuiet) io.err(recorded);
  const tty = flags.bool('tty') && container.tty === true;
  if (flags.bool('tty') && !tty && !isQuiet) {
    io.err(`error: Unable to use a TTY - container ${container.name} did not allocate one\n`);
  }
  checkTerminal(tty, stdin, isQuiet, io);
  if (!isQuiet) io.err("If you don't see a command prompt, try pressing enter.\n");
  const remote = { subresource: 'attach', container: container.name, command: [], stdin, tty } as const;
  return await runRemoteCommand(pod, remote, connection, io, signal);
}
