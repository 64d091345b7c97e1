import { expect } from 'chai';
import { resultOf } from '../fixtures/process/result';
import { assertNothingLeaks } from '../support/leaks';

const OWN_SERVER = 'pool/own-server.js';

/** net's option came with Node 23.1 and 22.12. */
function hasReusePort(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  return major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12);
}

describe('pool: workers that listen by themselves', () => {
  assertNothingLeaks();

  it('two on one port: both serve (reuse_port)', async function () {
    if (!hasReusePort()) this.skip();
    expect(await resultOf(OWN_SERVER, ['reusePort'])).to.deep.equal({
      answers: ['0', '1'],
      errors: 0,
    });
  });

  it('each serves two clients at a time, and so do their successors (socket_coro)', async () => {
    const twice = (id: number) => [`${String(id)} 2`, `${String(id)} 2`];
    expect(await resultOf(OWN_SERVER, ['concurrent'])).to.deep.equal({
      first: [twice(0), twice(1)],
      second: [twice(0), twice(1)],
      errors: 0,
    });
  });
});
