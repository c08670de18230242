import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';

interface LockedPackage {
  readonly version?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly cpu?: readonly string[];
}

// npm 11 refuses to `npm ci` from a lock file that lacks them, and older ones install nothing on the platforms left out.
// npm itself leaves out what its registry does not have.
test('the lock file names the binaries of every platform, with the CPU that they are for', () => {
  // The shape of a lock file of version 3.
  const { packages } = JSON.parse(fs.readFileSync('package-lock.json', 'utf8')) as {
    readonly packages: Readonly<Record<string, LockedPackage>>;
  };
  const missing = Object.values(packages)
    .flatMap((locked) => Object.keys(locked.optionalDependencies ?? {}))
    .filter((name) => packages[`node_modules/${name}`] === undefined);
  assert.deepEqual(missing, []);
  const binaries = Object.entries(packages).filter(([key]) => /(darwin|win32|android|musl)/.test(key));
  assert.notEqual(binaries.length, 0);
  assert.deepEqual(
    binaries.filter(([, locked]) => locked.cpu === undefined).map(([key]) => key),
    [],
  );
});
