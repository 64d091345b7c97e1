import { expect } from 'chai';
import { nearest } from '../../../lib/nearest';
import {
  defaultSettings,
  mergeOptions,
  unknownOption,
  type PoolOptions,
} from '../../../lib/pool/pool-options';
import { DEFAULT_RESTART } from '../../../lib/pool/restart-policy';
import { thrownBy } from '../fake-kernel';

const merge = (options: object): ReturnType<typeof mergeOptions> =>
  mergeOptions(defaultSettings(), options as PoolOptions);

describe('pool options', () => {
  it('has the documented defaults', () => {
    expect(defaultSettings()).to.deep.equal({
      maxRequest: 0,
      maxRequestGrace: null,
      maxWaitTime: 3000,
      maxPackageSize: null,
      concurrency: 1,
      frameTimeout: 10_000,
      restart: DEFAULT_RESTART,
      reloadStrategy: 'stop-first',
      cpuAffinity: false,
      title: null,
    });
  });

  it('what is not named, or undefined, stays; the settings given are not changed', () => {
    const before = defaultSettings();
    const merged = mergeOptions(before, { maxRequest: 5, concurrency: undefined } as object);
    expect(merged).to.deep.equal({ ...defaultSettings(), maxRequest: 5 });
    expect(before).to.deep.equal(defaultSettings());
  });

  it('takes every option at its limits', () => {
    for (const options of [
      { maxRequest: 0, maxRequestGrace: 0, maxWaitTime: 0, maxPackageSize: 1, concurrency: 1 },
      { maxRequest: 0x7fffffff, maxPackageSize: 1 << 30, concurrency: 65536, frameTimeout: 1 },
      { reloadStrategy: 'start-first', cpuAffinity: [0, 0, 1], title: '' },
      { cpuAffinity: true, user: 'nobody', group: 65534, chroot: '/' },
      { user: 0, group: 'nogroup', cpuAffinity: false },
    ]) {
      expect(merge(options)).to.deep.include(options);
    }
  });

  describe('unknown names', () => {
    for (const [wrong, right] of [
      ['maxRequests', 'maxRequest'],
      ['max_request', 'maxRequest'],
      ['maxwaittime', 'maxWaitTime'],
      ['max_package_size', 'maxPackageSize'],
      ['reloadStategy', 'reloadStrategy'],
      ['affinity', 'cpuAffinity'],
    ] as const) {
      it(`${wrong}: the nearest is ${right}`, () => {
        const { message } = thrownBy(() => merge({ [wrong]: 1 }), 'ERR_UNKNOWN_OPTION');
        expect(message).to.equal(`there is no option "${wrong}"; the nearest is "${right}"`);
      });
    }

    it('also when the value is undefined, and for names that every object has', () => {
      thrownBy(() => merge({ maxRequests: undefined }), 'ERR_UNKNOWN_OPTION');
      thrownBy(() => merge({ toString: 1 }), 'ERR_UNKNOWN_OPTION');
      thrownBy(() => merge(JSON.parse('{"__proto__": 1}') as object), 'ERR_UNKNOWN_OPTION');
    });

    it('in restart as well, by its full name', () => {
      const { message } = thrownBy(() => merge({ restart: { maxdelay: 1 } }), 'ERR_UNKNOWN_OPTION');
      expect(message).to.equal('there is no option "restart.maxdelay"; the nearest is "maxDelay"');
    });
  });

  describe('bad values', () => {
    const numbers: Record<string, [below: number, above: number]> = {
      maxRequest: [-1, 2 ** 31],
      maxRequestGrace: [-1, 2 ** 31],
      maxWaitTime: [-1, 2 ** 31],
      maxPackageSize: [-1, (1 << 30) + 1],
      concurrency: [0, 65537],
      frameTimeout: [0, 2 ** 31],
    };
    for (const [name, [below, above]] of Object.entries(numbers)) {
      it(`${name}: what is no integer, too small or too large, by its name and value`, () => {
        for (const value of [below, above, 1.5, NaN, Infinity]) {
          const { message } = thrownBy(() => merge({ [name]: value }), 'ERR_OUT_OF_RANGE');
          expect(message).to.include(name).and.include(String(value));
        }
        for (const value of ['1', null, true, 1n]) {
          const { message } = thrownBy(() => merge({ [name]: value }), 'ERR_INVALID_ARG_TYPE');
          expect(message).to.include(name);
        }
      });
    }

    for (const [name, values] of Object.entries({
      restart: [null, 5, 'always'],
      reloadStrategy: ['', 'rolling', 1, null],
      cpuAffinity: ['0', 0, null, {}],
      title: [1, null],
      user: ['', null, true, {}],
      group: ['', null, []],
      chroot: [1, null],
    })) {
      it(`${name}: another type`, () => {
        for (const value of values) {
          const { message } = thrownBy(() => merge({ [name]: value }), 'ERR_INVALID_ARG_TYPE');
          expect(message).to.include(name);
        }
      });
    }

    it('user and group: numbers that are no id', () => {
      for (const name of ['user', 'group']) {
        for (const value of [-1, 0.5, 0xffffffff]) {
          thrownBy(() => merge({ [name]: value }), 'ERR_OUT_OF_RANGE');
        }
      }
    });

    it('cpuAffinity: no CPU at all, a negative one, one that is no number', () => {
      thrownBy(() => merge({ cpuAffinity: [] }), 'ERR_OUT_OF_RANGE');
      thrownBy(() => merge({ cpuAffinity: [-1] }), 'ERR_OUT_OF_RANGE');
      thrownBy(() => merge({ cpuAffinity: ['0'] }), 'ERR_INVALID_ARG_TYPE');
    });

    it('restart: negative numbers and what is none', () => {
      for (const [value, code] of [
        [-1, 'ERR_OUT_OF_RANGE'],
        [NaN, 'ERR_OUT_OF_RANGE'],
        ['5', 'ERR_INVALID_ARG_TYPE'],
        [null, 'ERR_INVALID_ARG_TYPE'],
      ] as const) {
        const { message } = thrownBy(() => merge({ restart: { minUptime: value } }), code);
        expect(message).to.include('restart.minUptime');
      }
    });

    it('restart: jitter that would make a delay negative', () => {
      expect(merge({ restart: { jitter: 1 } }).restart.jitter).to.equal(1);
      thrownBy(() => merge({ restart: { jitter: 1.1 } }), 'ERR_OUT_OF_RANGE');
    });

    it('what is no object', () => {
      for (const options of [null, undefined, 'title', 5, []]) {
        thrownBy(() => merge(options as unknown as object), 'ERR_INVALID_ARG_TYPE');
      }
      thrownBy(() => merge({ restart: [] }), 'ERR_INVALID_ARG_TYPE');
    });

    it('changes nothing when one of several is bad', () => {
      const settings = defaultSettings();
      thrownBy(() => mergeOptions(settings, { maxRequest: 9, concurrency: 0 }), 'ERR_OUT_OF_RANGE');
      expect(settings.maxRequest).to.equal(0);
    });
  });

  describe('restart', () => {
    it('what is not named has its default', () => {
      expect(merge({ restart: { maxDelay: 50, jitter: 0 } }).restart).to.deep.equal({
        ...DEFAULT_RESTART,
        maxDelay: 50,
        jitter: 0,
      });
    });

    it('has its default also where it is undefined', () => {
      expect(merge({ restart: { maxDelay: undefined } }).restart).to.deep.equal(DEFAULT_RESTART);
    });

    it('does not change the defaults', () => {
      merge({ restart: { breakerAfter: 1 } });
      expect(defaultSettings().restart.breakerAfter).to.equal(5);
    });
  });
});

describe('nearest', () => {
  it('is the name that the fewest edits lead to, case aside', () => {
    expect(nearest('MESAGE', ['workerStart', 'message'])).to.equal('message');
    expect(nearest('', ['long', 'a'])).to.equal('a');
    expect(nearest('abc', ['xyz', 'uvw']), 'the first of equals').to.equal('xyz');
  });

  it('has a message for an unknown option', () => {
    const error = unknownOption('b', ['bb', 'cc']);
    expect(error).to.include({
      code: 'ERR_UNKNOWN_OPTION',
      message: 'there is no option "b"; the nearest is "bb"',
    });
  });
});
