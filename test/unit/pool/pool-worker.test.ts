import { expect } from 'chai';
import { patience } from '../../../lib/pool/pool-worker';

describe('patience', () => {
  it('leaves a tenth of maxWaitTime to the forced end, 100 ms at least, half of it at most', () => {
    const left = [5000, 1000, 999, 500, 200, 150, 1].map((maxWaitTime) => {
      return maxWaitTime - patience(maxWaitTime);
    });
    expect(left).to.deep.equal([500, 100, 100, 100, 100, 75, 0.5]);
  });
});
