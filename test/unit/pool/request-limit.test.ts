import { expect } from 'chai';
import sinon from 'sinon';
import { requestLimit } from '../../../lib/pool/request-limit';

describe('requestLimit', () => {
  afterEach(() => {
    sinon.restore();
  });

  it('is none when there is none, whatever the grace', () => {
    expect([requestLimit(0, 0), requestLimit(0, 100)]).to.deep.equal([0, 0]);
  });

  it('is the limit itself without grace', () => {
    expect([requestLimit(1, 0), requestLimit(1000, 0)]).to.deep.equal([1, 1000]);
  });

  it('is one to `grace` more than the limit', () => {
    const random = sinon.stub(Math, 'random');
    random.returns(0);
    expect(requestLimit(1000, 500)).to.equal(1001);
    random.returns(1 - 2 ** -53);
    expect(requestLimit(1000, 500)).to.equal(1500);
    expect(requestLimit(1000, 1)).to.equal(1001);
  });

  it('differs from worker to worker', () => {
    const drawn = new Set(Array.from({ length: 50 }, () => requestLimit(1000, 1_000_000)));
    expect(drawn.size).to.be.above(1);
  });
});
