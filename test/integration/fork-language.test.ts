import { expect } from 'chai';
import { runFixture } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

const guarantees: [name: string, title: string, answer: unknown, node?: string[]][] = [
  ['closures', 'closures and everything reachable from them', [42, 1, 3, true]],
  ['warm-modules', 'modules already loaded, with their state', [true, 5, 1]],
  ['cold-modules', 'require() of further modules', 'loaded in the child'],
  [
    'event-loop',
    'timers, immediates, ticks and microtasks, in order',
    ['script', 'tick', 'microtask', 'immediate', 'timer'],
  ],
  ['interval', 'intervals', 3],
  ['timer-after-parents', 'a timer later than those of the parent', true],
  ['unref-timer', 'an unreferenced timer, which does not hold it', true],
  ['dynamic-import', 'import() of files, builtins and data', [42, 'b', 3]],
  ['wasm-sync', 'synchronous WebAssembly', 42],
  ['wasm-async', 'asynchronous WebAssembly compilation and instantiation', [42, 42]],
  ['wasm-of-parent', "the parent's WebAssembly instance", 42],
  ['worker', 'a Worker', [true, 42]],
  ['workers', 'eight Workers at once', [0, 1, 2, 3, 4, 5, 6, 7]],
  ['message-channel', 'a MessageChannel of its own', [['a', 1]]],
  ['wait-async', 'Atomics.waitAsync, notified and timed out', ['ok', 'timed-out']],
  ['finalization', 'FinalizationRegistry', true, ['--expose-gc']],
  ['nested', 'start() of grandchild and great-grandchild', 7],
  ['nested-siblings', 'several grandchildren one after the other', [10, 20, 30]],
  ['async-local-storage', 'the store of AsyncLocalStorage', [1, null, 1, 2]],
  ['profiler', 'an inspector session with the CPU profiler', true],
  ['heap-snapshot', 'a heap snapshot', true],
  ['vm', 'a vm context', '2,4'],
  ['global-domain', 'callbacks and signals, though the domain module is a global', 12],
];

describe('fork: a child may rely on', () => {
  assertNothingLeaks();

  for (const [name, title, answer, node = []] of guarantees) {
    it(title, async () => {
      const result = await runFixture('fork/language.js', { args: [name], node });
      expect(result.stderr).to.equal('');
      expect(JSON.parse(result.stdout)).to.deep.equal({
        said: answer,
        code: 0,
        signal: 0,
      });
    });
  }
});
