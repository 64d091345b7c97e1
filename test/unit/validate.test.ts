import { expect } from 'chai';
import {
  checkData,
  checkFunction,
  checkInteger,
  checkObject,
  checkString,
  invalidType,
  signalOf,
} from '../../lib/validate';
import { thrownBy } from './fake-kernel';

describe('validate', () => {
  describe('checkInteger', () => {
    it('returns an integer within its bounds, both included', () => {
      for (const value of [-3, 0, 7]) expect(checkInteger('n', value, -3, 7)).to.equal(value);
    });

    for (const value of [-4, 8, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      it(`names argument, bounds and value when it is ${String(value)}`, () => {
        const { message } = thrownBy(() => checkInteger('n', value, -3, 7), 'ERR_OUT_OF_RANGE');
        expect(message).to.equal(`n must be an integer from -3 to 7, got ${String(value)}`);
      });
    }

    for (const [value, shown] of [
      ['5', '"5"'],
      [5n, '5'],
      [null, 'null'],
      [undefined, 'undefined'],
      [{}, '[object Object]'],
      [[1], '[object Array]'],
    ] as const) {
      it(`refuses ${shown} (${typeof value}), which is no number, and shows it`, () => {
        const { message } = thrownBy(() => checkInteger('n', value, 0, 9), 'ERR_INVALID_ARG_TYPE');
        expect(message).to.equal(`n must be a number, got ${shown}`);
      });
    }
  });

  it('checkFunction accepts a function only', () => {
    checkFunction('callback', () => undefined);
    const { message } = thrownBy(() => {
      checkFunction('callback', 'main.js');
    }, 'ERR_INVALID_ARG_TYPE');
    expect(message).to.equal('callback must be a function, got "main.js"');
  });

  it('checkString accepts a string only', () => {
    expect(checkString('title', '')).to.equal('');
    const { message } = thrownBy(() => checkString('title', 4), 'ERR_INVALID_ARG_TYPE');
    expect(message).to.equal('title must be a string, got 4');
  });

  it('checkObject accepts an object only, and no array', () => {
    const value = { a: 1 };
    expect(checkObject('options', value)).to.equal(value);
    for (const wrong of [null, undefined, 'a', 5, [], () => undefined]) {
      const { message } = thrownBy(() => checkObject('options', wrong), 'ERR_INVALID_ARG_TYPE');
      expect(message).to.match(/^options must be an object, got /);
    }
  });

  it('shows a symbol without stumbling over it', () => {
    expect(invalidType('x', 'a string', Symbol('odd')).message).to.include('Symbol(odd)');
  });

  describe('signalOf', () => {
    it('takes options with a signal, with undefined and without', () => {
      const { signal } = new AbortController();
      expect(signalOf({ signal })).to.equal(signal);
      expect(signalOf({ signal: undefined })).to.equal(undefined);
      expect(signalOf({})).to.equal(undefined);
    });

    for (const [name, options, what] of [
      ['a number as signal', { signal: 5 }, 'signal must be an AbortSignal, got 5'],
      ['null as signal', { signal: null }, 'signal must be an AbortSignal, got null'],
      ['null in place of options', null, 'options must be an object, got null'],
      ['a number in place of options', 1000, 'options must be an object, got 1000'],
    ] as const) {
      it(`refuses ${name}`, () => {
        const error = thrownBy(() => signalOf(options as never), 'ERR_INVALID_ARG_TYPE');
        expect(error.message).to.equal(what);
      });
    }
  });

  describe('checkData', () => {
    it('takes a string as UTF-8', () => {
      expect(checkData('gruß')).to.deep.equal(Buffer.from([0x67, 0x72, 0x75, 0xc3, 0x9f]));
    });

    it('takes a Buffer as it is', () => {
      const data = Buffer.from('x');
      expect(checkData(data)).to.equal(data);
    });

    it('takes the part of its memory that a Uint8Array shows, without a copy', () => {
      const whole = new Uint8Array([1, 2, 3, 4]);
      const data = checkData(whole.subarray(1, 3));
      expect([...data]).to.deep.equal([2, 3]);
      expect(data.buffer).to.equal(whole.buffer);
    });

    it('refuses empty data of every kind', () => {
      for (const empty of ['', Buffer.alloc(0), new Uint8Array()]) {
        thrownBy(() => checkData(empty), 'ERR_EMPTY_DATA');
      }
    });

    it('refuses what is neither string nor bytes', () => {
      for (const wrong of [5, {}, null, undefined, [1], new Uint16Array(1), new ArrayBuffer(1)]) {
        thrownBy(() => checkData(wrong), 'ERR_INVALID_ARG_TYPE');
      }
    });
  });
});
