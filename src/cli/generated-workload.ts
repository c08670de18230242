/** The objects that `create deployment NAME` and `create job NAME` make. Upstream: `create_deployment.go`, `create_job.go`. */
import { nameAlphabet } from '../base/entropy.ts';
import { CliError } from './cli-error.ts';
import type { Flag, FlagValues } from './flags.ts';
import { randomText } from './random-text.ts';

type WireObject = Readonly<Record<string, unknown>>;

export const workloadFlags: readonly Flag[] = [
  { name: 'image', kind: 'strings', help: 'For a deployment or job: the image to run. A deployment may have several.' },
  { name: 'replicas', short: 'r', kind: 'int', fallback: 1, help: 'For a deployment: how many pods.' },
  { name: 'port', kind: 'int', fallback: -1, help: 'For a deployment: the port that its first container listens on.' },
];

export function requireImage(flags: FlagValues): void {
  if (!flags.has('image')) throw new CliError('required flag(s) "image" not set');
}

/** `command`: the words after the name, which its container is to run. */
export function deploymentObject(name: string, command: readonly string[], flags: FlagValues): WireObject {
  const images = flags.strings('image');
  if (images.length > 1 && command.length > 0) {
    throw new CliError('cannot specify multiple --image options and command');
  }
  const port = flags.int('port');
  const containers = images.map((image, index) => ({
    name: containerName(image),
    image,
    ...(command.length === 0 ? {} : { command }),
    ...(index > 0 || port < 0 ? {} : { ports: [{ containerPort: port }] }),
    resources: {},
  }));
  const labels = { app: name };
  return {
    kind: 'Deployment',
    apiVersion: 'apps/v1',
    metadata: { name, labels },
    spec: {
      replicas: flags.int('replicas'),
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers } },
      strategy: {},
    },
    status: {},
  };
}

/** As above. */
export function jobObject(name: string, command: readonly string[], flags: FlagValues): WireObject {
  const image = flags.optional('image');
  const container = { name, image, ...(command.length === 0 ? {} : { command }), resources: {} };
  const template = { metadata: {}, spec: { containers: [container], restartPolicy: 'Never' } };
  return { kind: 'Job', apiVersion: 'batch/v1', metadata: { name }, spec: { template }, status: {} };
}

/** The last part of the image without tag and digest; what is no name as it stands is made one, unlike any other. */
function containerName(image: string): string {
  const name = image.slice(image.lastIndexOf('/') + 1).split(/[:@]/)[0] ?? '';
  return /[_.]/.test(name) ? `${name.replaceAll(/[_.]/g, '-')}-${randomText(nameAlphabet, 5)}` : name;
}
