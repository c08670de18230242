import type { Event, Pod } from '../../api/gen/types.ts';
import { humanDuration } from '../../api/age.ts';
import { parseTime } from '../../api/time.ts';
import { resources } from '../../api/resources.ts';
import { messageOf } from '../../base/status-error.ts';
import { TaskScope } from '../../base/task-scope.ts';
import type { ClusterHandle, ProbeAttempt } from '../../main/livelet.ts';
import { CliError } from '../cli-error.ts';
import { timerNames, type CliIo } from '../cli-io.ts';
import { isTold, newStory, nextStory, whyText, type Story, type StoryInput } from '../demo-story.ts';
import { TablePrinter } from '../printers/table-printer.ts';
import { Timeline } from '../timeline.ts';
import type { Verb, VerbCall } from '../verb.ts';

export const verb: Verb = {
  usage: 'demo',
  help: `Watch a sick app being found sick and restarted: a cluster of its own comes up in a temporary directory, and everything
that happens is shown at once. Takes about 20 s, and leaves nothing behind. Exit code 0: the restart was seen.`,
  connects: false,
  flags: [],
  run: runDemo,
};

const graceSeconds = 5;
const boundMs = 60_000; // for everything, start and end included
const stopGraceMs = 500; // the app would not use more
const redrawMs = 200;
const namespace = 'default';
const podName = 'kubia-unhealthy';
const containerName = 'kubia';

/** As in the tutorial, but for the probe's period and the grace period. */
const manifest: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: podName, namespace },
  spec: {
    terminationGracePeriodSeconds: graceSeconds,
    containers: [
      {
        name: containerName,
        image: 'luksa/kubia-unhealthy',
        imagePullPolicy: 'IfNotPresent',
        livenessProbe: { httpGet: { path: '/', port: 8080 }, periodSeconds: 1 },
      },
    ],
  },
};

const crashText =
  'the app ended by itself: is port 8080 of this computer in use? Pods may share its network (see the notes above)';

const introduction = `A cluster of its own starts in a temporary directory. Its app answers five requests well and then says 500 for ever.
The liveness probe runs every second here (Kubernetes' default is every 10 s), and the grace period is ${graceSeconds} s (default 30 s),
so that the whole story takes about 20 s.

`;

const nextThings = `Next, with a cluster that stays (and kubectl in place of "npx livelet", if you have it):

  npx livelet up --detach
  export KUBECONFIG=$(npx livelet kubeconfig)
  echo '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "kubia-liveness"}, "spec": {"containers": [
    {"name": "kubia", "image": "luksa/kubia-unhealthy", "livenessProbe": {"httpGet": {"path": "/", "port": 8080}}}
  ]}}' | npx livelet create -f -
  npx livelet get po -w                       # RESTARTS goes to 1 after about 110 s
  npx livelet describe po kubia-liveness
  npx livelet logs kubia-liveness --previous
  npx livelet down
`;

async function runDemo({ args, io, signal }: VerbCall): Promise<number> {
  if (args.length > 0) throw new CliError(`demo takes no arguments: ${args.join(' ')}`);
  io.out(introduction);
  const timeline = new Timeline(io);
  const scope = new TaskScope(signal);
  scope.start(async (scoped) => {
    await io.clock.sleep(boundMs, timerNames.demoBound, scoped);
    throw new CliError(`the restart was not seen within ${boundMs / 1_000} s`);
  });
  const inbox = new Inbox();
  let cluster: ClusterHandle | undefined;
  try {
    // Loaded here, since it is most of the program: other verbs start without it.
    const { startCluster } = await import('../../main/cluster.ts');
    cluster = await startCluster({
      store: 'memory',
      onProbeAttempt: (attempt) => inbox.put(attempt),
    });
    const took = `in ${(timeline.elapsedMs() / 1_000).toFixed(1)} s`;
    timeline.add({
      what: 'cluster',
      text: `node ${cluster.nodeName} is Ready ${took}, API server at ${cluster.url}`,
      tone: 'good',
    });
    for (const notice of cluster.notices) timeline.add({ what: 'cluster', text: `note: ${notice}`, tone: 'plain' });
    const story = await tell(cluster, inbox, timeline, io, scope);
    timeline.end();
    io.out(
      `\n${await podLine(cluster, io, scope.signal)}\n${whyText(story, { graceSeconds, container: containerName })}\n\n`,
    );
  } catch (error) {
    timeline.end();
    await stopAll(cluster, scope);
    if (signal.aborted) throw error;
    throw scope.failure ?? error;
  }
  await stopAll(cluster, scope);
  io.out(nextThings);
  return 0;
}

