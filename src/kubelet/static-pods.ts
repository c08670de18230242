import type { Pod } from '../api/gen/types.ts';
import { StatusError, messageOf } from '../base/status-error.ts';
import { TaskScope } from '../base/task-scope.ts';
import { Alarm } from '../base/alarm.ts';
import type { NodeContext } from './node-context.ts';
import { nodeReference } from './node-registration.ts';
import { podKeyOf, podUidOf } from './pod-names.ts';
import { staticPodOf } from './static-pod.ts';
import type { Manifest, StaticPodSource } from './static-pod-source.ts';

const readMs = 20_000; // upstream: fileCheckFrequency
const settleMs = 100; // a file that changes may be half written
const manifestsMax = 500; // more than a node has room for

type StaticPodsContext = Pick<NodeContext, 'clock' | 'log' | 'recorder' | 'nodeName'>;

/**
 * The pods that this node is to run, from its manifests. A manifest that cannot be read (any more) is told once, in the
 * log and as an event of the node, and what it said before goes on to count. Of two with one pod's name, the one that
 * had it first counts.
 */
export class StaticPods {
  readonly #context: StaticPodsContext;
  readonly #source: StaticPodSource;
  readonly #onChange: () => void;
  readonly #alarm: Alarm;
  #podByPath: ReadonlyMap<string, Pod> = new Map(); // with no name twice
  #problemByPath: ReadonlyMap<string, string> = new Map(); // that were told
  #hasRead = false;

  /** `onChange` is called after the first read, and when other pods are wanted than before. It must not throw. */
  constructor(context: StaticPodsContext, source: StaticPodSource, onChange: () => void) {
    this.#context = context;
    this.#source = source;
    this.#onChange = onChange;
    this.#alarm = new Alarm(context.clock, 'kubelet.manifests');
  }

  /** Whether it is known which pods are wanted. */
  get hasRead(): boolean {
    return this.#hasRead;
  }

  /** Those that are wanted. */
  list(): readonly Pod[] {
    return [...this.#podByPath.values()];
  }

  async run(signal: AbortSignal): Promise<void> {
    const scope = new TaskScope(signal);
    try {
      scope.start((inner) => this.#source.watch(() => this.#alarm.ring(), inner));
      for (;;) {
        await this.#read(scope.signal);
        await this.#alarm.wait(readMs, scope.signal);
        await this.#context.clock.sleep(settleMs, 'kubelet.manifests.settle', scope.signal);
        this.#alarm.reset();
      }
    } finally {
      await scope.close();
    }
  }

  async #read(signal: AbortSignal): Promise<void> {
    let manifests: readonly Manifest[];
    try {
      manifests = await this.#source.read(signal);
    } catch (error) {
      if (signal.aborted || !(error instanceof StatusError)) throw error;
      this.#tellProblems(new Map([['', `the manifests cannot be read: ${messageOf(error)}`]]));
      return; // all stays as it is
    }
    const problems = new Map<string, string>();
    const pods = this.#podsOf(manifests.slice(0, manifestsMax), problems);
    for (const { path } of manifests.slice(manifestsMax)) {
      problems.set(path, `a node takes no more than ${manifestsMax} manifests`);
    }
    this.#tellProblems(problems);
    const uidsOf = (map: ReadonlyMap<string, Pod>): string => [...map.values()].map(podUidOf).sort().join(' ');
    const isChanged = !this.#hasRead || uidsOf(pods) !== uidsOf(this.#podByPath);
    this.#podByPath = pods;
    this.#hasRead = true;
    if (isChanged) this.#onChange();
  }

  #podsOf(manifests: readonly Manifest[], problems: Map<string, string>): Map<string, Pod> {
    const pods = new Map<string, Pod>();
    const pathByName = new Map<string, string>();
    // Who has its name already comes first.
    const inOrder = manifests.toSorted(
      (a, b) => Number(this.#podByPath.has(b.path)) - Number(this.#podByPath.has(a.path)) || (a.path < b.path ? -1 : 1),
    );
    for (const manifest of inOrder) {
      const pod = this.#podOf(manifest, problems);
      if (pod === undefined) continue;
      const first = pathByName.get(podKeyOf(pod));
      if (first !== undefined) {
        problems.set(manifest.path, `pod ${podKeyOf(pod)} is already described by ${first}`);
        continue;
      }
      pathByName.set(podKeyOf(pod), manifest.path);
      pods.set(manifest.path, pod);
    }
    return pods;
  }

  #podOf({ path, content }: Manifest, problems: Map<string, string>): Pod | undefined {
    const before = this.#podByPath.get(path);
    if ('problem' in content) {
      problems.set(path, content.problem);
      return before;
    }
    const { nodeName, clock } = this.#context;
    try {
      const { pod, warnings } = staticPodOf(content.value, { nodeName, path, seenWallMs: clock.wallMs() });
      if (warnings.length > 0) problems.set(path, warnings.join(', '));
      return before !== undefined && podUidOf(before) === podUidOf(pod) ? before : pod;
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      problems.set(path, error.message);
      return before;
    }
  }

  /** Each once, until it is another one. */
  #tellProblems(problems: ReadonlyMap<string, string>): void {
    const { log, recorder, nodeName } = this.#context;
    for (const [path, problem] of problems) {
      if (this.#problemByPath.get(path) === problem) continue;
      log.warn('manifestNotTaken', { path, problem });
      const message = path === '' ? problem : `Manifest ${path}: ${problem}`;
      recorder.event(nodeReference(nodeName), 'Warning', 'InvalidManifest', message);
    }
    this.#problemByPath = problems;
  }
}
