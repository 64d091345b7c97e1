import { expect } from 'chai';
import { framing, packetsOf } from './support';

describe('framingFactory', () => {
  it('gives every chunk as it came when no protocol is open', () => {
    const splitter = framing({});
    const chunk = Buffer.from('a\r\n\r\nb');
    expect(splitter.push(chunk)[0]).to.equal(chunk);
    expect(packetsOf(splitter, 'c', 'd')).to.deep.equal(['c', 'd']);
    expect(splitter.failure).to.equal(null);
    expect(splitter.pendingBytes).to.equal(0);
  });

  it('gives no empty packets', () => {
    for (const options of [{}, { openEofCheck: true }, { openEofSplit: true }]) {
      expect(framing(options).push(Buffer.alloc(0))).to.deep.equal([]);
    }
    expect(framing({ openLengthCheck: true }).push(Buffer.alloc(0))).to.deep.equal([]);
  });

  it('splits when both eof settings are on', () => {
    const options = { openEofCheck: true, openEofSplit: true, packageEof: '\n' };
    expect(packetsOf(framing(options), 'a\nb\n')).to.deep.equal(['a\n', 'b\n']);
  });

  it('prefers an eof to a length', () => {
    const options = { openEofCheck: true, openLengthCheck: true, packageEof: '\n' };
    expect(packetsOf(framing(options), '\0\0\0\x01ab\n')).to.deep.equal(['\0\0\0\x01ab\n']);
  });

  it('ignores the details of protocols that are not open', () => {
    const splitter = framing({ packageEof: '\n', packageLengthFunc: () => -1 });
    expect(packetsOf(splitter, 'a\nb')).to.deep.equal(['a\nb']);
  });
});
