import { expect } from 'chai';
import { LineReader } from '../../../lib/control/line-reader';
import { ControlError } from '../../../lib/control/protocol';

describe('LineReader', () => {
  const push = (reader: LineReader, text: string): string[] => reader.push(Buffer.from(text));

  it('gives whole lines, however they come', () => {
    const reader = new LineReader(100);
    expect(push(reader, 'a\nb')).to.deep.equal(['a']);
    expect(push(reader, '')).to.deep.equal([]);
    expect(push(reader, 'c\r\n\n  \nd\n')).to.deep.equal(['bc', 'd']);
  });

  it('joins characters that were cut in the middle', () => {
    const reader = new LineReader(100);
    const bytes = Buffer.from('日\n');
    expect(reader.push(bytes.subarray(0, 2))).to.deep.equal([]);
    expect(reader.push(bytes.subarray(2))).to.deep.equal(['日']);
  });

  it('takes lines up to its limit, not one byte more', () => {
    const reader = new LineReader(4);
    expect(push(reader, 'abcd\nabcd\n')).to.deep.equal(['abcd', 'abcd']);
    push(reader, 'abcd');
    expect(() => push(reader, 'e'))
      .to.throw(ControlError, '4 bytes')
      .with.property('code', 'ERR_LINE_TOO_LONG');
  });
});
