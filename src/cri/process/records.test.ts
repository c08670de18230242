import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { Records } from './records.ts';

test('what a killed process had only begun to write is gone after the next start, and the record is as it was', async () => {
  const stateDir = fs.mkdtempSync(path.join(os.tmpdir(), 'livelet-records-'));
  const sandbox = { id: 's', config: {} };
  new Records(stateDir);
  const file = path.join(stateDir, 'sandboxes', 's.json');
  fs.writeFileSync(file, JSON.stringify(sandbox));
  fs.writeFileSync(`${file}.123-0.tmp`, '{"id"');
  const { sandboxes } = new Records(stateDir).load();
  assert.deepEqual(sandboxes, [sandbox]);
  assert.deepEqual(fs.readdirSync(path.dirname(file)), ['s.json']);
  fs.rmSync(stateDir, { recursive: true });
});
