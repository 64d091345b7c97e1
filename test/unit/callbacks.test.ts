import { expect } from 'chai';
import sinon from 'sinon';
import { Callbacks } from '../../lib/callbacks';
import { thrownBy } from './fake-kernel';

interface Events {
  workerStart: (id: number) => unknown;
  close: (id: number, reason: string) => unknown;
}

describe('Callbacks', () => {
  let callbacks: Callbacks<Events>;

  beforeEach(() => {
    callbacks = new Callbacks<Events>('a server', ['workerStart', 'close']);
  });

  it('has none before one is set', () => {
    expect(callbacks.get('close')).to.equal(undefined);
    expect([callbacks.has('workerStart'), callbacks.has('close')]).to.deep.equal([false, false]);
    expect(callbacks.call('close', 1, 'gone')).to.equal(undefined);
  });

  it('calls the one that was set, with its arguments, and returns what that returns', () => {
    const close = sinon.fake.returns('done');
    callbacks.set('close', close);
    expect(callbacks.call('close', 7, 'gone')).to.equal('done');
    expect(close.args).to.deep.equal([[7, 'gone']]);
    expect(callbacks.has('workerStart'), 'another').to.equal(false);
  });

  for (const name of ['workerStart', 'WorkerStart', 'workerstart', 'WORKERSTART']) {
    it(`knows workerStart as ${name}`, () => {
      const callback = (): void => undefined;
      callbacks.set(name, callback);
      expect(callbacks.get('workerStart')).to.equal(callback);
    });
  }

  it('replaces the first by a second', () => {
    const first = sinon.fake();
    callbacks.set('close', first);
    callbacks.set('Close', () => 2);
    expect(callbacks.call('close', 1, '')).to.equal(2);
    expect(first.called).to.equal(false);
  });

  it('refuses an event that does not exist, names whose events they are and the nearest', () => {
    const { message } = thrownBy(() => {
      callbacks.set('wrkerStart', () => undefined);
    }, 'ERR_UNKNOWN_EVENT');
    expect(message).to.equal('a server has no event "wrkerStart"; the nearest is "workerStart"');
  });

  it('refuses a name that is no string', () => {
    for (const wrong of [undefined, null, 5, Symbol('close')]) {
      thrownBy(() => {
        callbacks.set(wrong as unknown as string, () => undefined);
      }, 'ERR_INVALID_ARG_TYPE');
    }
  });

  for (const wrong of [undefined, null, 'close', {}]) {
    it(`refuses ${JSON.stringify(wrong) ?? 'undefined'} as a callback and keeps the one before`, () => {
      const callback = (): void => undefined;
      callbacks.set('close', callback);
      thrownBy(() => {
        callbacks.set('close', wrong);
      }, 'ERR_INVALID_ARG_TYPE');
      expect(callbacks.get('close')).to.equal(callback);
    });
  }

  it('lets out what a callback throws', () => {
    callbacks.set('close', () => {
      throw new Error('mine');
    });
    expect(() => callbacks.call('close', 1, '')).to.throw('mine');
  });

  it('keeps its own: another set of the same events has others', () => {
    const other = new Callbacks<Events>('a port', ['workerStart', 'close']);
    callbacks.set('close', () => 1);
    expect(other.has('close')).to.equal(false);
  });
});
