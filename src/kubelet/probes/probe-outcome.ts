/** What came of one attempt; section 1.6 of the behaviour sheet says which events and counters follow from it. */
export type ProbeOutcome =
  | { readonly kind: 'success' | 'warning' | 'failure'; readonly output: string }
  /** The attempt could not be made, or its answer not be read: an event, and nothing is counted. */
  | { readonly kind: 'error'; readonly state: 'unknown' | 'failure'; readonly message: string };

/** Of an HTTP body or of a command's output, at most so much is kept. */
export const probeOutputBytesMax = 10 * 1_024;

/** The version in `User-Agent: kube-probe/1.34`. */
export const kubeProbeUserAgent = 'kube-probe/1.34';

export function unknownError(message: string): ProbeOutcome {
  return { kind: 'error', state: 'unknown', message };
}
