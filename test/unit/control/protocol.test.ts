import { expect } from 'chai';
import { checkRequest, idOf, parseLine } from '../../../lib/control/protocol';

describe('control protocol', () => {
  const codeOf = (value: unknown): unknown => {
    try {
      return checkRequest(value);
    } catch (error) {
      return (error as { code: string }).code;
    }
  };

  it('takes what it knows, with defaults', () => {
    expect(codeOf({ id: 1, op: 'status' })).to.deep.equal({ id: 1, op: 'status' });
    expect(codeOf({ id: 1, op: 'reload' })).to.deep.equal({
      id: 1,
      op: 'reload',
      onlyTasks: false,
    });
    expect(codeOf({ id: 0, op: 'watch' })).to.deep.equal({ id: 0, op: 'watch', intervalMs: 1000 });
    expect(codeOf({ id: 1, op: 'stopWorker', workerId: 3, more: true })).to.deep.equal({
      ...{ id: 1, op: 'stopWorker', workerId: 3 },
    });
  });

  it('refuses everything else', () => {
    const wrong = [
      null,
      1,
      'status',
      [],
      {},
      { op: 'status' },
      { id: '1', op: 'status' },
      { id: 1.5, op: 'status' },
    ];
    for (const value of wrong)
      expect(codeOf(value), JSON.stringify(value)).to.equal('ERR_BAD_REQUEST');
    for (const op of [undefined, 5, '', 'constructor', '__proto__', 'x'.repeat(1000)]) {
      expect(codeOf({ id: 1, op }), String(op)).to.equal('ERR_UNKNOWN_OP');
    }
    const fields = [
      { op: 'watch', intervalMs: 99 },
      { op: 'watch', intervalMs: 60_001 },
      { op: 'stopWorker' },
      { op: 'stopWorker', workerId: '1' },
      { op: 'stopWorker', workerId: 1.5 },
      { op: 'reload', onlyTasks: 1 },
    ];
    for (const field of fields) expect(codeOf({ id: 1, ...field })).to.equal('ERR_BAD_REQUEST');
  });

  it('does not repeat a long text in its answer', () => {
    expect(() => checkRequest({ id: 1, op: 'x'.repeat(1000) }))
      .to.throw()
      .with.property('message')
      .that.has.length.below(200);
  });

  it('finds the id of a request that is wrong otherwise', () => {
    expect(idOf({ id: 5 })).to.equal(5);
    expect([idOf(null), idOf([]), idOf({ id: 'x' }), idOf({ id: 2 ** 60 })]).to.deep.equal([
      ...[null, null, null, null],
    ]);
    expect(() => parseLine('{'))
      .to.throw()
      .with.property('code', 'ERR_BAD_REQUEST');
  });
});
