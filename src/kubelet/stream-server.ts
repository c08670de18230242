import type { ByteStream } from '../base/byte-stream.ts';
import type { HttpRequest, HttpResponse } from '../base/http.ts';
import type { RemoteStreams } from '../cri/runtime.ts';

/** What a client asks of `exec` or `attach`. Upstream: `PodExecOptions`. */
export interface RemoteCommandOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  /** Without effect with `tty`. */
  readonly stderr: boolean;
  readonly tty: boolean;
}

/**
 * The wire protocols of `exec`, `attach` and `port-forward`: SPDY/3.1 and WebSocket with upstream's subprotocols. The
 * adapter is `streaming/`. Both answer with a `HttpResponse` that takes the connection over, or says (400) why not.
 */
export interface StreamServer {
  /**
   * `run` gets the streams once the client has opened them all; what it resolves with is the exit code, what it fails
   * with (a `StatusError`) is told to the client as upstream's kubelet does. Its signal aborts when the client has gone.
   */
  remoteCommand(
    request: HttpRequest,
    options: RemoteCommandOptions,
    run: (streams: RemoteStreams, signal: AbortSignal) => Promise<number>,
  ): HttpResponse;
  /** `forward` is called for every connection that the client wants joined to a port; a failure is told on that one. */
  portForward(
    request: HttpRequest,
    forward: (port: number, stream: ByteStream, signal: AbortSignal) => Promise<void>,
  ): HttpResponse;
}
