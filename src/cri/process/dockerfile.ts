import type { ImageConfig } from './image-config.ts';

/** What of a Dockerfile matters to us: how its last stage is run. RUN, COPY and ADD are not carried out. */
export interface DockerfileConfig extends ImageConfig {
  /** The image of the last FROM. */
  readonly from: string;
  /** The instructions that were passed over, each once: `COPY`, `RUN`. */
  readonly ignored: readonly string[];
}

const passedOver = new Set(['RUN', 'COPY', 'ADD', 'VOLUME', 'HEALTHCHECK', 'SHELL', 'ONBUILD', 'LABEL', 'MAINTAINER']);

/** Never fails: a line that makes no sense is passed over, as is all that this runtime has no use for. */
export function parseDockerfile(text: string): DockerfileConfig {
  const stage = newStage('');
  const variables = new Map<string, string>(); // ARG and ENV so far
  const ignored = new Set<string>();
  for (const line of logicalLines(text)) {
    const match = /^([A-Za-z]+)\s+(.*)$/s.exec(line);
    if (match === null) continue;
    const [, word = '', rest = ''] = match;
    const instruction = word.toUpperCase();
    if (passedOver.has(instruction)) ignored.add(instruction);
    else applyInstruction(stage, instruction, expand(rest.trim(), variables), rest.trim(), variables);
  }
  return {
    from: stage.from,
    entrypoint: stage.entrypoint,
    cmd: stage.cmd,
    env: [...stage.env].map(([key, value]) => ({ key, value })),
    workingDir: stage.workingDir,
    user: stage.user,
    exposedPorts: stage.exposedPorts,
    stopSignal: stage.stopSignal,
    ignored: [...ignored],
  };
}

interface Stage {
  from: string;
  entrypoint: string[];
  cmd: string[];
  env: Map<string, string>;
  workingDir: string;
  user: string;
  exposedPorts: string[];
  stopSignal: string | undefined;
}

function newStage(from: string): Stage {
  return {
    from,
    entrypoint: [],
    cmd: [],
    env: new Map(),
    workingDir: '',
    user: '',
    exposedPorts: [],
    stopSignal: undefined,
  };
}

function applyInstruction(
  stage: Stage,
  instruction: string,
  value: string,
  raw: string,
  variables: Map<string, string>,
): void {
  switch (instruction) {
    case 'FROM':
      Object.assign(stage, newStage(value.replace(/^(?:--\S+\s+)*/, '').split(/\s+/)[0] ?? ''));
      return;
    case 'ARG': {
      const [name = '', ...rest] = value.split('=');
      if (rest.length > 0) variables.set(name, unquote(rest.join('=')));
      return;
    }
    case 'ENV':
      for (const [name, text] of parseEnv(value)) {
        stage.env.set(name, text);
        variables.set(name, text);
      }
      return;
    case 'ENTRYPOINT':
      stage.entrypoint = parseCommand(raw); // not expanded: the container's shell would do that
      stage.cmd = [];
      return;
    case 'CMD':
      stage.cmd = parseCommand(raw);
      return;
    case 'WORKDIR':
      stage.workingDir = joinDirectory(stage.workingDir, unquote(value));
      return;
    case 'USER':
      stage.user = value;
      return;
    case 'EXPOSE':
      stage.exposedPorts.push(...value.split(/\s+/));
      return;
    case 'STOPSIGNAL':
      stage.stopSignal = value;
      return;
    default:
      return; // an instruction of tomorrow
  }
}

/** Lines with continuations joined, comments and blank lines taken out. */
function logicalLines(text: string): string[] {
  const lines: string[] = [];
  let current = '';
  for (const line of text.split(/\r?\n/)) {
    if (/^\s*#/.test(line) || (current === '' && line.trim() === '')) continue;
    if (/\\\s*$/.test(line)) {
      current += line.replace(/\\\s*$/, ' ');
      continue;
    }
    lines.push((current + line).trim());
    current = '';
  }
  return current === '' ? lines : [...lines, current.trim()];
}

/** The JSON form as it is, any other through a shell. */
function parseCommand(text: string): string[] {
  if (text.startsWith('[')) {
    try {
      const words: unknown = JSON.parse(text);
      if (Array.isArray(words) && words.every((word) => typeof word === 'string')) return words;
    } catch {
      // not JSON: Docker, too, then takes it for a shell command
    }
  }
  return ['/bin/sh', '-c', text];
}

/** `A=1 B="two words"`, or the old form `A the rest of the line`. */
function parseEnv(text: string): [string, string][] {
  if (!/^[^\s=]+=/.test(text)) {
    const [name = '', ...rest] = text.split(/\s+/);
    return [[name, rest.join(' ')]];
  }
  const pairs: [string, string][] = [];
  for (const match of text.matchAll(/([^\s=]+)=("(?:\\.|[^"\\])*"|'[^']*'|(?:\\.|[^\s\\])*)/g)) {
    pairs.push([match[1] ?? '', unquote(match[2] ?? '')]);
  }
  return pairs;
}

function unquote(text: string): string {
  const quoted = /^(["'])(.*)\1$/s.exec(text);
  return (quoted?.[2] ?? text).replace(/\\(.)/g, '$1');
}

function expand(text: string, variables: ReadonlyMap<string, string>): string {
  return text.replace(
    /\\?\$(?:\{(\w+)(?::-([^}]*))?\}|(\w+))/g,
    (whole, braced?: string, fallback?: string, plain?: string) =>
      whole.startsWith('\\') ? whole.slice(1) : (variables.get(braced ?? plain ?? '') ?? fallback ?? ''),
  );
}

function joinDirectory(base: string, next: string): string {
  return next.startsWith('/') ? next : `${base === '' || base === '/' ? '' : base}/${next}`;
}
