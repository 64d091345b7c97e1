import { expect } from 'chai';
import { runFixture } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

const guarantees: [name: string, title: string, answer: unknown][] = [
  ['inherited-fd', 'an inherited fd, with its position', 'second'],
  ['inherited-socket-fd', "the fd of a parent's socket", 'over the inherited fd'],
  ['net-tcp', 'TCP: a server and a client of its own', 'hello'],
  ['net-unix', 'a unix socket', 'hello'],
  ['dgram', 'UDP', 'datagram'],
  ['http', 'an http server of its own, by fetch and http.get', ['you are /fetch', 'you are /get']],
  ['fetch-storm', '50 fetches at once', true],
  ['fs', 'fs with promises, callbacks and streams', ['content', 'content', 'content']],
  ['fs-watch', 'fs.watch', 'watched'],
  ['fs-watch-beside-parent', "fs.watch beside its parent's", ['of-the-child', []]],
  ['dns', 'dns.lookup', [true, '127.0.0.1']],
  ['zlib', 'zlib calls and pipelines', [1_000_000, 'b']],
  ['crypto', 'crypto on the thread pool', [true, 16, 16, 'ba7816bf', true]],
  ['tls-just-loaded', 'TLS, though the parent has only just loaded it', 'ECONNREFUSED'],
  ['exec', 'child_process.exec', '42'],
  ['spawn', 'child_process.spawn with pipes', ['through a program', 5]],
  ['spawn-sync', 'child_process.execFileSync', 'sync'],
  ['child-process-fork', 'child_process.fork with its channel', ['got message', 0]],
];

describe('fork: a child may rely on I/O:', () => {
  assertNothingLeaks();

  for (const [name, title, answer] of guarantees) {
    it(title, async () => {
      const result = await runFixture('fork/io.js', { args: [name] });
      expect(result.stderr).to.equal('');
      expect(JSON.parse(result.stdout)).to.deep.equal({ said: answer, code: 0, signal: 0 });
      expect(result.leftFiles).to.deep.equal([]);
    });
  }
});
