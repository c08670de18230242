/** Section 1 of the behaviour sheet, row by row. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HTTPGetAction } from '../../api/gen/types.ts';
import { InvariantError, StatusError } from '../../base/status-error.ts';
import { type ExecSyncResult, ExecTimeoutError } from '../../cri/runtime.ts';
import { expandProbeCommand, runExecProbe } from './exec-probe.ts';
import { runGrpcProbe } from './grpc-probe.ts';
import { planHttpProbe, runHttpProbe } from './http-probe.ts';
import type { ProbeOutcome } from './probe-outcome.ts';
import { resolveProbePort } from './probe-port.ts';
import type { GrpcHealthReply, HttpProbeReply, HttpProbeRequest, TransportFailure } from './probe-transport.ts';
import { runTcpProbe } from './tcp-probe.ts';
import { transportFailures } from './transport-failures.ts';

const signal = new AbortController().signal;
const podIP = '10.244.0.5';

test('a port is a number, a name of the same container, or a number as text', () => {
  const ports = [
    { name: 'web', containerPort: 8080, hostPort: 80 },
    { name: '9000', containerPort: 9 },
  ];
  const cases: readonly (readonly [port: number | string, resolved: object])[] = [
    [80, { port: 80 }],
    [65_535, { port: 65_535 }],
    [0, { error: 'invalid port number: 0' }],
    [65_536, { error: 'invalid port number: 65536' }],
    [-1, { error: 'invalid port number: -1' }],
    ['web', { port: 8080 }],
    ['9000', { port: 9 }],
    ['9001', { port: 9001 }],
    ['0', { error: 'invalid port number: 0' }],
    ['nosuch', { error: 'strconv.Atoi: parsing "nosuch": invalid syntax' }],
  ];
  for (const [port, resolved] of cases) assert.deepEqual(resolveProbePort(port, ports), resolved);
  assert.deepEqual(resolveProbePort('web', undefined), { error: 'strconv.Atoi: parsing "web": invalid syntax' });
});

/** Probes with scripted replies, and says what was asked. */
async function httpProbe(
  action: Partial<HTTPGetAction>,
  replies: readonly HttpProbeReply[] = [{ kind: 'response', status: 200, location: undefined, body: 'ok' }],
  options: { readonly host?: string; readonly port?: number; readonly msPerRequest?: number } = {},
): Promise<{ readonly outcome: ProbeOutcome; readonly requests: readonly HttpProbeRequest[] }> {
  const requests: HttpProbeRequest[] = [];
  let nowMs = 5;
  const transport = {
    httpGet: async (request: HttpProbeRequest): Promise<HttpProbeReply> => {
      requests.push(request);
      nowMs += options.msPerRequest ?? 0;
      return replies[requests.length - 1] ?? replies.at(-1) ?? Promise.reject(new Error('no reply'));
    },
  };
  const plan = planHttpProbe({ port: 0, ...action }, options.host ?? podIP, options.port ?? 8080, 1_000);
  const outcome = await runHttpProbe(plan, transport, { monoMs: () => nowMs }, signal);
  return { outcome, requests };
}

const redirectTo = (location: string | undefined, status = 302): HttpProbeReply => ({
  kind: 'response',
  status,
  location,
  body: 'moved',
});
const wireOf = (request: HttpProbeRequest | undefined): readonly string[] =>
  request === undefined
    ? []
    : [
        `${request.scheme}://${request.host}|${request.port}${request.target}`,
        ...request.headers.map((h) => h.join(': ')),
      ];

test('the path is a URL reference, of which host and scheme are discarded', async () => {
  const targets: Readonly<Record<string, string>> = {
    '': '/',
    '/': '/',
    healthz: '/healthz',
    '/a?b=c': '/a?b=c',
    '/a#frag': '/a',
    '//evil/x': '/x',
    'http://other/y': '/y',
    'http://other': '/',
    '/%zz': '/%25zz',
    '/a b': '/a%20b',
    '/a%2Fb': '/a%2Fb',
    '/a/../b': '/a/../b',
    '1:2': '/1:2',
    '*': '/*',
  };
  for (const [path, target] of Object.entries(targets)) {
    const { requests } = await httpProbe({ path });
    assert.deepEqual(wireOf(requests[0]).slice(0, 2), [`http://${podIP}|8080${target}`, `Host: ${podIP}:8080`], path);
  }
});

