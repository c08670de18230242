/** How long the runtime may take for an answer, in ms. Upstream: `runtimeRequestTimeout` and its multiples. */

export const callMs = 120_000;
/** Of RunPodSandbox: networks may be slow. */
export const runSandboxMs = 240_000;
/** Of PullImage. Upstream has none; the runtime gives up on its own when nothing comes any more. */
export const pullMs = 3_600_000;
