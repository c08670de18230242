#!/usr/bin/env node
// Checks the version of Node.js before anything newer is parsed, then starts the CLI.
import { existsSync } from 'node:fs';

const nodeVersionMin = [20, 19];
const [major, minor] = process.versions.node.split('.').map(Number);
const program = new URL('../dist/bundle/cli.js', import.meta.url);

if (major < nodeVersionMin[0] || (major === nodeVersionMin[0] && minor < nodeVersionMin[1])) {
  fail(`livelet needs Node.js ${nodeVersionMin.join('.')} or newer; this is ${process.versions.node}`);
} else if (!existsSync(program)) {
  fail('livelet is not built: run "npm ci" (or "npm run build") in its directory first');
} else {
  void import(program.href).then(({ main }) => main());
}

function fail(message) {
  console.error(`error: ${message}`);
  process.exitCode = 1;
}
