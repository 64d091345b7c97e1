import v8 from 'node:v8';
import { expect } from 'chai';
import sinon from 'sinon';
import { compiledAhead } from '../../lib/compile-ahead';

describe('compiledAhead', () => {
  let flags: string[];

  beforeEach(() => {
    flags = [];
    sinon.stub(v8, 'setFlagsFromString').callsFake((flag) => flags.push(flag));
  });
  afterEach(() => {
    sinon.restore();
  });

  it('has V8 compile all at once while it loads, and only then', () => {
    const loaded = compiledAhead(() => [...flags]);
    expect(loaded).to.deep.equal(['--no-lazy']);
    expect(flags).to.deep.equal(['--no-lazy', '--lazy']);
  });

  it('also where that fails', () => {
    const load = (): never => {
      throw new Error('not there');
    };
    expect(() => compiledAhead(load)).to.throw('not there');
    expect(flags.at(-1)).to.equal('--lazy');
  });
});