test('scheme and host are those of the action, else http and the pod', async () => {
  const targetOf = async (action: Partial<HTTPGetAction>, host = podIP, port = 8080): Promise<readonly string[]> =>
    wireOf((await httpProbe({ path: '/', ...action }, undefined, { host, port })).requests[0]).slice(0, 2);
  assert.deepEqual(await targetOf({ scheme: 'HTTPS', host: 'a.example' }), [
    'https://a.example|8080/',
    'Host: a.example:8080',
  ]);
  assert.deepEqual(await targetOf({}, podIP, 80), [`http://${podIP}|80/`, `Host: ${podIP}:80`]);
  assert.deepEqual(await targetOf({}, 'fd00::5'), ['http://fd00::5|8080/', 'Host: [fd00::5]:8080']);
  assert.deepEqual(await targetOf({}, ''), ['http://|8080/', 'Host: :8080']);
});

test('headers are canonical, in the order of the wire, with the defaults of upstream', async () => {
  const wire = async (...httpHeaders: (readonly [string, string])[]): Promise<readonly string[]> => {
    const action = { path: '/', httpHeaders: httpHeaders.map(([name, value]) => ({ name, value })) };
    return wireOf((await httpProbe(action)).requests[0]).slice(1);
  };
  const host = `Host: ${podIP}:8080`;
  const agent = 'User-Agent: kube-probe/1.34';
  assert.deepEqual(await wire(), [host, agent, 'Accept: */*', 'Connection: close']);
  assert.deepEqual(await wire(['x-b', '1'], ['X-A', ' 2\t'], ['x-B', '3']), [
    host,
    agent,
    'Accept: */*',
    'X-A: 2',
    'X-B: 1',
    'X-B: 3',
    'Connection: close',
  ]);
  assert.deepEqual(await wire(['host', 'a.example']), ['Host: a.example', agent, 'Accept: */*', 'Connection: close']);
  assert.deepEqual(await wire(['user-agent', 'me']), [host, 'User-Agent: me', 'Accept: */*', 'Connection: close']);
  assert.deepEqual(await wire(['User-Agent', ''], ['accept', '']), [host, 'Connection: close']);
  assert.deepEqual(await wire(['Accept', 'text/html']), [host, agent, 'Accept: text/html', 'Connection: close']);
  assert.deepEqual(await wire(['Connection', 'Close']), [host, agent, 'Accept: */*', 'Connection: Close']);
  assert.deepEqual(await wire(['Connection', 'keep-alive']), [
    host,
    agent,
    'Accept: */*',
    'Connection: keep-alive',
    'Connection: close',
  ]);
  assert.deepEqual(await wire(['Content-Length', '5'], ['Transfer-Encoding', 'chunked'], ['Trailer', 'x']), [
    host,
    agent,
    'Accept: */*',
    'Connection: close',
  ]);
});

test('the final status decides, and the body is the output', async () => {
  const outcomeOf = async (status: number): Promise<ProbeOutcome> =>
    (await httpProbe({ path: '/' }, [{ kind: 'response', status, location: undefined, body: 'BODY' }])).outcome;
  for (const status of [200, 204, 299]) assert.deepEqual(await outcomeOf(status), { kind: 'success', output: 'BODY' });
  for (const status of [300, 302, 304, 399]) {
    const output = 'Probe terminated redirects, Response body: BODY';
    assert.deepEqual(await outcomeOf(status), { kind: 'warning', output });
  }
  for (const status of [101, 199, 400, 404, 500, 599]) {
    const output = `HTTP probe failed with statuscode: ${status}`;
    assert.deepEqual(await outcomeOf(status), { kind: 'failure', output });
  }
});

