import { isRuntimeChoice, runtimeChoices } from '../main/runtime-choice.ts';
import type { RuntimeChoice } from '../main/runtime-choice.ts';
import { CliError } from './cli-error.ts';
import type { Flag, FlagValues } from './flags.ts';

export const runtimeFlag: Flag = {
  name: 'runtime',
  kind: 'string',
  fallback: 'process',
  help: `What runs the containers: ${runtimeChoices}`,
};

export function checkedRuntime(flags: FlagValues): RuntimeChoice {
  const runtime = flags.string('runtime');
  if (isRuntimeChoice(runtime)) return runtime;
  throw new CliError(`unknown runtime ${JSON.stringify(runtime)}: it can be ${runtimeChoices}`);
}
