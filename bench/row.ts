/** One line of the table that `npm run bench` prints. */
export interface BenchRow {
  readonly name: string;
  readonly unit: string;
  readonly ours: number;
  /** What the parts below cost by themselves, measured in the same run. */
  readonly floor?: number;
  readonly floorName?: string;
  /** Another program that does the same, measured in the same run where it is installed. */
  readonly peer?: number;
  readonly peerName?: string;
  /** Kubernetes 1.34.2, all of it on one machine of this size: recorded once, not in this run. */
  readonly recorded?: number;
  /** The figure to reach (docs/architecture.md), for machines like the one that it was set on. */
  readonly target: number;
  readonly better: 'lower' | 'higher';
}