test('what goes wrong on the way is a failure that quotes the URL', async () => {
  const outputOf = async (failure: TransportFailure, path = '/healthz'): Promise<ProbeOutcome> =>
    (await httpProbe({ path }, [{ kind: 'failed', failure }])).outcome;
  const rows: readonly (readonly [failure: TransportFailure, text: string])[] = [
    [transportFailures.refused(podIP, 8080), 'dial tcp 10.244.0.5:8080: connect: connection refused'],
    [transportFailures.noRoute(podIP, 8080), 'dial tcp 10.244.0.5:8080: connect: no route to host'],
    [transportFailures.headersTimeout, 'context deadline exceeded (Client.Timeout exceeded while awaiting headers)'],
    [transportFailures.eof, 'EOF'],
    [transportFailures.reset('A:1', 'B:2'), 'read tcp A:1->B:2: read: connection reset by peer'],
    [transportFailures.plainHttpOnTls, 'http: server gave HTTP response to HTTPS client'],
    [
      transportFailures.broken('malformed HTTP response "hello"'),
      'net/http: HTTP/1.x transport connection broken: malformed HTTP response "hello"',
    ],
    [transportFailures.lookup('nosuch'), 'dial tcp: lookup nosuch: no such host'],
  ];
  for (const [failure, text] of rows) {
    const output = `Get "http://10.244.0.5:8080/healthz": ${text}`;
    assert.deepEqual(await outputOf(failure), { kind: 'failure', output });
  }
  assert.deepEqual(await outputOf(transportFailures.eof, '/a?b=c#d'), {
    kind: 'failure',
    output: 'Get "http://10.244.0.5:8080/a?b=c#d": EOF',
  });
});

test('a body that cannot be read is an error that says failure', async () => {
  for (const failure of [transportFailures.bodyTimeout, transportFailures.bodyTooShort]) {
    const { outcome } = await httpProbe({ path: '/' }, [
      { kind: 'failed', failure: { ...failure, head: { status: 200, location: undefined } } },
    ]);
    assert.deepEqual(outcome, { kind: 'error', state: 'failure', message: failure.detail });
  }
});

test('what Go would refuse to send fails without a request, what is no URL is an error', async () => {
  const bad = await httpProbe({ path: '/', httpHeaders: [{ name: 'X-A', value: 'a\nb' }] });
  assert.deepEqual(bad, {
    outcome: {
      kind: 'failure',
      output: 'Get "http://10.244.0.5:8080/": net/http: invalid header field value for "X-A"',
    },
    requests: [],
  });
  const opaque = await httpProbe({ path: 'a:b' });
  assert.deepEqual(opaque.outcome, { kind: 'failure', output: 'Get "http:b": http: no Host in request URL' });
  const host = await httpProbe({ path: '/', host: 'a b' });
  assert.deepEqual(host.outcome, {
    kind: 'error',
    state: 'unknown',
    message: 'parse "http://a%20b:8080/": invalid URL escape "%20"',
  });
});

test('redirects on the same hostname are followed, with a Referer and the given headers', async () => {
  const action = { path: '/a', httpHeaders: [{ name: 'X-A', value: '1' }] };
  const ok = { kind: 'response', status: 200, location: undefined, body: 'there' } as const;
  for (const status of [301, 302, 303, 307, 308]) {
    const { outcome, requests } = await httpProbe(action, [redirectTo(`https://${podIP}:9443/b`, status), ok]);
    assert.deepEqual(outcome, { kind: 'success', output: 'there' });
    assert.deepEqual(wireOf(requests[1]), [
      `https://${podIP}|9443/b`,
      `Host: ${podIP}:9443`,
      'User-Agent: kube-probe/1.34',
      'Accept: */*',
      `Referer: http://${podIP}:8080/a`,
      'X-A: 1',
      'Connection: close',
    ]);
  }
  const back = await httpProbe({ path: '/a', scheme: 'https' }, [redirectTo(`http://${podIP}/b`), ok]);
  assert.deepEqual(wireOf(back.requests[1]).includes(`Referer: https://${podIP}:8080/a`), false);
});

test('a Host of the user outlives relative redirects only', async () => {
  const action = { path: '/a', httpHeaders: [{ name: 'Host', value: 'a.example' }] };
  const relative = await httpProbe(action, [redirectTo('/b'), redirectTo('/c', 200)]);
  assert.equal(wireOf(relative.requests[1])[1], 'Host: a.example');
  const absolute = await httpProbe(action, [redirectTo(`http://${podIP}:8080/b`), redirectTo('/c', 200)]);
  assert.equal(wireOf(absolute.requests[1])[1], `Host: ${podIP}:8080`);
});

test('redirects elsewhere, or to nowhere, are a warning', async () => {
  const output = 'Probe terminated redirects, Response body: moved';
  const replies = [redirectTo('http://other.example/'), redirectTo(undefined), redirectTo(''), redirectTo('/x', 304)];
  for (const reply of replies) {
    const { outcome, requests } = await httpProbe({ path: '/' }, [reply]);
    assert.deepEqual([outcome, requests.length], [{ kind: 'warning', output }, 1]);
  }
  const second = await httpProbe({ path: '/' }, [redirectTo('/x'), redirectTo('//10.244.0.6:8080/')]);
  assert.deepEqual([second.outcome, second.requests.length], [{ kind: 'warning', output }, 2]);
});

