import type { EnvVar } from '../../api/gen/types.ts';
import { InvariantError, messageOf } from '../../base/status-error.ts';
import { type ContainerRuntime, ExecTimeoutError } from '../../cri/runtime.ts';
import { goQuote, goSeconds } from './go-text.ts';
import { type ProbeOutcome, probeOutputBytesMax, unknownError } from './probe-outcome.ts';

export interface ExecProbeTarget {
  /** The runtime's own id, without its scheme. */
  readonly containerId: string;
  /** Already expanded. */
  readonly command: readonly string[];
  /** Whole seconds: it is printed. */
  readonly timeoutSeconds: number;
}

/** One attempt: exit code 0 is success, any other is failure, and what cannot be run at all is an error. */
export async function runExecProbe(
  target: ExecProbeTarget,
  runtime: Pick<ContainerRuntime, 'execSync'>,
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  const { containerId, command, timeoutSeconds } = target;
  try {
    const result = await runtime.execSync(containerId, command, timeoutSeconds * 1_000, signal);
    const output = firstBytes(result.stdout, result.stderr);
    return { kind: result.exitCode === 0 ? 'success' : 'failure', output };
  } catch (error) {
    if (signal.aborted || error instanceof InvariantError) throw error;
    if (!(error instanceof ExecTimeoutError)) return unknownError(messageOf(error));
    const words = goQuote(command.join(' '));
    return { kind: 'failure', output: `command timed out: ${words} timed out after ${goSeconds(timeoutSeconds)}` };
  }
}

const decoder = new TextDecoder();

/** Stdout and then stderr, cut after 10 KiB in all. */
function firstBytes(stdout: Uint8Array, stderr: Uint8Array): string {
  if (stdout.length === 0 && stderr.length === 0) return '';
  const kept = new Uint8Array(Math.min(probeOutputBytesMax, stdout.length + stderr.length));
  kept.set(stdout.subarray(0, kept.length));
  if (stdout.length < kept.length) kept.set(stderr.subarray(0, kept.length - stdout.length), stdout.length);
  return decoder.decode(kept);
}

/**
 * `$(NAME)` in the words of a probe's command, from the container's own `env` list only: a variable that takes its value
 * from elsewhere (`valueFrom`) counts as empty there, as upstream has it. Unknown names stay as written; `$$` is a `$`.
 */
export function expandProbeCommand(command: readonly string[], env: readonly EnvVar[]): readonly string[] {
  const values = new Map(env.map(({ name, value }) => [name, value ?? '']));
  return command.map((word) =>
    word.replace(/\$(?:\$|\(([^)]*)\))/gs, (found, name: string | undefined) => {
      if (name === undefined) return '$';
      return values.get(name) ?? found;
    }),
  );
}
