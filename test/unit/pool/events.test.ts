import { expect } from 'chai';
import sinon from 'sinon';
import { PoolCallbacks } from '../../../lib/pool/events';
import type { ProcessPool } from '../../../lib/pool/process-pool';
import { thrownBy } from '../fake-kernel';

const pool = {} as ProcessPool;

describe('PoolCallbacks', () => {
  let callbacks: PoolCallbacks;

  beforeEach(() => {
    callbacks = new PoolCallbacks();
  });

  for (const name of [
    'start',
    'workerStart',
    'message',
    'workerStop',
    'workerExit',
    'workerError',
    'degraded',
    'shutdown',
  ] as const) {
    it(`knows ${name}, in any case`, () => {
      for (const spelling of [name, name.toLowerCase(), name.toUpperCase()]) {
        const fresh = new PoolCallbacks();
        fresh.set(spelling, () => spelling);
        expect(fresh.has(name)).to.equal(true);
        expect(fresh.call(name, ...([pool] as never))).to.equal(spelling);
      }
    });
  }

  it('passes all arguments and returns what the callback returns', () => {
    const callback = sinon.fake.returns('result');
    callbacks.set('workerStart', callback);
    expect(callbacks.call('workerStart', pool, 3)).to.equal('result');
    expect(callback.args).to.deep.equal([[pool, 3]]);
  });

  it('a second callback replaces the first', () => {
    const first = sinon.fake();
    callbacks.set('start', first);
    callbacks.set('START', () => 'second');
    expect(callbacks.call('start', pool)).to.equal('second');
    expect(first.called).to.equal(false);
  });

  it('an event without a callback is nothing', () => {
    expect(callbacks.has('shutdown')).to.equal(false);
    expect(callbacks.call('shutdown', pool)).to.equal(undefined);
  });

  it('lets through what a callback throws', () => {
    callbacks.set('start', () => {
      throw new Error('mine');
    });
    expect(() => callbacks.call('start', pool)).to.throw('mine');
  });

  it('refuses an unknown name, and says the nearest', () => {
    const { message } = thrownBy(() => {
      callbacks.set('workerStarted', () => undefined);
    }, 'ERR_UNKNOWN_EVENT');
    expect(message).to.equal('a pool has no event "workerStarted"; the nearest is "workerStart"');
    thrownBy(() => {
      callbacks.set('', () => undefined);
    }, 'ERR_UNKNOWN_EVENT');
  });

  it('refuses what is no function, and keeps the callback there was', () => {
    callbacks.set('message', () => 'kept');
    for (const callback of [undefined, null, 'f', {}]) {
      thrownBy(() => {
        callbacks.set('message', callback);
      }, 'ERR_INVALID_ARG_TYPE');
    }
    expect(callbacks.call('message', pool, Buffer.from('x'))).to.equal('kept');
  });
});
