// Loaded before node:test. Its harness follows every promise of a test, from its making to its collection, to know whose
// test an uncaught error belongs to: a third of what the tests in virtual time cost. Here it follows only what nests tests
// (suites are async resources, not promises). A rejection that nobody handles then fails its process and not one test: what
// it was is printed with its stack.
import asyncHooks from 'node:async_hooks';

const { createHook } = asyncHooks;
asyncHooks.createHook = ({ init, ...others }) => {
  if (!Object.hasOwn(others, 'destroy')) return createHook({ init, ...others }); // not the harness
  asyncHooks.createHook = createHook;
  process.on('unhandledRejection', (reason) => console.error('not handled:', reason));
  return createHook({
    init(asyncId, type, triggerId, resource) {
      if (type !== 'PROMISE') init(asyncId, type, triggerId, resource);
    },
  });
};
