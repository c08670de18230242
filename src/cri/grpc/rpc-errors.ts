/** Failures of calls, in the words of upstream's client, which end up in events. */
import { Code, ConnectError } from '@connectrpc/connect';
import { StatusError, messageOf, type StatusReason } from '../../base/status-error.ts';

interface CodeMeaning {
  /** As grpc-go prints it. */
  readonly name: string;
  readonly reason: StatusReason;
}

const meanings: Readonly<Record<Code, CodeMeaning>> = {
  [Code.Canceled]: { name: 'Canceled', reason: 'ServiceUnavailable' },
  [Code.Unknown]: { name: 'Unknown', reason: 'InternalError' },
  [Code.InvalidArgument]: { name: 'InvalidArgument', reason: 'BadRequest' },
  [Code.DeadlineExceeded]: { name: 'DeadlineExceeded', reason: 'Timeout' },
  [Code.NotFound]: { name: 'NotFound', reason: 'NotFound' },
  [Code.AlreadyExists]: { name: 'AlreadyExists', reason: 'AlreadyExists' },
  [Code.PermissionDenied]: { name: 'PermissionDenied', reason: 'Forbidden' },
  [Code.ResourceExhausted]: { name: 'ResourceExhausted', reason: 'TooManyRequests' },
  [Code.FailedPrecondition]: { name: 'FailedPrecondition', reason: 'Conflict' },
  [Code.Aborted]: { name: 'Aborted', reason: 'Conflict' },
  [Code.OutOfRange]: { name: 'OutOfRange', reason: 'BadRequest' },
  [Code.Unimplemented]: { name: 'Unimplemented', reason: 'MethodNotAllowed' },
  [Code.Internal]: { name: 'Internal', reason: 'InternalError' },
  [Code.Unavailable]: { name: 'Unavailable', reason: 'ServiceUnavailable' },
  [Code.DataLoss]: { name: 'DataLoss', reason: 'InternalError' },
  [Code.Unauthenticated]: { name: 'Unauthenticated', reason: 'Unauthorized' },
};

/** A call that the runtime answered with an error, or did not answer. Its message is the whole `rpc error: ...`. */
export class RpcError extends StatusError {
  readonly code: Code;
  /** Without the code. */
  readonly description: string;

  constructor(code: Code, description: string, options?: { cause?: unknown }) {
    const { name, reason } = meanings[code];
    super(reason, `rpc error: code = ${name} desc = ${description}`, options);
    this.code = code;
    this.description = description;
  }
}

const errnoTexts: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  ECONNREFUSED: 'connection refused',
  EACCES: 'permission denied',
  ENOTSOCK: 'socket operation on non-socket',
  ECONNRESET: 'connection reset by peer',
  EAGAIN: 'resource temporarily unavailable',
};

/** How the library words it when a stream breaks off. Of a runtime, only while the connection is up. */
const brokenOff: ReadonlySet<Code> = new Set([Code.Canceled, Code.Aborted, Code.Internal]);

/** What the library threw for a call over `socketPath`; `isUp`: the connection is there still. */
export function rpcErrorOf(error: unknown, socketPath: string, isUp: boolean): RpcError {
  const { code, syscall } = systemErrorOf(error);
  if (syscall === 'connect') {
    const why = errnoTexts[code] ?? code;
    const dial = `transport: Error while dialing: dial unix ${socketPath}: connect: ${why}`;
    return new RpcError(Code.Unavailable, `connection error: desc = "${dial}"`, { cause: error });
  }
  const known = error instanceof ConnectError ? error : undefined;
  if (code !== '' || (!isUp && (known === undefined || brokenOff.has(known.code)))) {
    return new RpcError(Code.Unavailable, 'error reading from server: EOF', { cause: error });
  }
  return new RpcError(known?.code ?? Code.Internal, known?.rawMessage ?? messageOf(error), { cause: error });
}

export function deadlineExceeded(): RpcError {
  return new RpcError(Code.DeadlineExceeded, 'context deadline exceeded');
}

/** Of Node.js, wherever in the chain of causes it is; empty: none. */
function systemErrorOf(error: unknown): { readonly code: string; readonly syscall: string } {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && typeof cause.code === 'string') {
      return { code: cause.code, syscall: 'syscall' in cause ? String(cause.syscall) : '' };
    }
  }
  return { code: '', syscall: '' };
}
