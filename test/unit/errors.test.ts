import { constants } from 'node:os';
import { expect } from 'chai';
import { isSystemError, PreforkError, systemError, withHint } from '../../lib/errors';

describe('errors', () => {
  it('a PreforkError is an Error with a code, a name, a message and a cause', () => {
    const cause = new Error('why');
    const error = new PreforkError('ERR_NO_PIPE', 'the pipe is closed', { cause });
    expect(error).to.be.instanceOf(Error);
    expect(error).to.include({ code: 'ERR_NO_PIPE', name: 'PreforkError', cause });
    expect(error.message).to.equal('the pipe is closed');
  });

  it('prints its name and message in a stack trace', () => {
    const error = new PreforkError('ERR_NO_QUEUE', 'no queue is open');
    expect(String(error)).to.equal('PreforkError: no queue is open');
  });

  it('a system error is shaped as those of Node: code, negative errno, syscall', () => {
    const error = systemError('EAGAIN', 'send', 'the peer reads too slowly');
    expect(error).to.include({
      code: 'EAGAIN',
      errno: -constants.errno.EAGAIN,
      syscall: 'send',
      message: 'EAGAIN: the peer reads too slowly, send',
    });
  });

  it('isSystemError tells errors of the kernel from those of misuse', () => {
    expect(isSystemError(systemError('EPIPE', 'send', 'gone'))).to.equal(true);
    expect(isSystemError(new PreforkError('ERR_NO_PIPE', 'closed'))).to.equal(false);
    expect(isSystemError(new Error('other'))).to.equal(false);
    expect(isSystemError({ code: 'EPIPE', errno: -32, syscall: 'send' })).to.equal(false);
    expect(isSystemError(undefined)).to.equal(false);
  });

  it('recognises an error that Node itself has thrown', () => {
    let caught: unknown;
    try {
      process.chdir('/nowhere/at/all');
    } catch (error) {
      caught = error;
    }
    expect(isSystemError(caught)).to.equal(true);
  });

  it('withHint keeps the error and adds the limit to its message', () => {
    const error = systemError('ENOSPC', 'mq_open', 'no space');
    expect(withHint(error, 'queues_max allows 256')).to.equal(error);
    expect(error.message).to.equal('ENOSPC: no space, mq_open (queues_max allows 256)');
  });
});
