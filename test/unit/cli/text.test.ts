import { expect } from 'chai';
import {
  age,
  bytes,
  count,
  cut,
  fit,
  harmless,
  percent,
  rate,
  sparkline,
  widthOf,
} from '../../../lib/cli/text';

describe('text for a terminal', () => {
  it('is harmless: nothing in it is obeyed', () => {
    expect(harmless('\x1b]0;title\x07a\x1b[2Jb\tc\r\n\x9b1m\x7f')).to.equal(']0;titlea[2Jb  c1m');
  });

  it('has a width in columns', () => {
    expect(widthOf('abc')).to.equal(3);
    expect(widthOf('日本')).to.equal(4);
    expect(widthOf('e\u0301')).to.equal(1);
    expect(widthOf('▁█')).to.equal(2);
  });

  it('is cut before the character that does not fit', () => {
    expect(cut('日本', 3)).to.equal('日');
    expect(cut('abc', 0)).to.equal('');
    expect(fit('日本', 3)).to.equal('日 ');
    expect(fit('ab', 4, 'right')).to.equal('  ab');
    expect(fit('abcdef', 4, 'right')).to.equal('abcd');
  });

  it('numbers take few columns', () => {
    expect([0, 12.4, 99_999, 123_456, 2_500_000, 3e9].map(count)).to.deep.equal([
      ...['0', '12', '99999', '123k', '2.5M', '3.0G'],
    ]);
    expect([null, 0, 0.25, 99.9, 1234].map(rate)).to.deep.equal(['-', '0', '0.3', '99.9', '1234']);
    expect([0, 0.456, 1].map(percent)).to.deep.equal(['0%', '46%', '100%']);
    expect([0, 999, 1000, 5 * 2 ** 20, 300 * 2 ** 20, 2 ** 41].map(bytes)).to.deep.equal([
      ...['0B', '999B', '1.0K', '5.0M', '300M', '2.0T'],
    ]);
    expect([-5, 59_999, 60_000, 3_600_000 * 5, 86_400_000 * 3].map(age)).to.deep.equal([
      ...['0s', '59s', '1m00s', '5h00m', '3d00h'],
    ]);
  });

  describe('sparkline', () => {
    it('draws the newest values, at the right', () => {
      expect(sparkline([0, 0.5, 1], 3, 1)).to.equal('▁▅█');
      expect(sparkline([1, 0, 1], 2, 1)).to.equal('▁█');
      expect(sparkline([1], 3, 1)).to.equal('  █');
      expect(sparkline([0, 7], 2, 7, false)).to.equal('_#');
    });

    it('draws nothing wrong when there is nothing to draw', () => {
      expect(sparkline([], 3, 0)).to.equal('   ');
      expect(sparkline([5, 5], 2, 0)).to.equal('▁▁');
      expect(sparkline([1], 0, 1)).to.equal('');
      expect(sparkline([9, -1], 2, 1)).to.equal('█▁');
    });
  });
});