test('the eleventh request is refused', async () => {
  const { outcome, requests } = await httpProbe({ path: '/loop' }, [redirectTo('/loop')]);
  assert.deepEqual(outcome, { kind: 'failure', output: 'Get "/loop": stopped after 10 redirects' });
  assert.equal(requests.length, 10);
});

test('a Location that is no URL, or leads to another protocol, is a failure', async () => {
  const bad = await httpProbe({ path: '/' }, [redirectTo('/%zz')]);
  assert.deepEqual(bad.outcome, {
    kind: 'failure',
    output:
      'Get "http://10.244.0.5:8080/": failed to parse Location header "/%zz": parse "/%zz": invalid URL escape "%zz"',
  });
  const ftp = await httpProbe({ path: '/' }, [redirectTo(`ftp://${podIP}/`)]);
  assert.deepEqual(ftp.outcome, {
    kind: 'failure',
    output: `Get "ftp://${podIP}/": unsupported protocol scheme "ftp"`,
  });
});

test('one timeout covers all redirects', async () => {
  const { outcome, requests } = await httpProbe({ path: '/a' }, [redirectTo('/b')], { msPerRequest: 400 });
  assert.deepEqual(
    requests.map((request) => request.timeoutMs),
    [1_000, 600, 200],
  );
  assert.deepEqual(outcome, {
    kind: 'failure',
    output:
      'Get "http://10.244.0.5:8080/b": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
  });
});

test('a redirect whose own body breaks off is followed all the same', async () => {
  const head = { status: 302, location: '/b' };
  const { outcome } = await httpProbe({ path: '/a' }, [
    { kind: 'failed', failure: { kind: 'body', detail: 'unexpected EOF', head } },
    { kind: 'response', status: 200, location: undefined, body: 'ok' },
  ]);
  assert.deepEqual(outcome, { kind: 'success', output: 'ok' });
});

test('a user written into the path goes into a header, and its password into no message', async () => {
  const { outcome, requests } = await httpProbe({ path: '//user:secret@evil/x' }, [
    { kind: 'failed', failure: transportFailures.eof },
  ]);
  assert.equal(wireOf(requests[0])[4], 'Authorization: Basic dXNlcjpzZWNyZXQ=');
  assert.deepEqual(outcome, { kind: 'failure', output: `Get "http://user:***@${podIP}:8080/x": EOF` });
});

test('a TCP probe succeeds without output, and fails in the words of the dialer', async () => {
  const probe = (failure: TransportFailure | undefined): Promise<ProbeOutcome> =>
    runTcpProbe({ host: podIP, port: 9, timeoutMs: 1 }, { tcpConnect: () => Promise.resolve(failure) }, signal);
  assert.deepEqual(await probe(undefined), { kind: 'success', output: '' });
  const rows = [
    [transportFailures.refused(podIP, 9), 'dial tcp 10.244.0.5:9: connect: connection refused'],
    [transportFailures.dialTimeout(podIP, 9), 'dial tcp 10.244.0.5:9: i/o timeout'],
    [transportFailures.noRoute('fd00::5', 9), 'dial tcp [fd00::5]:9: connect: no route to host'],
  ] as const;
  for (const [failure, output] of rows) assert.deepEqual(await probe(failure), { kind: 'failure', output });
});

async function execProbe(run: () => Promise<Partial<Record<'stdout' | 'stderr', string>> & { exitCode: number }>) {
  const encoder = new TextEncoder();
  const execSync = async (): Promise<ExecSyncResult> => {
    const { stdout = '', stderr = '', exitCode } = await run();
    return { stdout: encoder.encode(stdout), stderr: encoder.encode(stderr), exitCode };
  };
  return runExecProbe({ containerId: 'a', command: ['sh', '-c', 'sleep 5'], timeoutSeconds: 80 }, { execSync }, signal);
}

