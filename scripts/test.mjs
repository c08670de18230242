// Runs the unit tests (beside the source) and those of test/ that need nothing but Node.js.
// `npm test -- PART...` runs only the files whose path contains one of the parts.
// `npm run test:ci` runs what needs more: root, the real kubectl, Debian packages, or minutes of real time.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const needMore = path.join('test', 'ci');

function testFiles(directory) {
  return fs.readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const name = path.join(directory, entry.name);
    if (entry.isDirectory()) return testFiles(name);
    return name.endsWith('.test.ts') ? [name] : [];
  });
}

const wantsCi = process.argv.includes('--ci');
const parts = process.argv.slice(2).filter((part) => part !== '--ci');
const files = ['src', 'test']
  .flatMap(testFiles)
  .filter((file) => file.startsWith(needMore) === wantsCi)
  .filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)));
if (files.length === 0) {
  console.error('no test file matches');
  process.exit(1);
}
// What takes minutes in real time is not to be disturbed; the rest may use every core.
const concurrency = wantsCi ? 1 : os.availableParallelism();
const options = ['--import', 'tsx', '--test', '--test-reporter=spec', `--test-concurrency=${concurrency}`];
const { status } = spawnSync(process.execPath, [...options, ...files], { stdio: 'inherit' });
process.exit(status ?? 1);
