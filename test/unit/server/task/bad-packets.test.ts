import { expect } from 'chai';
import sinon from 'sinon';
import { warnOfBadPacket } from '../../../../lib/server/task/bad-packets';

describe('warnings of bad task packets', () => {
  afterEach(() => {
    sinon.restore();
  });

  it('are ten in a second, and the next one tells of those left out', () => {
    const warn = sinon.stub(process, 'emitWarning');
    const begin = performance.now() + 1_000_000;
    for (let i = 0; i < 25; i++) warnOfBadPacket('garbage', begin + i);
    expect(warn.callCount).to.equal(10);
    warnOfBadPacket('garbage', begin + 1000);
    warnOfBadPacket('garbage', begin + 1001);
    const texts = warn.args.slice(10).map(([text]) => String(text));
    expect(texts[0]).to.include('15 before it');
    expect(texts[1]).to.equal('bad task packet: garbage');
  });
});
