import { expect } from 'chai';
import { nearest } from '../../lib/nearest';

const NAMES = ['workerStart', 'workerStop', 'receive', 'close'];

describe('nearest', () => {
  it('is the name itself when it is known', () => {
    for (const name of NAMES) expect(nearest(name, NAMES)).to.equal(name);
  });

  it('counts a missing, an added, a wrong and two swapped letters as typing errors', () => {
    const typed = ['recive', 'recceive', 'reveive', 'recieve'];
    expect(typed.map((name) => nearest(name, NAMES))).to.deep.equal(typed.map(() => 'receive'));
  });

  it('does not mind the case', () => {
    expect(nearest('WORKERSTART', NAMES)).to.equal('workerStart');
    expect(nearest('onClose', ['ONCLOSED', 'onReceive'])).to.equal('ONCLOSED');
  });

  it('tells names apart by their ends too', () => {
    expect(nearest('workerSto', NAMES)).to.equal('workerStop');
    expect(nearest('workerStar', NAMES)).to.equal('workerStart');
  });

  it('takes the first of several that are as near', () => {
    expect(nearest('bat', ['cat', 'rat'])).to.equal('cat');
  });

  it('of an empty name is the shortest', () => {
    expect(nearest('', NAMES)).to.equal('close');
  });

  it('of nothing known is empty', () => {
    expect(nearest('close', [])).to.equal('');
  });
});
