import { expect } from 'chai';
import { runFixture } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

const five = (what: string): string[] => Array<string>(5).fill(what);

const kinds: [kind: string, title: string, parent: string[]][] = [
  ['fs-callbacks', 'finished fs calls', five('stat')],
  ['fs-promises', 'finished fs promises', five('stat')],
  ['zlib', 'finished compressions', five('gzip')],
  ['timers-of-one-list', 'timers of the same duration', five('timer')],
  ['timers-of-several-lists', 'timers of different durations', five('timer')],
  ['immediates', 'immediates', five('immediate')],
  ['messages', 'messages of one port', five('message')],
  ['message-ports', 'messages of several ports', five('message')],
  ['connections', 'connections to accept', five('connection')],
  ['stream-chunks', 'chunks of a stream', ['received all']],
  ['writes-under-pressure', 'writes to finish', [...five('written'), 'received all']],
  ['datagrams', 'datagrams', five('datagram')],
  ['child-exits', 'exits of child processes', five('exit')],
  ['signals', 'signals', ['signal', 'signal']],
];

describe('fork: start() in the first of several callbacks of a turn', () => {
  assertNothingLeaks();

  for (const [kind, title, parent] of kinds) {
    it(`${title}: the others reach the parent, and it alone`, async () => {
      const result = await runFixture('fork/same-turn.js', { args: [kind], timeoutMs: 10_000 });
      expect(result.stderr).to.equal('');
      expect(JSON.parse(result.stdout)).to.deep.equal({
        parent: [...parent, 'reaped 0 0'].sort(),
        child: ['child works'],
      });
      expect(result.code).to.equal(0);
    });
  }
});
