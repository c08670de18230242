import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { ManifestDirectory } from './manifest-directory.ts';

function temporary(): string {
  return fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-manifests-'));
}

test('the manifests are the YAML and JSON files of the directory itself, as far as they can be read', async () => {
  const directory = temporary();
  const write = (name: string, text: string): void => fs.writeFileSync(path.join(directory, name), text);
  write('a.yaml', 'kind: Pod\nmetadata: {name: a}\n');
  write('b.json', '{"kind": "Pod"}');
  write('broken.yml', 'kind: [Pod\n');
  write('two.yml', 'kind: Pod\n---\nkind: Pod\n');
  write('half.json', '{"kind": ');
  write('empty.json', '');
  write('.hidden.yaml', 'kind: Pod\n');
  write('a.yaml~', 'kind: Pod\n');
  fs.mkdirSync(path.join(directory, 'd.yaml'));
  fs.symlinkSync('nowhere', path.join(directory, 'link.yaml'));
  write('large.yaml', '');
  fs.truncateSync(path.join(directory, 'large.yaml'), 10 * 1_024 * 1_024 + 1);
  const found = await new ManifestDirectory(directory).read();
  const byName = Object.fromEntries(found.map((each) => [path.relative(directory, each.path), each.content]));
  const problemOf = (name: string): string => {
    const content = byName[name];
    delete byName[name];
    return content !== undefined && 'problem' in content ? content.problem : `${name} has no problem`;
  };
  assert.match(problemOf('broken.yml'), /^Flow sequence in block collection must be/);
  assert.match(problemOf('two.yml'), /multiple documents/);
  assert.match(problemOf('half.json'), /JSON/);
  assert.match(problemOf('large.yaml'), /more than 10485760 bytes/);
  assert.deepEqual(byName, {
    'a.yaml': { value: { kind: 'Pod', metadata: { name: 'a' } } },
    'b.json': { value: { kind: 'Pod' } },
    'empty.json': { value: null },
  });
  fs.rmSync(directory, { recursive: true });
  assert.deepEqual(await new ManifestDirectory(directory).read(), []);
});

test('changes are told, also when another directory takes the place of the first', async () => {
  const directory = temporary();
  const source = new ManifestDirectory(directory);
  const controller = new AbortController();
  let wake = (): void => {};
  const told = (): Promise<void> => new Promise((resolve) => (wake = resolve));
  const watching = source.watch(() => wake(), controller.signal);
  const first = told();
  fs.writeFileSync(path.join(directory, 'a.yaml'), 'kind: Pod\n');
  await first;
  const gone = told();
  fs.rmSync(directory, { recursive: true });
  await gone;
  assert.deepEqual(await source.read(), []);
  fs.mkdirSync(directory);
  await source.read();
  const second = told();
  fs.writeFileSync(path.join(directory, 'b.yaml'), 'kind: Pod\n');
  await second;
  assert.deepEqual(
    (await source.read()).map((each) => path.basename(each.path)),
    ['b.yaml'],
  );
  controller.abort();
  await watching;
  fs.rmSync(directory, { recursive: true });
});
