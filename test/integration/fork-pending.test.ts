import { expect } from 'chai';
import { runFixture } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

const pending: [name: string, title: string, count: number, note: string][] = [
  ['timers', 'timers', 3, 'timer'],
  ['interval', 'an interval', 1, 'third tick'],
  ['immediates', 'immediates', 3, 'immediate'],
  ['ticks', 'nextTick callbacks', 3, 'tick'],
  ['microtasks', 'microtasks', 3, 'microtask'],
  ['await-chain', 'an async function that waits', 1, 'after three awaits'],
  ['rejection', 'an unhandled rejection not yet reported', 1, 'unhandled rejection'],
  ['late-handler', 'a rejection that is about to be handled', 1, 'handled later'],
  ['server-close', 'server.close() of the same tick', 1, 'closed'],
  ['socket-destroy', 'socket.destroy() of the same tick', 2, 'close'],
  ['wasm-compile', 'WebAssembly.compile', 1, 'compiled'],
  ['fs-reads', '20 reads of fs.promises', 20, 'read'],
  ['pbkdf2', '8 pbkdf2', 8, 'derived'],
  ['zlib', 'a compression', 1, 'packed'],
  ['dns', 'dns.lookup', 1, 'looked up'],
  ['connect', 'a connection being made', 1, 'connected'],
  ['fetch', 'a fetch', 1, 'answer'],
  ['spawn', 'a running program', 1, 'exit of a program'],
  ['messages', 'messages of a port', 3, 'message'],
  ['abort-timeout', 'AbortSignal.timeout', 1, 'aborted'],
  ['wait-async', 'Atomics.waitAsync', 1, 'timed out'],
];

describe('fork: comes about in the parent only when it was pending:', () => {
  assertNothingLeaks();

  for (const [name, title, count, note] of pending) {
    it(title, async () => {
      const result = await runFixture('fork/pending.js', { args: [name] });
      expect(result.stderr).to.equal('');
      expect(JSON.parse(result.stdout)).to.deep.equal({
        parent: [...Array<string>(count).fill(note), 'reaped 0 0'].sort(),
        child: ['child ends', 'child works'],
      });
      expect(result.code).to.equal(0);
    });
  }
});
