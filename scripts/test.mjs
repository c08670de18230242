// Runs the unit tests (beside the source) and those of test/ that need nothing but Node.js.
// `npm test -- PART...` runs only the files whose path contains one of the parts.
// `npm run test:ci` runs what needs more: root, the real kubectl, Debian packages, or minutes of real time.
//
// A process of its own for every file costs more than most files do. So those of a folder share one, one test after the
// other, except what works with processes and sockets: that waits more than it computes, and has a process for each file.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const needMore = path.join('test', 'ci');
const ofItsOwn = /from '(node:(child_process|http|https|net|tls|worker_threads)|(\.\.?\/)+main\/[^']+)'/;
// Those that take longest in real time: begun first, so that they wait while the others compute.
const longest = [path.join('test', 'seeds'), path.join('test', 'contract'), path.join('test', 'failover')];

function testFiles(directory) {
  return fs.readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const name = path.join(directory, entry.name);
    if (entry.isDirectory()) return testFiles(name);
    return name.endsWith('.test.ts') ? [name] : [];
  });
}

/** What is to be run, a process each: the files alone, and one that imports the others for every folder of src/. */
function processes(files, directory) {
  const alone = [];
  const shared = new Map();
  for (const file of files) {
    const [root, folder] = file.split(path.sep);
    if (root !== 'src' || ofItsOwn.test(fs.readFileSync(file, 'utf8'))) alone.push(file);
    else shared.set(folder, [...(shared.get(folder) ?? []), file]);
  }
  const groups = [...shared].map(([folder, members]) => {
    const entry = path.join(directory, `src-${folder}.mjs`);
    fs.writeFileSync(entry, members.map((file) => `import '${pathToFileURL(path.resolve(file)).href}';\n`).join(''));
    return entry;
  });
  const first = longest.flatMap((prefix) => alone.filter((file) => file.startsWith(prefix)));
  return [...first, ...groups, ...alone.filter((file) => !first.includes(file))];
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
const hooks = pathToFileURL(path.resolve('scripts', 'test-hooks.mjs')).href;
const options = ['--import', hooks, '--import', 'tsx', '--test', '--test-reporter=spec'];
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-tests-'));
try {
  const entries = processes(files, directory);
  const command = [...options, `--test-concurrency=${concurrency}`, ...entries];
  process.exitCode = spawnSync(process.execPath, command, { stdio: 'inherit' }).status ?? 1;
} finally {
  fs.rmSync(directory, { recursive: true, force: true });
}
