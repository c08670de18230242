import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import tls from 'node:tls';
import type { LogFields } from '../base/log.ts';
import { noLog } from '../base/log.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { ensurePki, type Pki, type PkiOptions, renewBeforeMs } from './pki.ts';

const dayMs = 24 * 60 * 60 * 1_000;
const options: PkiOptions = { nodeName: 'node-1', ipAddresses: ['192.0.2.7', 'fd00::7'] };

const kubelet = 'apiserver-kubelet-client.pem';

/** What lies in the files. */
function kept({ authority: _authority, ...files }: Pki): Partial<Pki> {
  return files;
}

interface Fixture {
  readonly directory: string;
  readonly made: string[]; // `server.pem: near its end`, in order
  ensure(afterMs?: number, changed?: Partial<PkiOptions>): Promise<Pki>;
}

function withDirectory(body: (fixture: Fixture) => void | Promise<void>): () => Promise<void> {
  return async () => {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-pki-'));
    const startMs = Date.now(); // the handshakes are judged by the real time
    const made: string[] = [];
    const info = (_event: string, fields?: LogFields): void => {
      made.push(`${path.basename(String(fields?.['file']))}: ${fields?.['reason']}`);
    };
    const ensure = (afterMs = 0, changed: Partial<PkiOptions> = {}): Promise<Pki> => {
      const clock = new VirtualClock({ epochMs: startMs + afterMs });
      return ensurePki(directory, { ...options, ...changed }, { clock, log: { ...noLog, info } });
    };
    try {
      await body({ directory, made, ensure });
    } finally {
      fs.rmSync(directory, { recursive: true });
    }
  };
}

