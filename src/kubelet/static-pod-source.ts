/** One file that should describe a pod. */
export interface Manifest {
  /** Absolute: part of the pod's identity. */
  readonly path: string;
  /** What is in it, parsed, or why that cannot be told. */
  readonly content: { readonly value: unknown } | { readonly problem: string };
}

/** Where a node finds the pods that it runs without being told to by an API server. Upstream: `staticPodPath`. */
export interface StaticPodSource {
  /** All that is there now. `StatusError` if that cannot be told. */
  read(signal: AbortSignal): Promise<readonly Manifest[]>;
  /**
   * Calls `onChange` when something may have changed, until `signal` aborts; then it resolves. May miss some: what is
   * there is read every 20 s anyway.
   */
  watch(onChange: () => void, signal: AbortSignal): Promise<void>;
}
