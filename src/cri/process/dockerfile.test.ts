import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDockerfile } from './dockerfile.ts';

test('the last stage says how to run', () => {
  const parsed = parseDockerfile(`
# syntax=docker/dockerfile:1
ARG VERSION=20
FROM node:18 AS build
ENTRYPOINT ["make"]
ENV ONLY=there
FROM --platform=linux/amd64 node:\${VERSION}
ENV A=1 B="two words" C=$A-x \\
    D='q'
ENV OLD form of it
WORKDIR /srv
WORKDIR app
USER node:node
EXPOSE 8080 9090/udp
STOPSIGNAL SIGQUIT
COPY --from=build /x /y
RUN npm ci
ENTRYPOINT ["node", "app.js"]
CMD ["--port", "8080"]
`);
  assert.deepEqual(parsed, {
    from: 'node:20',
    entrypoint: ['node', 'app.js'],
    cmd: ['--port', '8080'],
    env: [
      { key: 'A', value: '1' },
      { key: 'B', value: 'two words' },
      { key: 'C', value: '-x' }, // as Docker: one line sees the variables of the lines before it
      { key: 'D', value: 'q' },
      { key: 'OLD', value: 'form of it' },
    ],
    workingDir: '/srv/app',
    user: 'node:node',
    exposedPorts: ['8080', '9090/udp'],
    stopSignal: 'SIGQUIT',
    ignored: ['COPY', 'RUN'],
  });
});

test('a command that is no JSON list goes through a shell, unexpanded', () => {
  const { entrypoint, cmd } = parseDockerfile("FROM x\nENV P=1\nENTRYPOINT exec app $P\nCMD ['not', 'json']\n");
  assert.deepEqual(entrypoint, ['/bin/sh', '-c', 'exec app $P']);
  assert.deepEqual(cmd, ['/bin/sh', '-c', "['not', 'json']"]);
});

test('an ENTRYPOINT drops the CMD before it', () => {
  assert.deepEqual(parseDockerfile('FROM x\nCMD ["a"]\nENTRYPOINT ["b"]\n').cmd, []);
});

test('nonsense is passed over', () => {
  assert.equal(parseDockerfile('\0\n???\nFROM\nENV\n\\').from, '');
});
