import { expect } from 'chai';
import { runFixture } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

/** Where start() is called, and what the rest of that place does, in the parent only. */
const places: [place: string, title: string, rest: string[]][] = [
  ['top-level', 'the top level of a script', []],
  ['try-finally', 'try, with catch and finally', ['catch', 'finally']],
  ['nested-finally', 'a function in a try block', ['inner finally', 'outer finally']],
  ['timer', 'a timer', []],
  ['interval', 'an interval', Array<string>(3).fill('tick of the interval')],
  ['immediate', 'an immediate', ['next immediate']],
  ['next-tick', 'a nextTick callback', ['next tick']],
  ['microtask', 'a microtask', ['next microtask']],
  ['promise-chain', 'a promise chain', ['then', 'finally']],
  ['socket-data', "a socket's data event", ['rest of the listener', 'answer']],
  ['http-handler', 'an http handler', ['rest of the handler', 'answer']],
  [
    'tls-connection',
    "a TLS server's secureConnection event",
    ['rest of the listener', 'answer to question'],
  ],
  ['http2-stream', "an http2 server's stream event", ['rest of the listener', 'answer']],
  ['event-emitter', 'a listener', ['next listener']],
  ['array-map', 'a callback of Array.map', ['element 1', 'element 2', 'element 3']],
  ['getter', 'a getter', ['property is a object']],
  ['constructor', 'a constructor', ['field', 'instance of Derived']],
  ['async-before-await', 'an async function, before await', ['after await']],
  ['async-after-await', 'an async function, after await', ['after await', 'finally']],
  ['generator', 'a generator', ['finally', '1,2']],
  ['async-generator', 'an async generator', ['number 1', 'number 2']],
  ['sort', 'a comparator', ['sorted 1', 'sorted 2']],
  ['json', 'toJSON', ['"value"']],
  ['proxy', 'the trap of a Proxy', ['trapped']],
  ['vm-context', 'another vm context', ['value']],
  ['fs-callback', 'a callback of fs', ['rest of the callback']],
  ['watch-listener', 'a listener of fs.watch', ['rest of the listener']],
  ['closed-watch-listener', 'a listener of fs.watch that has closed it', ['rest of the listener']],
  ['exception-listener', 'an uncaughtException listener', ['rest of the listener']],
  ['before-exit', 'a beforeExit listener', []],
];

const pending = ['immediate', 'microtask', 'promise', 'tick', 'timer'].map(
  (kind) => `pending ${kind}`,
);

describe('fork: start() in', () => {
  assertNothingLeaks();

  for (const [place, title, rest] of places) {
    it(`${title}: the child leaves it, the parent goes on`, async () => {
      const { code, stdout, stderr } = await runFixture('fork/start-in.js', { args: [place] });
      expect(stderr).to.equal('');
      expect(JSON.parse(stdout)).to.deep.equal({
        parent: ['after start', ...pending, ...pending, 'reaped 7 0', ...rest].sort(),
        child: ['callback', 'own timer'],
      });
      expect(code).to.equal(0);
    });
  }
});
