import type { Container, HTTPGetAction, LifecycleHandler, Pod } from '../api/gen/types.ts';
import { ExecTimeoutError } from '../cri/runtime.ts';
import { StatusError, messageOf } from '../base/status-error.ts';
import type { NodeContext } from './node-context.ts';
import { containerReference, podText } from './pod-names.ts';
import { goQuote, joinHostPort } from './probes/go-text.ts';
import { literalPathUrl, parseGoUrl, requestTarget } from './probes/go-url.ts';
import { probeHeaders, wireHeaders } from './probes/http-headers.ts';
import { probeOutputBytesMax } from './probes/probe-outcome.ts';
import { resolveProbePort } from './probes/probe-port.ts';
import type { HttpProbeRequest } from './probes/probe-transport.ts';

const userAgent = 'kube-lifecycle/1.34';
// Upstream has no limit of its own: the grace period of the kill ends a hook, or the deletion of the pod.
const httpHookTimeoutMs = 24 * 3_600_000;
const plainHttpAnswer = 'server gave HTTP response to HTTPS client';

export interface HookTarget {
  readonly pod: Pod;
  readonly container: Container;
  readonly containerId: string;
  readonly podIp: string;
}

/** Runs a postStart or preStop handler; returns why it failed, or `undefined`. Rejects only with `signal.reason`. */
export async function runHook(
  context: Pick<NodeContext, 'clock' | 'runtime' | 'transport' | 'recorder'>,
  target: HookTarget,
  handler: LifecycleHandler,
  signal: AbortSignal,
): Promise<string | undefined> {
  const where = `for Container "${target.container.name}" in Pod "${podText(target.pod)}"`;
  if (handler.exec !== undefined) {
    const command = handler.exec.command ?? [];
    const failure = await runExecHook(context, target.containerId, command, signal);
    return failure && `Exec lifecycle hook ([${command.join(' ')}]) ${where} failed - ${failure}`;
  }
  if (handler.httpGet !== undefined) {
    const { httpGet } = handler;
    const failure = await runHttpHook(context, target, httpGet, signal);
    return failure && `HTTP lifecycle hook (${httpGet.path ?? ''}) ${where} failed - error: ${failure}`;
  }
  if (handler.sleep !== undefined) {
    await context.clock.sleep(handler.sleep.seconds * 1_000, 'kubelet.hook.sleep', signal);
    return undefined;
  }
  return `Cannot run handler ${where}: invalid handler`;
}

async function runExecHook(
  { runtime }: Pick<NodeContext, 'runtime'>,
  containerId: string,
  command: readonly string[],
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    const { stdout, stderr, exitCode } = await runtime.execSync(containerId, command, 0, signal);
    if (exitCode === 0) return undefined;
    const decoder = new TextDecoder();
    const error = `command '${command.join(' ')}' exited with ${exitCode}: ${decoder.decode(stderr)}`;
    return `error: ${error}, message: ${goQuote(decoder.decode(stdout) + decoder.decode(stderr))}`;
  } catch (error) {
    if (signal.aborted) throw error;
    if (!(error instanceof StatusError) && !(error instanceof ExecTimeoutError)) throw error;
    return `error: ${messageOf(error)}, message: ""`;
  }
}

/** Any answer is a success, whatever its status. */
async function runHttpHook(
  { transport, recorder }: Pick<NodeContext, 'transport' | 'recorder'>,
  { pod, container, podIp }: HookTarget,
  action: HTTPGetAction,
  signal: AbortSignal,
): Promise<string | undefined> {
  const resolved = resolveProbePort(action.port, container.ports);
  if ('error' in resolved) return resolved.error;
  const host = action.host === undefined || action.host === '' ? podIp : action.host;
  if (host === '') return 'failed to find networking container';
  const scheme = action.scheme?.toLowerCase() === 'https' ? 'https' : 'http';
  const request = httpHookRequest(action, scheme, host, resolved.port);
  const reply = await transport.httpGet(request, signal);
  if (reply.kind === 'response') return undefined;
  if (scheme === 'https' && reply.failure.detail.includes(plainHttpAnswer)) {
    const retry = await transport.httpGet(httpHookRequest(action, 'http', host, resolved.port), signal);
    if (retry.kind === 'response') {
      const message = 'request to HTTPS lifecycle hook got HTTP response, retry with HTTP succeeded';
      recorder.event(containerReference(pod, container.name), 'Warning', 'LifecycleHTTPFallback', message);
      return undefined;
    }
  }
  return `Get "${scheme}://${joinHostPort(host, resolved.port)}${request.target}": ${reply.failure.detail}`;
}

function httpHookRequest(
  action: HTTPGetAction,
  scheme: 'http' | 'https',
  host: string,
  port: number,
): HttpProbeRequest {
  const path = action.path ?? '/';
  const parsed = parseGoUrl(path);
  const given = action.httpHeaders ?? [];
  const headers = new Map(probeHeaders(given));
  const hasAgent = given.some(({ name }) => name.toLowerCase() === 'user-agent');
  if (!hasAgent) headers.set('User-Agent', [userAgent]);
  return {
    scheme,
    host,
    port,
    target: requestTarget('url' in parsed ? parsed.url : literalPathUrl(path)),
    headers: wireHeaders(headers.get('Host')?.[0] ?? joinHostPort(host, port), headers),
    bodyBytesMax: probeOutputBytesMax,
    timeoutMs: httpHookTimeoutMs,
  };
}
