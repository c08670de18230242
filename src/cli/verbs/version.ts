import { bodyText, parseJson } from '../../client/answer.ts';
import { CliError } from '../cli-error.ts';
import { packageVersion } from '../../main/package-version.ts';
import { toJsonTwo } from '../printers/json-printer.ts';
import { toYaml } from '../printers/yaml-printer.ts';
import { textOf } from '../resource-types.ts';
import type { Verb, VerbCall } from '../verb.ts';

export const verb: Verb = {
  usage: 'version [--client] [-o yaml|json]',
  help: 'Print the versions of this client and of the server.',
  connects: true,
  flags: [
    { name: 'client', kind: 'bool', help: 'Only the version of this client (no server is asked).' },
    { name: 'output', short: 'o', kind: 'string', help: "One of 'yaml' or 'json'." },
  ],
  run: runVersion,
};

async function runVersion({ args, flags, io, signal, connect }: VerbCall): Promise<number> {
  if (args.length > 0) throw new CliError(`extra arguments: [${args.join(' ')}]`);
  const output = flags.string('output');
  if (!['', 'yaml', 'json'].includes(output)) throw new CliError("--output must be 'yaml' or 'json'");
  const clientVersion = {
    gitVersion: `v${packageVersion()}`,
    platform: `${process.platform}/${process.arch === 'x64' ? 'amd64' : process.arch}`,
    nodeVersion: process.version,
  };
  let serverVersion: unknown;
  let failure: unknown;
  if (!flags.bool('client')) {
    try {
      const response = await connect().send('GET', '/version', { headers: { accept: 'application/json' } }, signal);
      serverVersion = parseJson(await bodyText(response.body));
    } catch (error) {
      failure = error; // the client's version is printed all the same, as kubectl does
    }
  }
  const versions = serverVersion === undefined ? { clientVersion } : { clientVersion, serverVersion };
  if (output === 'json') io.out(toJsonTwo(versions));
  else if (output === 'yaml') io.out(`${toYaml(versions)}\n`);
  else {
    io.out(`Client Version: ${clientVersion.gitVersion}\n`);
    if (serverVersion !== undefined) io.out(`Server Version: ${textOf(serverVersion, 'gitVersion')}\n`);
  }
  if (failure !== undefined) throw failure;
  return 0;
}