test(
  'the certificates have the subjects, names, uses and life times that Kubernetes expects',
  withDirectory(async ({ ensure }) => {
    const pki = await ensure();
    const [ca, server, admin] = [pki.caPem, pki.serverCertPem, pki.adminCertPem].map((pem) => new X509Certificate(pem));
    assert.ok(ca !== undefined && server !== undefined && admin !== undefined);
    assert.ok(ca.ca && !server.ca && !admin.ca);
    for (const certificate of [ca, server, admin]) {
      assert.ok(certificate.verify(ca.publicKey) && certificate.checkIssued(ca));
      assert.equal(certificate.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
    }
    assert.equal(server.subject, 'CN=kube-apiserver');
    assert.equal(
      server.subjectAltName,
      'DNS:kubernetes, DNS:kubernetes.default, DNS:kubernetes.default.svc, DNS:kubernetes.default.svc.cluster.local, ' +
        'DNS:localhost, DNS:node-1, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, IP Address:192.0.2.7, ' +
        'IP Address:FD00:0:0:0:0:0:0:7',
    );
    assert.equal(admin.subject, 'O=system:masters\nCN=kubernetes-admin');
    assert.deepEqual([server.keyUsage, admin.keyUsage], [['1.3.6.1.5.5.7.3.1'], ['1.3.6.1.5.5.7.3.2']]);
    const lifeDays = (certificate: X509Certificate): number =>
      Math.round((Date.parse(certificate.validTo) - Date.parse(certificate.validFrom)) / dayMs);
    assert.deepEqual([ca, server, admin].map(lifeDays), [3_650, 365, 365]);
    assert.equal(pki.notAfterWallMs, Date.parse(server.validTo));
    assert.equal(new Set([ca, server, admin].map(({ serialNumber }) => serialNumber)).size, 3);
  }),
);

test(
  'a TLS server and a client with these certificates trust each other, under every name; others are refused',
  withDirectory(async ({ ensure }) => {
    const pki = await ensure();
    const server = tls.createServer(
      { cert: pki.serverCertPem, key: pki.serverKeyPem, ca: pki.caPem, requestCert: true, rejectUnauthorized: true },
      (socket) => socket.end(String(socket.getPeerCertificate().subject.CN)),
    );
    server.on('tlsClientError', () => {}); // the refused client is what this test wants
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    // A TCP server has an AddressInfo.
    const { port } = server.address() as AddressInfo;
    const greet = async (connection: tls.ConnectionOptions): Promise<string> => {
      const socket = tls.connect({ host: '127.0.0.1', port, ca: pki.caPem, ...connection });
      let text = '';
      for await (const chunk of socket) text += String(chunk);
      return text;
    };
    const client = { cert: pki.adminCertPem, key: pki.adminKeyPem };
    try {
      for (const servername of ['localhost', 'kubernetes.default.svc', 'node-1']) {
        assert.equal(await greet({ ...client, servername }), 'kubernetes-admin');
      }
      assert.equal(await greet(client), 'kubernetes-admin', 'by the address');
      await assert.rejects(greet({ ...client, servername: 'elsewhere' }), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
      await assert.rejects(greet({ ...client, ca: [] }), { code: 'SELF_SIGNED_CERT_IN_CHAIN' });
      const asClient = { cert: pki.serverCertPem, key: pki.serverKeyPem };
      // In TLS 1.3 a client learns only later, if at all, that its certificate was refused: it gets no answer.
      const answer = (connection: tls.ConnectionOptions): Promise<string> => greet(connection).catch(() => '');
      assert.equal(await answer({}), '', 'without a client certificate');
      assert.equal(await answer(asClient), '', 'the server certificate is not for clients');
    } finally {
      server.close();
      await once(server, 'close');
    }
  }),
);

test(
  'the files are for their owner only, and a second start changes nothing',
  withDirectory(async ({ directory, made, ensure }) => {
    const first = await ensure();
    const files = ['admin.pem', 'apiserver-kubelet-client.pem', 'ca.pem', 'server.pem'];
    assert.deepEqual(fs.readdirSync(path.join(directory, 'pki')).sort(), files);
    const mode = (name: string): number => fs.statSync(path.join(directory, 'pki', name)).mode & 0o777;
    assert.deepEqual(['.', ...files].map(mode), [0o700, 0o600, 0o600, 0o600, 0o600]);
    fs.chmodSync(path.join(directory, 'pki', 'ca.pem'), 0o644);
    assert.deepEqual(kept(await ensure(dayMs)), kept(first));
    assert.deepEqual(made, ['ca.pem: missing', 'server.pem: missing', 'admin.pem: missing', `${kubelet}: missing`]);
    assert.equal(mode('ca.pem'), 0o600);
  }),
);

test(
  'a certificate near its end is made anew, the authority stays',
  withDirectory(async ({ made, ensure }) => {
    const first = await ensure();
    made.length = 0;
    const justBeforeMs = 365 * dayMs - renewBeforeMs - 60_000;
    assert.deepEqual(kept(await ensure(justBeforeMs)), kept(first));
    const renewed = await ensure(justBeforeMs + 120_000);
    assert.deepEqual(made, ['server.pem: near its end', 'admin.pem: near its end', `${kubelet}: near its end`]);
    assert.equal(renewed.caPem, first.caPem);
    assert.ok(renewed.notAfterWallMs > first.notAfterWallMs + 300 * dayMs);
  }),
);

test(
  'no certificate outlives the authority, and the last ones are not made again and again',
  withDirectory(async ({ made, ensure }) => {
    const { caPem } = await ensure();
    const pki = await ensure(3_640 * dayMs);
    assert.equal(
      new Date(pki.notAfterWallMs).toUTCString(),
      new Date(new X509Certificate(caPem).validTo).toUTCString(),
    );
    made.length = 0;
    await ensure(3_645 * dayMs);
    assert.deepEqual(made, []);
  }),
);

test(
  'other names or addresses make a new server certificate',
  withDirectory(async ({ made, ensure }) => {
    await ensure();
    made.length = 0;
    const { serverCertPem } = await ensure(0, { nodeName: 'node-2' });
    assert.equal(new X509Certificate(serverCertPem).checkHost('node-1'), undefined);
    await ensure(0, { nodeName: 'node-2', ipAddresses: [] });
    await ensure(0, { nodeName: 'node-2', ipAddresses: [] });
    assert.deepEqual(made, ['server.pem: for other names', 'server.pem: for other names']);
    await assert.rejects(() => ensure(0, { ipAddresses: ['192.0.2.300'] }), { reason: 'Forbidden' });
  }),
);

test(
  'a damaged or foreign certificate is made anew; a damaged authority is an error that names its file',
  withDirectory(async ({ directory, made, ensure }) => {
    await ensure();
    const file = (name: string): string => path.join(directory, 'pki', name);
    const whole = fs.readFileSync(file('server.pem'), 'utf8');
    made.length = 0;
    for (const text of ['', whole.slice(0, 700), whole.replace('A', 'B'), fs.readFileSync(file('ca.pem'), 'utf8')]) {
      fs.writeFileSync(file('server.pem'), text);
      await ensure();
    }
    assert.equal(made.length, 4);
    const ca = fs.readFileSync(file('ca.pem'), 'utf8');
    for (const text of ['', ca.slice(0, 300), ca.replace(/(?<=PRIVATE KEY-----\n)[^-]*/, whole.slice(-100, -30))]) {
      fs.writeFileSync(file('ca.pem'), text);
      await assert.rejects(() => ensure(), {
        reason: 'InternalError',
        message: /ca\.pem is damaged .* restore it, or remove/,
      });
    }
    fs.rmSync(file('ca.pem'));
    made.length = 0;
    await ensure();
    const foreign = 'signed by another authority';
    assert.deepEqual(made, [
      'ca.pem: missing',
      `server.pem: ${foreign}`,
      `admin.pem: ${foreign}`,
      `${kubelet}: ${foreign}`,
    ]);
  }),
);

test(
  'a clock outside the life of the authority is an error that says so',
  withDirectory(async ({ ensure }) => {
    await ensure();
    const early = { reason: 'InternalError', message: /ca\.pem is valid from .* clock .* set the clock/ };
    await assert.rejects(() => ensure(-dayMs), early);
    await assert.rejects(() => ensure(3_651 * dayMs), { reason: 'InternalError', message: /ca\.pem was valid until / });
  }),
);

test(
  'a leftover of a start that was killed is no obstacle',
  withDirectory(async ({ directory, ensure }) => {
    fs.mkdirSync(path.join(directory, 'pki'));
    fs.writeFileSync(path.join(directory, 'pki', 'ca.pem.new'), 'half');
    await ensure();
    assert.deepEqual(fs.readdirSync(path.join(directory, 'pki')).sort(), [
      'admin.pem',
      'apiserver-kubelet-client.pem',
      'ca.pem',
      'server.pem',
    ]);
  }),
);

test(
  'a directory that cannot be used is an error that names it',
  withDirectory(async ({ directory, ensure }) => {
    fs.writeFileSync(path.join(directory, 'pki'), 'a file');
    await assert.rejects(() => ensure(), {
      reason: 'Forbidden',
      message: /^cannot use the certificates in .*pki: EEXIST/,
    });
  }),
);
