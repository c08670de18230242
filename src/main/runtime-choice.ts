/**
 * What runs the containers. `process`: local processes. `cri`: the first of the usual sockets of containerd and CRI-O
 * that is there. `unix:///...`: the CRI v1 runtime at this socket.
 */
export type RuntimeChoice = 'process' | 'cri' | `unix://${string}`;

/** For people. */
export const runtimeChoices = 'process, cri (the containerd or CRI-O of this machine) or unix:///SOCKET.';

export function isRuntimeChoice(text: string): text is RuntimeChoice {
  return text === 'process' || text === 'cri' || /^unix:\/\/\/./.test(text);
}
