/** The rules that the compiler and the linter cannot see: who may import whom, what pure folders may not call. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

/** Folder of src/ -> the folders it may import (docs/architecture.md has the same table). */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  base: [],
  api: ['base'],
  store: ['base'],
  cri: ['base', 'streaming'],
  streaming: ['base', 'cri', 'kubelet'],
  client: ['base', 'api'],
  apiserver: ['base', 'api', 'store'],
  scheduler: ['base', 'api', 'client'],
  controllers: ['base', 'api', 'client'],
  kubelet: ['base', 'api', 'client', 'cri'],
  sim: ['base', 'store', 'cri', 'client', 'kubelet', 'apiserver'],
  insight: ['base', 'api', 'client', 'kubelet', 'sim'],
  host: ['base', 'store', 'cri', 'client', 'kubelet', 'apiserver'],
  cli: ['base', 'api', 'client', 'insight', 'main'],
  main: [
    'base',
    'api',
    'store',
    'cri',
    'client',
    'apiserver',
    'scheduler',
    'controllers',
    'kubelet',
    'streaming',
    'sim',
    'insight',
    'host',
  ],
};

/** Folders that may use node: and npm packages. All other folders are pure. */
const adapters = [
  'host',
  'main',
  'cli',
  'store/lmdb',
  'store/etcd',
  'apiserver/http',
  'client/http',
  'cri/process',
  'cri/grpc',
  'streaming',
];

const bannedInPure: readonly (readonly [pattern: RegExp, instead: string])[] = [
  [/\bDate\.now\s*\(/, 'the injected Clock'],
  [/\bnew Date\(\s*\)/, 'the injected Clock'],
  [/\bMath\.random\b/, 'the injected Entropy'],
  [/\bperformance\./, 'the injected Clock'],
  [/\bAbortSignal\.timeout\b/, 'clock.sleep with a name'],
  [/\bAbortSignal\.any\b/, 'TaskScope, which lets go of its parent'],
  [/\bWeakRef\b|\bFinalizationRegistry\b/, 'an explicit life time'],
  [/\.localeCompare\b|\.toLocale[A-Z]/, 'comparison by code unit'],
  [/\bawait import\b|[^.\w]import\(/, 'a static import, or injection'],
  [/\bconsole\./, 'the injected Log'],
  [/\bsetTimeout\b|\bsetInterval\b|\bsetImmediate\b|\bqueueMicrotask\b/, 'clock.sleep with a name'],
];
/** The one place where a macrotask boundary is made. */
const mayUseSetImmediate = 'src/sim/virtual-clock.ts';

const importPattern =
  /(?:^|[;\n])\s*(?:import|export)\b[^'"`;]*?from\s*['"]([^'"]+)['"]|(?:^|[;\n])\s*import\s*['"]([^'"]+)['"]/g;

function filesUnder(directory: string): string[] {
  return fs.readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const name = path.join(directory, entry.name);
    return entry.isDirectory() ? filesUnder(name) : [name];
  });
}

interface SourceFile {
  readonly name: string;
  /** Folder of src/: `kubelet`. */
  readonly folder: string;
  readonly isAdapter: boolean;
  readonly isTest: boolean;
  readonly text: string;
  /** Without comments, so that prose may name what is banned. */
  readonly code: string;
  readonly imports: readonly string[];
}

const sources: readonly SourceFile[] = filesUnder('src')
  .filter((name) => name.endsWith('.ts') && !name.includes('/gen/'))
  .map((name) => {
    const text = fs.readFileSync(name, 'utf8');
    const relative = path.relative('src', name);
    return {
      name,
      folder: relative.split(path.sep)[0] ?? '',
      isAdapter: adapters.some((adapter) => relative.startsWith(`${adapter}${path.sep}`)),
      isTest: name.endsWith('.test.ts'),
      text,
      code: text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|\s)\/\/.*$/gm, ''),
      imports: [...text.matchAll(importPattern)].map((match) => match[1] ?? match[2] ?? ''),
    };
  });

