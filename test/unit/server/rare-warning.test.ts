import { expect } from 'chai';
import sinon from 'sinon';
import { RareWarning } from '../../../lib/server/rare-warning';

describe('RareWarning', () => {
  afterEach(() => {
    sinon.restore();
  });

  function told(most: number | undefined, times: readonly number[]): unknown[] {
    const warn = sinon.stub(process, 'emitWarning');
    const warning = new RareWarning('CODE', most);
    for (const time of times) warning.tell('garbage', time);
    expect(
      warn.args.every(([, options]) => (options as { code: string }).code === 'CODE'),
    ).to.equal(true);
    return warn.args.map(([text]) => text);
  }

  it('is told so often in a second, and the next one tells of those left out', () => {
    const times = Array.from({ length: 25 }, (_, i) => 5000 + i);
    expect(told(10, [...times, 6000, 6001])).to.deep.equal([
      ...Array.from({ length: 10 }, () => 'garbage'),
      'garbage (and 15 before it that were not told)',
      'garbage',
    ]);
  });

  it('is told once a second where nothing else is said', () => {
    expect(told(undefined, [5000, 5999, 6000])).to.deep.equal([
      'garbage',
      'garbage (and 1 before it that were not told)',
    ]);
  });
});
