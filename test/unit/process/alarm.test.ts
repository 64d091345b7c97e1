import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { ITIMER_PROF, ITIMER_REAL, ITIMER_VIRTUAL, setAlarm } from '../../../lib/process/alarm';
import { thrownBy } from '../fake-kernel';

describe('alarm', () => {
  let setTimer: sinon.SinonStub;

  beforeEach(() => {
    setTimer = sinon.stub(binding, 'setTimer');
  });
  afterEach(() => {
    sinon.restore();
  });

  it('sets each of the three timers by its number', () => {
    for (const type of [ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF]) setAlarm(1000, type);
    expect(setTimer.args).to.deep.equal([
      [0, 1000],
      [1, 1000],
      [2, 1000],
    ]);
  });

  it('cancels by zero and by any negative time', () => {
    setAlarm(0, ITIMER_REAL);
    setAlarm(-5, ITIMER_REAL);
    expect(setTimer.args).to.deep.equal([
      [0, 0],
      [0, 0],
    ]);
  });

  it('takes times over 2^32 microseconds', () => {
    setAlarm(2 ** 40, ITIMER_REAL);
    expect(setTimer.firstCall.args).to.deep.equal([0, 2 ** 40]);
  });

  for (const type of [-1, 3, 0.5]) {
    it(`refuses the timer type ${String(type)} and names the valid ones`, () => {
      const { message } = thrownBy(() => {
        setAlarm(1000, type);
      }, 'ERR_OUT_OF_RANGE');
      expect(message).to.include('type must be an integer from 0 to 2');
      expect(setTimer.called).to.equal(false);
    });
  }

  for (const usec of [1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    it(`refuses ${String(usec)} microseconds`, () => {
      thrownBy(() => {
        setAlarm(usec, ITIMER_REAL);
      }, 'ERR_OUT_OF_RANGE');
    });
  }

  it('refuses a time that is no number', () => {
    const { message } = thrownBy(() => {
      setAlarm('1000' as never, ITIMER_REAL);
    }, 'ERR_INVALID_ARG_TYPE');
    expect(message).to.equal('usec must be a number, got "1000"');
  });
});
