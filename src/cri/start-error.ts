/** Texts of failures as containerd with runc words them: events and statuses show them. */

export type CommandFailure =
  | { readonly kind: 'notFound'; readonly word: string }
  | { readonly kind: 'noSuchFile'; readonly word: string }
  | { readonly kind: 'notExecutable'; readonly word: string }
  | { readonly kind: 'workingDir'; readonly path: string }
  | { readonly kind: 'setup'; readonly text: string };

function reasonOf(failure: CommandFailure): string {
  switch (failure.kind) {
    case 'notFound':
      return `exec: ${quote(failure.word)}: executable file not found in $PATH`;
    case 'noSuchFile':
      return `exec: ${quote(failure.word)}: stat ${failure.word}: no such file or directory`;
    case 'notExecutable':
      return `exec: ${quote(failure.word)}: permission denied`;
    case 'workingDir':
      return `chdir to cwd (${quote(failure.path)}) set in config.json failed: no such file or directory`;
    default:
      return failure.text;
  }
}

/** Why a container did not start. */
export function startErrorText(failure: CommandFailure): string {
  return (
    'failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: ' +
    `unable to start container process: ${reasonOf(failure)}: unknown`
  );
}

/** Why a command could not be executed in a running container. */
export function execErrorText(execId: string, failure: CommandFailure): string {
  return (
    `failed to exec in container: failed to start exec ${quote(execId)}: OCI runtime exec failed: exec failed: ` +
    `unable to start container process: ${reasonOf(failure)}: unknown`
  );
}

function quote(text: string): string {
  return JSON.stringify(text);
}