test('a folder imports only the folders below it', () => {
  const bad = sources
    .filter((file) => !file.isTest)
    .flatMap((file) =>
      file.imports
        .filter((target) => target.startsWith('.'))
        .map((target) => path.relative('src', path.resolve(path.dirname(file.name), target)).split(path.sep)[0] ?? '')
        .filter((to) => to !== file.folder && !mayImport[file.folder]?.includes(to))
        .map((to) => `${file.name} imports ${to}/`),
    );
  assert.deepEqual(bad, []);
});

test('every folder of src/ has its row in the table of imports', () => {
  const folders = fs.readdirSync('src').sort();
  assert.deepEqual(
    folders.filter((folder) => mayImport[folder] === undefined),
    [],
  );
});

test('the pure part of a folder never imports its own adapter', () => {
  const bad = sources
    .filter((file) => !file.isAdapter && !file.isTest)
    .flatMap((file) =>
      file.imports
        .filter((target) => target.startsWith('.'))
        .map((target) => path.relative('src', path.resolve(path.dirname(file.name), target)))
        .filter((to) => adapters.some((adapter) => adapter.includes('/') && to.startsWith(`${adapter}/`)))
        .map((to) => `${file.name} imports ${to}`),
    );
  assert.deepEqual(bad, []);
});

test('pure folders use no node: module, no npm package, no clock, no randomness', () => {
  const bad = sources
    .filter((file) => !file.isAdapter && !file.isTest)
    .flatMap((file) => [
      ...file.imports.filter((target) => !target.startsWith('.')).map((target) => `${file.name} imports ${target}`),
      ...bannedInPure
        .filter(([pattern]) => pattern.test(file.code))
        .filter(([pattern]) => !(file.name === mayUseSetImmediate && pattern.source.includes('setImmediate')))
        .map(([pattern, instead]) => `${file.name}: ${pattern.source}; use ${instead}`),
    ]);
  assert.deepEqual(bad, []);
});

test('an assertion of a type says above it why it holds', () => {
  const bad = sources
    .filter((file) => !file.isTest)
    .flatMap((file) => {
      const lines = file.text.split('\n');
      return lines.flatMap((line, index) => {
        const code = line.replace(/\/\/.*$/, '').replaceAll(/'[^']*'|`[^`]*`/g, "''");
        if (!/[\w)\]}] as (?!const\b)[A-Za-z{('[]/.test(code) || /^\s*(?:import|export|\*|\/\*)/.test(line)) return [];
        const explained =
          /\/\//.test(line) || [1, 2, 3].some((back) => /^\s*(?:\/\/|\*)/.test(lines[index - back] ?? ''));
        return explained ? [] : [`${file.name}:${index + 1}: ${line.trim()}`];
      });
    });
  assert.deepEqual(bad, []);
});

test('lines have at most 120 columns, and no leftover marks', () => {
  const bad = sources.flatMap((file) =>
    file.text.split('\n').flatMap((line, index) => {
      const tooLong = line.length > 120 && !/['"`].{80,}/.test(line);
      const mark = /\b(?:FIXME|TODO|XXX)\b/.test(line);
      return tooLong || mark ? [`${file.name}:${index + 1}`] : [];
    }),
  );
  assert.deepEqual(bad, []);
});

test('names of files are kebab-case and say what is in them', () => {
  const bad = sources.filter(
    (file) =>
      !/^[a-z0-9-]+(?:\.test)?\.ts$/.test(path.basename(file.name)) ||
      /(?:^|\/)(?:utils?|helpers?|common|shared|index)(?:\/|\.ts$)/.test(file.name),
  );
  assert.deepEqual(
    bad.map((file) => file.name),
    [],
  );
});

test('no path of one machine and no registry host is in the project', () => {
  const tracked = execFileSync('git', ['ls-files'], { encoding: 'utf8' }).split('\n').filter(Boolean);
  const bad = tracked
    .filter((name) => fs.existsSync(name) && name !== 'test/tidy.test.ts')
    .filter((name) => {
      const text = fs.readFileSync(name, 'utf8');
      return /(?:^|[^\w.-])\/(?:work|farm)\//m.test(text) || /"resolved": *"http/.test(text);
    });
  assert.deepEqual(bad, []);
});