async function stopAll(cluster: ClusterHandle | undefined, scope: TaskScope): Promise<void> {
  try {
    await scope.close();
  } catch {
    // Its failure is what ended the demo, and is thrown by the caller.
  }
  await cluster?.stop(stopGraceMs);
}

/** Creates the pod, and shows what happens until the story is told. */
async function tell(
  cluster: ClusterHandle,
  inbox: Inbox,
  timeline: Timeline,
  io: CliIo,
  scope: TaskScope,
): Promise<Story> {
  let story = newStory;
  let finish: (story: Story) => void = () => {};
  let fail: (error: unknown) => void = () => {};
  const told = new Promise<Story>((resolve, reject) => {
    finish = resolve;
    fail = reject;
  });
  const take = (input: StoryInput): void => {
    const next = nextStory(story, input);
    story = next.story;
    for (const line of next.lines) timeline.add(line);
    if (isTold(story)) finish(story);
    if (story.crashed) fail(new CliError(crashText));
  };
  inbox.open((attempt) => {
    if (attempt.podName === podName && attempt.probeType === 'Liveness') take({ kind: 'probe', attempt });
  });
  const fieldSelector = `involvedObject.name=${podName}`;
  scope.start(async (signal) => {
    for await (const { type, object } of cluster.client.watch(resources.events, { namespace, fieldSelector }, signal)) {
      // All but a bookmark's object are of the kind that is watched.
      if (type === 'ADDED' || type === 'MODIFIED') take({ kind: 'event', event: object as Event });
    }
  });
  scope.start(async (signal) => {
    for await (const { type, object } of cluster.client.watch(resources.pods, { namespace }, signal)) {
      // See above.
      if (type === 'ADDED' || type === 'MODIFIED') take({ kind: 'pod', pod: object as Pod });
    }
  });
  scope.start(async (signal) => {
    for (; io.stdoutIsTty;) {
      timeline.redraw(story);
      await io.clock.sleep(redrawMs, timerNames.demoPoll, signal);
    }
  });
  await cluster.client.create(resources.pods, { namespace }, manifest, scope.signal);
  timeline.add({ what: 'cluster', text: `pod ${podName} is created`, tone: 'plain' });
  return await Promise.race([told, brokenDown(cluster), abortOf(scope.signal)]);
}

async function brokenDown(cluster: ClusterHandle): Promise<never> {
  try {
    await cluster.stopped;
  } catch (error) {
    throw new CliError(`the cluster broke down: ${messageOf(error)}`, { cause: error });
  }
  throw new CliError('the cluster has stopped');
}

function abortOf(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason as Error); // an abort's reason is what was thrown or said
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }); // see above
  });
}

/** The pod as `kubectl get po` shows it. */
async function podLine(cluster: ClusterHandle, io: CliIo, signal: AbortSignal): Promise<string> {
  const pod = await cluster.client.get(resources.pods, { namespace, name: podName }, signal);
  const status = pod.status?.containerStatuses?.[0];
  const nowMs = io.clock.wallMs();
  const agoOf = (time: string | undefined): string => humanDuration(nowMs - (parseTime(time ?? '') ?? nowMs));
  const restarts = `${status?.restartCount ?? 0} (${agoOf(status?.lastState?.terminated?.finishedAt)} ago)`;
  const ready = `${status?.ready === true ? 1 : 0}/1`;
  const printer = new TablePrinter({
    wide: false,
    noHeaders: false,
    withNamespace: false,
    kindPrefix: '',
    showLabels: false,
    labelColumns: [],
  });
  const names = ['Name', 'Ready', 'Status', 'Restarts', 'Age'];
  return printer.print({
    columnDefinitions: names.map((name) => ({ name })),
    rows: [{ cells: [podName, ready, pod.status?.phase ?? '', restarts, agoOf(pod.metadata?.creationTimestamp)] }],
  });
}

/** Keeps attempts that come before anybody listens: there are none until the pod is created. */
class Inbox {
  readonly #early: ProbeAttempt[] = []; // at most `earlyMax`, until `open`
  #listener: ((attempt: ProbeAttempt) => void) | undefined;

  put(attempt: ProbeAttempt): void {
    if (this.#listener !== undefined) this.#listener(attempt);
    else if (this.#early.length < earlyMax) this.#early.push(attempt);
  }

  open(listener: (attempt: ProbeAttempt) => void): void {
    this.#listener = listener;
    for (const attempt of this.#early.splice(0)) listener(attempt);
  }
}

const earlyMax = 100;
