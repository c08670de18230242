// One file for each part that is loaded at a time: a start then reads a dozen files and not three hundred, which is half of
// its time. Libraries with binaries of their own stay outside.
export default {
  input: { cli: 'src/cli/main.ts', livelet: 'src/main/livelet.ts' },
  platform: 'node',
  external: [/^lmdb$/, /^@lydell\/node-pty$/],
  tsconfig: 'tsconfig.build.json',
  logLevel: 'warn',
  output: { dir: 'dist/bundle', format: 'esm', chunkFileNames: '[name]-[hash].js', cleanDir: true },
};
