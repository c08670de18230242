import https from 'node:https';
import tls from 'node:tls';
import type { ClusterAccess } from '../src/client/http/kubeconfig.ts';
import { percentile, sleepMs, startLivelet } from './livelet-process.ts';
import type { BenchRow } from './row.ts';

const clientsCount = 32;
const podsCount = 6_000;
const listedPodsCount = 2_000;
const getSeconds = 5;

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

class Connections {
  readonly #access: ClusterAccess;
  readonly #agent: https.Agent;

  constructor(access: ClusterAccess) {
    this.#access = access;
    this.#agent = new https.Agent({
      ...tlsOf(access),
      keepAlive: true,
      maxSockets: clientsCount + 1,
    });
  }

  /** Status and length of the answer. */
  request(method: string, target: string, body?: string): Promise<{ status: number; bytes: number }> {
    return new Promise((resolve, reject) => {
      const url = new URL(target, this.#access.server);
      const headers = body === undefined ? {} : { 'content-type': 'application/json', 'content-length': body.length };
      const sent = https.request(url, { method, agent: this.#agent, headers }, (answer) => {
        let bytes = 0;
        answer.on('data', (data: Buffer) => {
          bytes += data.length;
        });
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, bytes }));
      });
      sent.on('error', reject);
      sent.end(body);
    });
  }

  /** Calls `onLine` with each line of a stream until it is destroyed. */
  stream(target: string, onLine: (line: string) => void): https.Agent {
    const agent = new https.Agent(tlsOf(this.#access));
    const sent = https.get(new URL(target, this.#access.server), { agent }, (answer) => {
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

  close(): void {
    this.#agent.destroy();
  }
}

interface Load {
  readonly perSecond: number;
  readonly latenciesMs: readonly number[];
}

/** `clientsCount` clients, each sending its next request when the last one is answered. */
async function load(
  count: number,
  expected: number,
  one: (index: number) => Promise<{ status: number }>,
): Promise<Load> {
  const latenciesMs: number[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) {
      const beganMs = performance.now();
      const { status } = await one(index);
      if (status !== expected) throw new Error(`request ${index}: ${status}`);
      latenciesMs.push(performance.now() - beganMs);
    }
  };
  const beganMs = performance.now();
  await Promise.all(Array.from({ length: clientsCount }, worker));
  return { perSecond: count / ((performance.now() - beganMs) / 1_000), latenciesMs };
}

/**
 * Gets of one pod over `clientsCount` connections, each sending its next request when the last one is answered. Bare TLS
 * sockets, so that the client takes little of the two cores (wrk has no client certificates).
 */
async function getsPerSecond(access: ClusterAccess, target: string): Promise<number> {
  const { hostname, port, host } = new URL(access.server);
  const request = `GET ${target} HTTP/1.1\r\nhost: ${host}\r\naccept: application/json\r\n\r\n`;
  let answers = 0;
  const connect = (): Promise<tls.TLSSocket> =>
    new Promise((resolve, reject) => {
      const socket = tls.connect({ host: hostname, port: Number(port), ...tlsOf(access), ALPNProtocols: ['http/1.1'] });
      socket.once('error', reject);
      socket.once('secureConnect', () => resolve(socket));
    });
  const sockets = await Promise.all(Array.from({ length: clientsCount }, connect));
  const beganMs = performance.now();
  for (const socket of sockets) {
    let received = 0;
    let length = 0; // of a whole answer, head included; all are alike
    socket.on('data', (data: Buffer) => {
      if (length === 0) {
        const head = data.toString('latin1');
        if (!head.startsWith('HTTP/1.1 200')) throw new Error(head.slice(0, 200));
        length = head.indexOf('\r\n\r\n') + 4 + Number(/content-length: (\d+)/i.exec(head)?.[1]);
      }
      received += data.length;
      if (received < length) return;
      received -= length;
      answers += 1;
      socket.write(request);
    });
    socket.write(request);
  }
  await sleepMs(getSeconds * 1_000);
  const seconds = (performance.now() - beganMs) / 1_000;
  for (const socket of sockets) socket.destroy();
  return answers / seconds;
}

/** Durable creates, the delay of a watch meanwhile, deletes, gets, lists: over TLS, from another process. */
export async function benchApi(): Promise<BenchRow[]> {
  const livelet = await startLivelet();
  const { access } = livelet;
  const connections = new Connections(access);
  const pods = '/api/v1/namespaces/default/pods';
  const createdMs = new Map<string, number>(); // when the create of the pod was answered
  const delaysMs: number[] = [];
  const watch = connections.stream(`${pods}?watch=1`, (line) => {
    const name = /"name":"(p-\d+)"/.exec(line.slice(0, 400))?.[1];
    const answeredMs = name === undefined ? undefined : createdMs.get(name);
    if (line.startsWith('{"type":"ADDED"') && answeredMs !== undefined) delaysMs.push(performance.now() - answeredMs);
    else if (line.startsWith('{"type":"ADDED"')) delaysMs.push(0); // was here before the answer
  });
  await sleepMs(200);
  const creates = await load(podsCount, 201, async (index) => {
    const answer = await connections.request('POST', pods, manifest(`p-${index}`));
    createdMs.set(`p-${index}`, performance.now());
    return answer;
  });
  await sleepMs(500);
  watch.destroy();
  const gets = await getsPerSecond(access, `${pods}/p-1`);
  const deletes = await load(podsCount - listedPodsCount, 200, (index) =>
    connections.request('DELETE', `${pods}/p-${index}`),
  );
  const listMs: number[] = [];
  let listBytes = 0;
  for (let i = 0; i < 10; i++) {
    const beganMs = performance.now();
    listBytes = (await connections.request('GET', pods)).bytes;
    listMs.push(performance.now() - beganMs);
  }
  connections.close();
  await livelet.stop();
  return [
    higher('pod creates, durable, 32 clients', '1/s', creates.perSecond, 3_000, 848),
    lower('pod create p99, 32 clients', 'ms', percentile(creates.latenciesMs, 0.99), 30, 76),
    lower('watch delay after the answer, p99, meanwhile', 'ms', percentile(delaysMs, 0.99), 25, 100),
    higher('gets of one pod, 32 connections', '1/s', gets, 10_000, 4_200),
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
