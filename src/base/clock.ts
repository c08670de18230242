/** The only source of time. Production wires `HostClock`, tests and `livelet simulate` wire `VirtualClock`. */
export interface Clock {
  /**
   * Milliseconds since an arbitrary origin, never decreasing, may have a fraction. For durations, backoff, deadlines.
   */
  monoMs(): number;
  /** Milliseconds since 1970, may jump. Only for timestamps that a person or another machine will read. */
  wallMs(): number;
  /** Waits `delayMs` (at least 0); rejects with `signal.reason` if aborted first. `name` labels the timer in traces. */
  sleep(delayMs: number, name: string, signal: AbortSignal): Promise<void>;
}
