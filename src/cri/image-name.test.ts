import assert from 'node:assert/strict';
import { test } from 'node:test';
import { imageNameText, parseImageName } from './image-name.ts';

function full(text: string): string | undefined {
  const name = parseImageName(text);
  return name === undefined ? undefined : imageNameText(name);
}

test('a short name gets its registry, its repository and its tag', () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  const cases = {
    busybox: 'docker.io/library/busybox:latest',
    'busybox:1.29': 'docker.io/library/busybox:1.29',
    'luksa/kubia-unhealthy': 'docker.io/luksa/kubia-unhealthy:latest',
    'docker.io/busybox': 'docker.io/library/busybox:latest',
    'localhost/app': 'localhost/app:latest',
    'registry.example.com:5000/a/b/c:v1': 'registry.example.com:5000/a/b/c:v1',
    [`busybox@${digest}`]: `docker.io/library/busybox@${digest}`,
    [`busybox:1@${digest}`]: `docker.io/library/busybox:1@${digest}`,
  };
  for (const [text, expected] of Object.entries(cases)) assert.equal(full(text), expected, text);
});

test('the old name of the default registry is the same registry', () => {
  assert.equal(full('index.docker.io/busybox'), 'docker.io/library/busybox:latest');
});

test('what is no image name is none', () => {
  for (const text of [
    '',
    ':',
    'a b',
    'UPPER',
    'a/',
    '/a',
    'a:',
    'a:b c',
    'a@sha256:12',
    'a..b',
    `${'a'.repeat(300)}`,
  ]) {
    assert.equal(full(text), undefined, text);
  }
});
