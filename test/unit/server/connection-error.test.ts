import { expect } from 'chai';
import { PreforkError } from '../../../lib/errors';
import { ConnectionError, isClientsFault } from '../../../lib/server/connection-error';

describe('ConnectionError', () => {
  it('is a PreforkError that names its connection', () => {
    const error = new ConnectionError('ERR_SESSION_CLOSED', 7, 'session 7 has been closed');
    expect(error).to.be.instanceOf(PreforkError);
    expect(error).to.include({ code: 'ERR_SESSION_CLOSED', fd: 7, name: 'PreforkError' });
    expect(error.message).to.equal('session 7 has been closed');
  });
});

describe('isClientsFault', () => {
  for (const code of ['ERR_SESSION_CLOSED', 'ERR_OUTPUT_OVERFLOW'] as const) {
    it(`${code} is`, () => {
      expect(isClientsFault(new ConnectionError(code, 7, ''))).to.equal(true);
    });
  }

  it('a session that never was is the mistake of the program', () => {
    const error = new ConnectionError('ERR_SESSION_NOT_EXIST', 7, '');
    expect(isClientsFault(error)).to.equal(false);
  });

  it('any other error is not, nor what only looks like one', () => {
    const alike = { code: 'ERR_SESSION_CLOSED', fd: 7 };
    const errors = [new Error('mine'), Object.assign(new Error(), alike), alike, undefined, null];
    expect(errors.map((error) => isClientsFault(error))).to.deep.equal(errors.map(() => false));
  });
});
