import { CliError } from '../cli-error.ts';
import { dataDirFlag, dataDirOf } from '../livelet-home.ts';
import { describeLayout, TabWriter } from '../printers/tab-writer.ts';
import { checkedRuntime, runtimeFlag } from '../runtime-flag.ts';
import type { Verb, VerbCall } from '../verb.ts';

export const verb: Verb = {
  usage: 'node check [--runtime process|cri|unix:///SOCKET] [--data-dir DIR]',
  help: `Tell what this machine lacks for a node with this runtime, and how to mend each. Exit code 0: pods can run here (what is
"limited" takes something from them). 1: something that they need is missing.`,
  connects: false,
  flags: [runtimeFlag, dataDirFlag],
  run: runNode,
};

async function runNode({ args, flags, io, signal }: VerbCall): Promise<number> {
  if (args.length !== 1 || args[0] !== 'check') {
    throw new CliError(`node can do one thing: livelet node check (got: ${args.join(' ')})`);
  }
  const runtime = checkedRuntime(flags);
  const directory = dataDirOf(flags, io);
  const { checkNode } = await import('../../main/node-check.ts');
  const checks = await checkNode(runtime, directory, signal);
  const tabs = new TabWriter(describeLayout);
  for (const { state, name, found } of checks) tabs.write(`${state}\t${name}\t${oneLine(found)}\n`);
  io.out(tabs.flush());
  const mends = checks.filter(({ mend }) => mend !== undefined);
  if (mends.length > 0) io.out('\nTo mend:\n');
  for (const { name, mend } of mends) io.out(`  ${name}: ${mend}\n`);
  return checks.some(({ state }) => state === 'missing') ? 1 : 0;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ');
}
