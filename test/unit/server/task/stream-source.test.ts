import { expect } from 'chai';
import { systemError } from '../../../../lib/errors';
import { hasGivenUp } from '../../../../lib/server/task/stream-source';

describe('StreamSource', () => {
  describe('does not call a packet bad when who sent it', () => {
    for (const [what, code, syscall] of [
      ['has gone before the byte that says it was done', 'EPIPE', 'write'],
      ['has left that byte unread', 'ECONNRESET', 'read'],
      ['has ended in the middle of its frame', 'EPROTO', 'read'],
    ] as const) {
      it(what, () => {
        expect(hasGivenUp(systemError(code, syscall, 'of a test'))).to.equal(true);
      });
    }
  });

  it('does for one that comes too slowly, or is no frame', () => {
    expect(hasGivenUp(systemError('ETIMEDOUT', 'read', 'of a test'))).to.equal(false);
    expect(hasGivenUp(new Error('a frame of 0 bytes'))).to.equal(false);
  });
});
