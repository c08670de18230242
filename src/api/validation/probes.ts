import { forbidden, invalid, notSupported, required } from '../field-error.ts';
import type {
  ExecAction,
  GRPCAction,
  HTTPGetAction,
  Lifecycle,
  LifecycleHandler,
  Probe,
  SleepAction,
  TCPSocketAction,
} from '../gen/types.ts';
import { httpHeaderNameProblems, portNameProblems, portNumberProblems } from '../names.ts';
import { addInvalid, checkNotNegative, type Errors } from './metadata.ts';

const schemes = ['HTTP', 'HTTPS'] as const;

interface Handler {
  readonly exec?: ExecAction;
  readonly httpGet?: HTTPGetAction;
  readonly tcpSocket?: TCPSocketAction;
  readonly grpc?: GRPCAction;
  readonly sleep?: SleepAction;
}

/** The probes and hooks of a regular container or sidecar. `graceSeconds` is the pod's. */
export function checkProbesAndHooks(
  errors: Errors,
  path: string,
  container: {
    readonly lifecycle?: Lifecycle;
    readonly livenessProbe?: Probe;
    readonly readinessProbe?: Probe;
    readonly startupProbe?: Probe;
  },
  graceSeconds: number | undefined,
): void {
  const { lifecycle, livenessProbe, readinessProbe, startupProbe } = container;
  if (lifecycle !== undefined) checkLifecycle(errors, `${path}.lifecycle`, lifecycle, graceSeconds);
  if (livenessProbe !== undefined) checkKillingProbe(errors, `${path}.livenessProbe`, livenessProbe);
  if (readinessProbe !== undefined) checkReadinessProbe(errors, `${path}.readinessProbe`, readinessProbe);
  if (startupProbe !== undefined) checkKillingProbe(errors, `${path}.startupProbe`, startupProbe);
}

function checkKillingProbe(errors: Errors, path: string, probe: Probe): void {
  checkProbe(errors, path, probe);
  if (probe.successThreshold !== 1) {
    errors.push(invalid(`${path}.successThreshold`, probe.successThreshold ?? 0, 'must be 1'));
  }
}

function checkReadinessProbe(errors: Errors, path: string, probe: Probe): void {
  checkProbe(errors, path, probe);
  const { terminationGracePeriodSeconds: seconds } = probe;
  if (seconds === undefined) return;
  errors.push(invalid(`${path}.terminationGracePeriodSeconds`, seconds, 'must not be set for readinessProbes'));
}

function checkProbe(errors: Errors, path: string, probe: Probe): void {
  checkHandler(errors, path, probe, undefined);
  checkNotNegative(errors, `${path}.initialDelaySeconds`, probe.initialDelaySeconds);
  checkNotNegative(errors, `${path}.timeoutSeconds`, probe.timeoutSeconds);
  checkNotNegative(errors, `${path}.periodSeconds`, probe.periodSeconds);
  checkNotNegative(errors, `${path}.successThreshold`, probe.successThreshold);
  checkNotNegative(errors, `${path}.failureThreshold`, probe.failureThreshold);
  const { terminationGracePeriodSeconds: seconds } = probe;
  if (seconds === undefined || seconds > 0) return;
  errors.push(invalid(`${path}.terminationGracePeriodSeconds`, seconds, 'must be greater than 0'));
}

export function checkLifecycle(
  errors: Errors,
  path: string,
  lifecycle: Lifecycle,
  graceSeconds: number | undefined,
): void {
  const check = (name: string, handler: LifecycleHandler | undefined): void => {
    if (handler !== undefined) checkHandler(errors, `${path}.${name}`, handler, graceSeconds);
  };
  check('postStart', lifecycle.postStart);
  check('preStop', lifecycle.preStop);
}

/** Exactly one way to ask; of several the later ones are flagged, and not looked into. */
function checkHandler(errors: Errors, path: string, handler: Handler, graceSeconds: number | undefined): void {
  let found = 0;
  const check = <T>(name: string, action: T | undefined, look: (action: T, path: string) => void): void => {
    if (action === undefined) return;
    found += 1;
    if (found > 1) errors.push(forbidden(`${path}.${name}`, 'may not specify more than 1 handler type'));
    else look(action, `${path}.${name}`);
  };
  check('exec', handler.exec, (action, at) => {
    if ((action.command ?? []).length === 0) errors.push(required(`${at}.command`));
  });
  check('httpGet', handler.httpGet, (action, at) => checkHttpGet(errors, at, action));
  check('tcpSocket', handler.tcpSocket, (action, at) => checkPort(errors, `${at}.port`, action.port));
  check('grpc', handler.grpc, (action, at) => checkPort(errors, `${at}.port`, action.port));
  check('sleep', handler.sleep, (action, at) => {
    if (graceSeconds === undefined || (action.seconds >= 0 && action.seconds <= graceSeconds)) return;
    const text = `must be non-negative and less than terminationGracePeriodSeconds (${graceSeconds})`;
    errors.push(invalid(at, action.seconds, text));
  });
  if (found === 0) errors.push(required(path, 'must specify a handler type'));
}

function checkHttpGet(errors: Errors, path: string, action: HTTPGetAction): void {
  if ((action.path ?? '') === '') errors.push(required(`${path}.path`));
  checkPort(errors, `${path}.port`, action.port);
  const scheme = action.scheme ?? '';
  if (scheme !== 'HTTP' && scheme !== 'HTTPS') errors.push(notSupported(`${path}.scheme`, scheme, schemes));
  for (const header of action.httpHeaders ?? []) {
    addInvalid(errors, `${path}.httpHeaders`, header.name, httpHeaderNameProblems(header.name));
  }
}

function checkPort(errors: Errors, path: string, port: number | string): void {
  addInvalid(errors, path, port, typeof port === 'number' ? portNumberProblems(port) : portNameProblems(port));
}
