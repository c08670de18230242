import https from 'node:https';
import tls from 'node:tls';
import type { ClusterAccess } from '../src/client/http/kubeconfig.ts';
import { percentile, sleepMs, startLivelet } from './livelet-process.ts';
import type { BenchRow } from './row.ts';

const clientsCount = 32;
const podsCount = 6_000;
const listedPodsCount = 2_000;
const getsCount = 100_000;

/** A pod that no scheduler takes, of about the size that the list figure was measured with (2.4 KB each). */
function manifest(name: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: 'bench' }, annotations: { note: 'x'.repeat(900) } },
    spec: {
      schedulerName: 'nobody',
      containers: [
        {
          name: 'c',
          image: 'busybox:1.36',
          command: ['sleep', '600'],
          livenessProbe: { httpGet: { path: '/', port: 8080 } },
        },
      ],
    },
  });
}

function tlsOf(access: ClusterAccess): { ca: string; cert: string; key: string } {
  const { certificateAuthority: ca, clientCertificate: cert, clientKey: key } = access;
  if (ca === undefined || cert === undefined || key === undefined)
    throw new Error('the kubeconfig has no certificates');
  return { ca, cert, key };
}

/** One kept connection, a request at a time, as wrk does: a full HTTP client would take more CPU than the server. */
class Connection {
  readonly #socket: tls.TLSSocket;
  readonly #host: string;
  #received: Buffer[] = []; // of the answer that is awaited
  #answered: ((answer: Answer) => void) | undefined;

  private constructor(socket: tls.TLSSocket, host: string) {
    this.#socket = socket;
    this.#host = host;
    socket.on('data', (data: Buffer) => this.#take(data));
    socket.on('error', () => {}); // an answer that never comes ends the run
  }

  static open(access: ClusterAccess): Promise<Connection> {
    const { hostname, port, host } = new URL(access.server);
    return new Promise((resolve, reject) => {
      const socket = tls.connect({ host: hostname, port: Number(port), ...tlsOf(access), ALPNProtocols: ['http/1.1'] });
      socket.once('error', reject);
      socket.once('secureConnect', () => resolve(new Connection(socket, host)));
    });
  }

  request(method: string, target: string, body = ''): Promise<Answer> {
    const entity =
      body === '' ? '' : `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n`;
    this.#socket.write(`${method} ${target} HTTP/1.1\r\nhost: ${this.#host}\r\n${entity}\r\n${body}`);
    return new Promise((resolve) => (this.#answered = resolve));
  }

  #take(data: Buffer): void {
    this.#received.push(data);
    const [first = data] = this.#received;
    const headEnd = first.indexOf('\r\n\r\n'); // our heads are far shorter than a TLS record
    const head = first.toString('latin1', 0, headEnd);
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1]);
    const bytes = this.#received.reduce((sum, part) => sum + part.length, 0) - headEnd - 4;
    if (bytes < length) return;
    this.#received = [];
    this.#answered?.({ status: Number(head.slice(9, 12)), bytes: length });
  }

  close(): void {
    this.#socket.destroy();
  }
}

interface Answer {
  readonly status: number;
  /** Of the body. */
  readonly bytes: number;
}

/** Calls `onLine` with each line of a stream until it is destroyed. */
function stream(access: ClusterAccess, target: string, onLine: (line: string) => void): https.Agent {
  const agent = new https.Agent(tlsOf(access));
  const sent = https.get(new URL(target, access.server), { agent }, (answer) => {
    let rest = '';
    answer.setEncoding('utf8');
    answer.on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) onLine(line);
    });
  });
  sent.on('error', () => {}); // destroyed at the end
  return agent;
}

interface Load {
  readonly perSecond: number;
  readonly latenciesMs: readonly number[];
}

/** Each connection sends its next request when the last one is answered. */
async function load(
  connections: readonly Connection[],
  count: number,
  expected: number,
  one: (connection: Connection, index: number) => Promise<Answer>,
): Promise<Load> {
  const latenciesMs: number[] = [];
  let next = 0;
  const worker = async (connection: Connection): Promise<void> => {
    for (let index = next++; index < count; index = next++) {
      const beganMs = performance.now();
      const { status } = await one(connection, index);
      if (status !== expected) throw new Error(`request ${index}: ${status}`);
      latenciesMs.push(performance.now() - beganMs);
    }
  };
  const beganMs = performance.now();
  await Promise.all(connections.map(worker));
  return { perSecond: count / ((performance.now() - beganMs) / 1_000), latenciesMs };
}

/** Durable creates, the delay of a watch meanwhile, deletes, gets, lists: over TLS, from another process. */
export async function benchApi(): Promise<BenchRow[]> {
  const livelet = await startLivelet();
  const { access } = livelet;
  const connections = await Promise.all(Array.from({ length: clientsCount }, () => Connection.open(access)));
  const pods = '/api/v1/namespaces/default/pods';
  const createdMs = new Map<string, number>(); // when the create of the pod was answered
  const delaysMs: number[] = [];
  const watch = stream(access, `${pods}?watch=1`, (line) => {
    const name = /"name":"(p-\d+)"/.exec(line.slice(0, 400))?.[1];
    const answeredMs = name === undefined ? undefined : createdMs.get(name);
    if (line.startsWith('{"type":"ADDED"') && answeredMs !== undefined) delaysMs.push(performance.now() - answeredMs);
    else if (line.startsWith('{"type":"ADDED"')) delaysMs.push(0); // was here before the answer
  });
  await sleepMs(200);
  const creates = await load(connections, podsCount, 201, async (connection, index) => {
    const answer = await connection.request('POST', pods, manifest(`p-${index}`));
    createdMs.set(`p-${index}`, performance.now());
    return answer;
  });
  await sleepMs(500);
  watch.destroy();
  const gets = await load(connections, getsCount, 200, (connection) => connection.request('GET', `${pods}/p-1`));
  const deletes = await load(connections, podsCount - listedPodsCount, 200, (connection, index) =>
    connection.request('DELETE', `${pods}/p-${index}`),
  );
  const listMs: number[] = [];
  let listBytes = 0;
  const lister = await Connection.open(access);
  for (let i = 0; i < 10; i++) {
    const beganMs = performance.now();
    listBytes = (await lister.request('GET', pods)).bytes;
    listMs.push(performance.now() - beganMs);
  }
  for (const connection of [...connections, lister]) connection.close();
  await livelet.stop();
  return [
    higher('pod creates, durable, 32 clients', '1/s', creates.perSecond, 3_000, 848),
    lower('pod create p99, 32 clients', 'ms', percentile(creates.latenciesMs, 0.99), 30, 76),
    lower('watch delay after the answer, p99, meanwhile', 'ms', percentile(delaysMs, 0.99), 25, 100),
    higher('gets of one pod, 32 connections', '1/s', gets.perSecond, 10_000, 4_200),
    higher('pod deletes, 32 clients', '1/s', deletes.perSecond, 2_500, 644),
    lower(
      `list of ${listedPodsCount} pods (${(listBytes / 1e6).toFixed(1)} MB), p50`,
      'ms',
      percentile(listMs, 0.5),
      30,
      49,
    ),
  ];
}

function higher(name: string, unit: string, ours: number, target: number, recorded: number): BenchRow {
  return { name, unit, ours, target, recorded, better: 'higher' };
}

function lower(name: string, unit: string, ours: number, target: number, recorded: number): BenchRow {
  return { name, unit, ours, target, recorded, better: 'lower' };
}
