/**
 * The tester is tested: applies each patch of `mutants/` to a copy of the project, and expects one of the first 150
 * seeds to fail in it. `npx tsx test/seeds/mutants.ts [NAME...]`. A patch that no longer applies is a failure too. Needs git.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const seedsMax = 150; // most are caught by one of the first five, those that need a rare coincidence by the 90th
const root = path.resolve(import.meta.dirname, '../..');
const mutants = path.join(import.meta.dirname, 'mutants');
const copied = ['src', 'test', 'types', 'package.json', 'tsconfig.json', 'tsconfig.pure.json'];

/** What the seeds say about the project with the patch in it; `undefined`: they all come to rest. */
function verdictOn(patch: string): string | undefined {
  const copy = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-mutant-'));
  try {
    for (const name of copied) fs.cpSync(path.join(root, name), path.join(copy, name), { recursive: true });
    fs.symlinkSync(path.join(root, 'node_modules'), path.join(copy, 'node_modules'));
    const options = { cwd: copy, encoding: 'utf8' } as const;
    const applied = spawnSync('git', ['apply', '--recount', patch], options);
    if (applied.status !== 0) throw new Error(`${path.basename(patch)} does not apply: ${applied.stderr}`);
    const args = ['--import', 'tsx', 'test/seeds/run.ts', '--count', String(seedsMax)];
    if (path.basename(patch).startsWith('cluster-')) args.push('--clusters', '--nodes', '6');
    const run = spawnSync(process.execPath, args, options);
    return run.status === 0 ? undefined : (run.stdout + run.stderr).trim().split('\n')[0];
  } finally {
    fs.rmSync(copy, { recursive: true, force: true });
  }
}

const wanted = process.argv.slice(2);
for (const file of fs.readdirSync(mutants).sort()) {
  const name = path.basename(file, '.patch');
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const verdict = verdictOn(path.join(mutants, file));
  console.log(`${name}: ${verdict === undefined ? `NOT CAUGHT within ${seedsMax} seeds` : `caught: ${verdict}`}`);
  if (verdict === undefined) process.exitCode = 1;
}
