import { constants } from 'node:os';
import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { children } from '../../../lib/process/children';
import type * as Signals from '../../../lib/process/signals';
import { fresh, thrownBy } from '../fake-kernel';

describe('signals', () => {
  let watch: sinon.SinonStub;
  let toDefault: sinon.SinonStub;
  let ignore: sinon.SinonStub;
  let kill: sinon.SinonStub;
  let signals: typeof Signals;

  const callback = (): void => undefined;
  const nothingSet = (): void => {
    expect([watch, toDefault, ignore].some((stub) => stub.called)).to.equal(false);
  };

  beforeEach(() => {
    watch = sinon.stub(binding, 'signalWatch');
    toDefault = sinon.stub(binding, 'signalDefault');
    ignore = sinon.stub(binding, 'signalIgnore');
    kill = sinon.stub(binding, 'kill').returns(true);
    // What was registered is kept by the module.
    signals = fresh('process/signals');
  });
  afterEach(() => {
    sinon.restore();
  });

  describe('setSignal', () => {
    it('registers a callback by number or by name', () => {
      signals.setSignal(10, callback);
      signals.setSignal('SIGHUP', callback);
      expect(watch.args).to.deep.equal([
        [10, callback],
        [constants.signals.SIGHUP, callback],
      ]);
    });

    it('takes the realtime signals 34 to 64', () => {
      for (const signo of [34, 64]) signals.setSignal(signo, callback);
      expect(watch.callCount).to.equal(2);
    });

    it('ignores by SIG_IGN', () => {
      signals.setSignal('SIGTERM', signals.SIG_IGN);
      expect(ignore.args).to.deep.equal([[constants.signals.SIGTERM]]);
    });

    it('null brings the default action back, after a callback and after SIG_IGN', () => {
      signals.setSignal(10, callback);
      signals.setSignal(12, signals.SIG_IGN);
      for (const signo of [10, 12]) signals.setSignal(signo, null);
      expect(toDefault.args).to.deep.equal([[10], [12]]);
    });

    it('null without a registered callback is ERR_NO_SIGNAL_HANDLER', () => {
      const { message } = thrownBy(() => {
        signals.setSignal(10, null);
      }, 'ERR_NO_SIGNAL_HANDLER');
      expect(message).to.include('signal 10');
      nothingSet();
    });

    it('null works once for each registration', () => {
      signals.setSignal(10, callback);
      signals.setSignal(10, null);
      thrownBy(() => {
        signals.setSignal(10, null);
      }, 'ERR_NO_SIGNAL_HANDLER');
    });

    for (const signal of ['SIGKILL', 'SIGSTOP', 32, 33] as const) {
      it(`refuses ${String(signal)}, which cannot be caught`, () => {
        const { message } = thrownBy(() => {
          signals.setSignal(signal, callback);
        }, 'ERR_OUT_OF_RANGE');
        expect(message).to.include('cannot be caught');
        nothingSet();
      });
    }

    for (const signo of [0, -1, 65, 1.5]) {
      it(`refuses the number ${String(signo)} and names the range`, () => {
        const { message } = thrownBy(() => {
          signals.setSignal(signo, callback);
        }, 'ERR_OUT_OF_RANGE');
        expect(message).to.include('from 1 to 64');
      });
    }

    it('refuses an unknown name', () => {
      const { message } = thrownBy(() => {
        signals.setSignal('SIGNOTHING' as never, callback);
      }, 'ERR_OUT_OF_RANGE');
      expect(message).to.include('SIGNOTHING');
    });

    it('does not take a name of Object for a signal', () => {
      thrownBy(() => {
        signals.setSignal('toString' as never, callback);
      }, 'ERR_OUT_OF_RANGE');
    });

    it('refuses what is neither number nor name', () => {
      thrownBy(() => {
        signals.setSignal({} as never, callback);
      }, 'ERR_INVALID_ARG_TYPE');
    });

    it('refuses a callback that is no function, and registers nothing', () => {
      thrownBy(() => {
        signals.setSignal(10, 'exit' as never);
      }, 'ERR_INVALID_ARG_TYPE');
      thrownBy(() => {
        signals.setSignal(10, null);
      }, 'ERR_NO_SIGNAL_HANDLER');
      nothingSet();
    });

    it('registers nothing when the kernel refuses', () => {
      watch.throws(new Error('refused'));
      expect(() => {
        signals.setSignal(10, callback);
      }).to.throw('refused');
      thrownBy(() => {
        signals.setSignal(10, null);
      }, 'ERR_NO_SIGNAL_HANDLER');
    });
  });

  describe('signals of a pool or server', () => {
    const own = (): void => undefined;

    it('are watched for their owner, by name or number', () => {
      signals.reserveSignals('pool', { SIGUSR1: own, 34: own });
      expect(watch.args).to.have.deep.members([
        [constants.signals.SIGUSR1, own],
        [34, own],
      ]);
    });

    it('are refused to the user, who is told the owner', () => {
      signals.reserveSignals('pool', { SIGUSR1: own });
      watch.resetHistory();
      for (const wanted of [callback, null, signals.SIG_IGN] as const) {
        const { message } = thrownBy(() => {
          signals.setSignal('SIGUSR1', wanted);
        }, 'ERR_RESERVED_SIGNAL');
        expect(message).to.include('belongs to the pool');
      }
      nothingSet();
    });

    it('have the default action again once released', () => {
      signals.reserveSignals('pool', { SIGUSR1: own });
      signals.releaseSignals('pool');
      expect(toDefault.args).to.deep.equal([[constants.signals.SIGUSR1]]);
      signals.setSignal('SIGUSR1', callback);
    });

    it('go back to what the user had registered: callback or SIG_IGN', () => {
      signals.setSignal('SIGUSR1', callback);
      signals.setSignal('SIGUSR2', signals.SIG_IGN);
      signals.reserveSignals('pool', { SIGUSR1: own, SIGUSR2: own });
      watch.resetHistory();
      ignore.resetHistory();
      signals.releaseSignals('pool');
      expect(watch.args).to.deep.equal([[constants.signals.SIGUSR1, callback]]);
      expect(ignore.args).to.deep.equal([[constants.signals.SIGUSR2]]);
      expect(toDefault.called).to.equal(false);
    });

    it('of another owner stay when one releases its own', () => {
      signals.reserveSignals('pool', { SIGUSR1: own });
      signals.reserveSignals('server', { SIGUSR2: own });
      signals.releaseSignals('pool');
      thrownBy(() => {
        signals.setSignal('SIGUSR2', callback);
      }, 'ERR_RESERVED_SIGNAL');
    });
  });

  describe('sendSignal', () => {
    it('says whether there was such a process', () => {
      expect(signals.sendSignal(4_194_305, 'SIGTERM')).to.equal(true);
      kill.returns(false);
      expect(signals.sendSignal(4_194_305, 'SIGTERM')).to.equal(false);
      expect(kill.lastCall.args).to.deep.equal([4_194_305, constants.signals.SIGTERM]);
    });

    it('0 asks only; a negative pid is a group', () => {
      signals.sendSignal(-7, 0);
      expect(kill.lastCall.args).to.deep.equal([-7, 0]);
    });

    it('never reaches a stranger who got the pid of a reaped child', () => {
      sinon.stub(children, 'isUnclaimed').withArgs(4242).returns(true);
      expect(signals.sendSignal(4242, 'SIGKILL')).to.equal(false);
      expect(kill.called).to.equal(false);
    });

    it('refuses a pid or a signal out of range', () => {
      thrownBy(() => signals.sendSignal(2 ** 31, 'SIGTERM'), 'ERR_OUT_OF_RANGE');
      thrownBy(() => signals.sendSignal(1.5, 'SIGTERM'), 'ERR_OUT_OF_RANGE');
      thrownBy(() => signals.sendSignal(1, 65), 'ERR_OUT_OF_RANGE');
      thrownBy(() => signals.sendSignal(1, -1), 'ERR_OUT_OF_RANGE');
      thrownBy(() => signals.sendSignal('1' as never, 0), 'ERR_INVALID_ARG_TYPE');
      expect(kill.called).to.equal(false);
    });
  });
});
