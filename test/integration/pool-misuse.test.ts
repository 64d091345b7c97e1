import { expect } from 'chai';
import { resultOf } from '../fixtures/process/result';
import { assertNothingLeaks } from '../support/leaks';

const MISUSE = 'pool/misuse.js';
const TYPE = 'ERR_INVALID_ARG_TYPE';
const RANGE = 'ERR_OUT_OF_RANGE';
const RUNNING = 'ERR_POOL_RUNNING';
const NOT_RUNNING = 'ERR_POOL_NOT_RUNNING';
const WRONG_TYPE = 'ERR_POOL_IPC_TYPE';

describe('pool: misuse', () => {
  assertNothingLeaks();

  it('the IPC types have their numbers', async () => {
    expect(await resultOf(MISUSE, ['constants'])).to.deep.equal([0, 1, 2, 3]);
  });

  it('of the constructor (max_package_size_negative)', async () => {
    expect(await resultOf(MISUSE, ['constructor'])).to.deep.equal({
      workerNum: [RANGE, RANGE, RANGE, RANGE, TYPE, TYPE],
      ipcType: [RANGE, RANGE, TYPE, TYPE],
      key: [RANGE, RANGE, TYPE],
      option: 'ERR_UNKNOWN_OPTION',
      maxPackageSize: RANGE,
    });
  });

  it('the message names option and value (max_package_size_negative)', async () => {
    const [code, message] = (await resultOf(MISUSE, ['messageOf', '{"maxPackageSize":-1}'])) as [
      string,
      string,
    ];
    expect(code).to.equal(RANGE);
    expect(message).to.match(/maxPackageSize must be an integer from 1 to \d+, got -1/);
  });

  it('of what needs a running pool, before start() and after shutdown()', async () => {
    expect(await resultOf(MISUSE, ['notRunning'])).to.deep.equal({
      before: {
        shutdown: NOT_RUNNING,
        reload: NOT_RUNNING,
        stop: NOT_RUNNING,
        stats: NOT_RUNNING,
        getProcess: NOT_RUNNING,
        sendMessage: NOT_RUNNING,
        sendMessageAsync: NOT_RUNNING,
        write: NOT_RUNNING,
        detach: NOT_RUNNING,
      },
      same: true,
    });
  });

  it('start() without anything to do is ERR_POOL_NO_CALLBACK', async () => {
    const none = 'ERR_POOL_NO_CALLBACK';
    expect(await resultOf(MISUSE, ['noCallback'])).to.deep.equal([none, none, none, none]);
  });

  it('of on(): unknown events, message in IPC_NONE, no function', async () => {
    expect(await resultOf(MISUSE, ['events'])).to.deep.equal([
      'ERR_UNKNOWN_EVENT',
      WRONG_TYPE,
      WRONG_TYPE,
      TYPE,
      true,
    ]);
  });

  it('on(), set() and start() while it runs', async () => {
    expect(await resultOf(MISUSE, ['whileRunning'])).to.deep.equal([RUNNING, RUNNING, RUNNING]);
  });

  it('what pools of this IPC type do not have', async () => {
    const all = [WRONG_TYPE, WRONG_TYPE, WRONG_TYPE];
    expect(await resultOf(MISUSE, ['wrongType'])).to.deep.equal({
      IPC_NONE: all,
      IPC_UNIXSOCK: ['no error', undefined, WRONG_TYPE].map((value) => value ?? null),
      IPC_MSGQUEUE: all,
    });
  });

  it('in a worker', async () => {
    expect(await resultOf(MISUSE, ['inWorker'])).to.deep.equal([RUNNING, RUNNING, RUNNING, RANGE]);
  });

  it('a child of the master that is no worker may send to the workers', async () => {
    expect(await resultOf(MISUSE, ['inOtherChild'])).to.deep.equal([['from a child'], true]);
  });
});
