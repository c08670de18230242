import { CliError } from '../cli-error.ts';
import { checkTerminal, containerOf, namedPod, runRemoteCommand } from '../remote-command.ts';
import type { Verb, VerbCall } from '../verb.ts';

export const verb: Verb = {
  usage: 'exec (POD | pod/NAME) [-c CONTAINER] [flags] -- COMMAND [args...]',
  help: 'Execute a command in a container. Its exit code is the exit code of this program.',
  connects: true,
  flags: [
    { name: 'container', short: 'c', kind: 'string', help: 'The container. Default: the first one of the pod.' },
    { name: 'quiet', short: 'q', kind: 'bool', help: 'Only print output of the command.' },
    { name: 'stdin', short: 'i', kind: 'bool', help: 'Pass stdin to the command.' },
    { name: 'tty', short: 't', kind: 'bool', help: 'Stdin is a terminal.' },
  ],
  run: runExec,
};

const seeHelp = "\nSee 'livelet exec -h' for help and examples";

async function runExec({ args, argsBeforeDash, flags, io, signal, connect }: VerbCall): Promise<number> {
  const [target, ...command] = args;
  if (target === undefined || argsBeforeDash === 0) throw new CliError(`pod or type/name must be specified${seeHelp}`);
  if (command.length > 0 && argsBeforeDash !== 1) {
    const instead = 'exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead';
    throw new CliError(instead + seeHelp);
  }
  if (command.length === 0) throw new CliError('you must specify at least one command for the container');
  const connection = connect();
  const pod = await namedPod(target, connection, io, signal);
  const phase = pod.status?.phase ?? '';
  if (phase === 'Succeeded' || phase === 'Failed') {
    throw new CliError(`cannot exec into a container in a completed pod; current phase is ${phase}`);
  }
  const [stdin, tty, isQuiet] = [flags.bool('stdin'), flags.bool('tty'), flags.bool('quiet')];
  const { name: container } = containerOf(pod, flags.string('container'), isQuiet, io);
  checkTerminal(tty, stdin, isQuiet, io);
  return await runRemoteCommand(pod, { subresource: 'exec', container, command, stdin, tty }, connection, io, signal);
}
