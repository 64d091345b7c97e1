import { expect } from 'chai';
import { checkControlSocket, checkStatusPage } from '../../../lib/control/options';

describe('control options', () => {
  const codeOf = (action: () => unknown): string => {
    try {
      action();
    } catch (error) {
      return (error as { code: string }).code;
    }
    return 'no error';
  };

  it('controlSocket is a boolean or a path that a socket can have', () => {
    for (const value of [true, false, '/run/x.sock']) {
      expect(checkControlSocket('controlSocket', value)).to.equal(value);
    }
    expect(codeOf(() => checkControlSocket('controlSocket', 5))).to.equal('ERR_INVALID_ARG_TYPE');
    for (const path of ['', 'x'.repeat(108), 'a\0b']) {
      expect(codeOf(() => checkControlSocket('controlSocket', path))).to.equal('ERR_OUT_OF_RANGE');
    }
  });

  it('statusPage is on loopback unless it says otherwise', () => {
    const check = (value: unknown) => checkStatusPage('statusPage', value);
    expect(check({ port: 0 })).to.deep.equal({ port: 0, host: '127.0.0.1', allowedHosts: [] });
    expect(check({ port: 9, host: 'localhost' })).to.include({ host: '127.0.0.1' });
    expect(check({ port: 9, host: '::', allowedHosts: ['x'] })).to.deep.equal({
      ...{ port: 9, host: '::', allowedHosts: ['x'] },
    });
  });

  it('statusPage says what is wrong', () => {
    const cases: [unknown, string][] = [
      [9100, 'ERR_INVALID_ARG_TYPE'],
      [null, 'ERR_INVALID_ARG_TYPE'],
      [[], 'ERR_INVALID_ARG_TYPE'],
      [{}, 'ERR_INVALID_ARG_TYPE'],
      [{ port: -1 }, 'ERR_OUT_OF_RANGE'],
      [{ port: 65_536 }, 'ERR_OUT_OF_RANGE'],
      [{ port: 1, host: 'example.org' }, 'ERR_OUT_OF_RANGE'],
      [{ port: 1, host: 5 }, 'ERR_INVALID_ARG_TYPE'],
      [{ port: 1, allowedHosts: 'x' }, 'ERR_INVALID_ARG_TYPE'],
      [{ port: 1, allowedHosts: [5] }, 'ERR_INVALID_ARG_TYPE'],
      [{ port: 1, path: '/' }, 'ERR_UNKNOWN_OPTION'],
    ];
    for (const [value, code] of cases) {
      expect(
        codeOf(() => checkStatusPage('statusPage', value)),
        JSON.stringify(value),
      ).to.equal(code);
    }
  });
});
