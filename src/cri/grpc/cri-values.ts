/** The values of CRI v1's enumerations, by the names that the contract has for them. */
import type { ContainerEventKind, ContainerRuntimeState, Mount, NamespaceMode, PortProtocol } from '../runtime.ts';

export const protocols = { TCP: 0, UDP: 1, SCTP: 2 } as const satisfies Record<PortProtocol, number>;

export const namespaceModes = { pod: 0, container: 1, node: 2 } as const satisfies Record<NamespaceMode, number>;

/** The PID namespace of another container. */
export const targetPidMode = 3;

export const propagations = {
  private: 0,
  hostToContainer: 1,
  bidirectional: 2,
} as const satisfies Record<NonNullable<Mount['propagation']>, number>;

export const profileTypes = { RuntimeDefault: 0, Unconfined: 1, Localhost: 2 } as const;

export const sandboxReady = 0;

/** By number. */
export const containerStates: readonly ContainerRuntimeState[] = ['created', 'running', 'exited', 'unknown'];

/** By number. */
export const containerEventKinds: readonly ContainerEventKind[] = ['created', 'started', 'stopped', 'deleted'];

/** In the order of CRI's own numbers, which start at 1. */
const signalNames = (
  'ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP ' +
  'TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN ' +
  'RTMIN+1 RTMIN+2 RTMIN+3 RTMIN+4 RTMIN+5 RTMIN+6 RTMIN+7 RTMIN+8 RTMIN+9 RTMIN+10 RTMIN+11 RTMIN+12 RTMIN+13 ' +
  'RTMIN+14 RTMIN+15 RTMAX-14 RTMAX-13 RTMAX-12 RTMAX-11 RTMAX-10 RTMAX-9 RTMAX-8 RTMAX-7 RTMAX-6 RTMAX-5 RTMAX-4 ' +
  'RTMAX-3 RTMAX-2 RTMAX-1 RTMAX'
).split(' ');

/** Of `SIGUSR1`; 0, what the image says, for none. `undefined`: CRI does not know it. */
export function stopSignalValue(name: string | undefined): number | undefined {
  if (name === undefined) return 0;
  const index = name.startsWith('SIG') ? signalNames.indexOf(name.slice(3)) : -1;
  return index < 0 ? undefined : index + 1;
}
