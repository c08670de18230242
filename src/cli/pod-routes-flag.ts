import type { Flag } from './flags.ts';

export const podRoutesFlag: Flag = {
  name: 'pod-routes',
  kind: 'bool',
  fallback: true,
  help: 'Keep routes to the pods of other nodes on the same network, and forward to its own (as root, with processes).',
};