test('an exit code decides, and the output is stdout and then stderr, at most 10 KiB of them', async () => {
  assert.deepEqual(await execProbe(async () => ({ exitCode: 0, stdout: 'out\n', stderr: 'err' })), {
    kind: 'success',
    output: 'out\nerr',
  });
  assert.deepEqual(await execProbe(async () => ({ exitCode: 1 })), { kind: 'failure', output: '' });
  assert.deepEqual(await execProbe(async () => ({ exitCode: 137, stderr: 'e' })), { kind: 'failure', output: 'e' });
  const long = await execProbe(async () => ({ exitCode: 1, stdout: 'a'.repeat(10_239), stderr: 'bcd' }));
  assert.deepEqual(long, { kind: 'failure', output: `${'a'.repeat(10_239)}b` });
  const longer = await execProbe(async () => ({ exitCode: 1, stdout: 'a'.repeat(20_000), stderr: 'b' }));
  assert.deepEqual(longer, { kind: 'failure', output: 'a'.repeat(10_240) });
});

test('a command that takes too long fails, one that cannot be run is an error', async () => {
  assert.deepEqual(await execProbe(() => Promise.reject(new ExecTimeoutError('timeout'))), {
    kind: 'failure',
    output: 'command timed out: "sh -c sleep 5" timed out after 1m20s',
  });
  assert.deepEqual(await execProbe(() => Promise.reject(new StatusError('NotFound', 'no such container'))), {
    kind: 'error',
    state: 'unknown',
    message: 'no such container',
  });
  await assert.rejects(
    execProbe(() => Promise.reject(new InvariantError('broken'))),
    InvariantError,
  );
});

test('variables of the probe command come from literal values only', () => {
  const env = [
    { name: 'A', value: '1' },
    { name: 'B', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
    { name: 'A', value: '2' },
    { name: 'C', value: '$(A)' },
  ];
  const words = ['$(A)', 'x$(A)y$(A)', '$(B)|', '$(NOSUCH)', '$$(A)', '$$$(A)', '$A', '$(A', '$', '$(C)', 'a$b'];
  assert.deepEqual(expandProbeCommand(words, env), [
    '2',
    'x2y2',
    '|',
    '$(NOSUCH)',
    '$(A)',
    '$2',
    '$A',
    '$(A',
    '$',
    '$(A)',
    'a$b',
  ]);
});

test('only SERVING is healthy, and all else has upstream’s words', async () => {
  const rows: readonly (readonly [reply: GrpcHealthReply, output: string])[] = [
    [
      { kind: 'dialTimeout' },
      'timeout: failed to connect service "10.244.0.5:9000" within 1s: context deadline exceeded',
    ],
    [{ kind: 'dialError', message: 'ERR' }, 'error: failed to connect service at "10.244.0.5:9000": ERR'],
    [
      { kind: 'rpcError', code: 'Unimplemented', message: 'MSG' },
      'error: this server does not implement the grpc health protocol (grpc.health.v1.Health): MSG',
    ],
    [{ kind: 'rpcTimeout' }, 'timeout: health rpc did not complete within 1s'],
    [{ kind: 'rpcError', code: 'DeadlineExceeded', message: '' }, 'timeout: health rpc did not complete within 1s'],
    [
      { kind: 'rpcError', code: 'NotFound', message: 'unknown service' },
      'error: health rpc probe failed: rpc error: code = NotFound desc = unknown service',
    ],
    [{ kind: 'response', status: 'NOT_SERVING' }, 'service unhealthy (responded with "NOT_SERVING")'],
    [{ kind: 'response', status: 'UNKNOWN' }, 'service unhealthy (responded with "UNKNOWN")'],
    [{ kind: 'response', status: 'SERVICE_UNKNOWN' }, 'service unhealthy (responded with "SERVICE_UNKNOWN")'],
  ];
  const asked: unknown[] = [];
  const probe = (reply: GrpcHealthReply): Promise<ProbeOutcome> => {
    const target = { host: podIP, port: 9000, service: 'my', timeoutSeconds: 1 };
    const grpcHealth = (...args: readonly unknown[]): Promise<GrpcHealthReply> => {
      asked.push(args.slice(0, 2));
      return Promise.resolve(reply);
    };
    return runGrpcProbe(target, { grpcHealth }, signal);
  };
  for (const [reply, output] of rows) assert.deepEqual(await probe(reply), { kind: 'failure', output });
  assert.deepEqual(await probe({ kind: 'response', status: 'SERVING' }), {
    kind: 'success',
    output: 'service healthy',
  });
  assert.deepEqual(asked[0], [{ host: podIP, port: 9000, service: 'my', userAgent: 'kube-probe/1.34' }, 1_000]);
});
