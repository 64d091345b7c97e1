import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'chai';
import sinon from 'sinon';
import { WorkerTable, type WorkerRow } from '../../../lib/pool/worker-table';
import { ConnectionError } from '../../../lib/server/connection-error';
import { NO_SESSION, Requests, type RequestsOptions } from '../../../lib/server/requests';
import { settle } from '../fake-kernel';

const NOW = 1_800_000_000_000;
const SESSION = 7;

/** A promise that a test settles. */
function deferred(): { promise: Promise<void>; resolve: () => void; reject: (why: Error) => void } {
  let resolve!: () => void;
  let reject!: (why: Error) => void;
  const promise = new Promise<void>((resolved, rejected) => {
    [resolve, reject] = [resolved, rejected];
  });
  return { promise, resolve, reject };
}

/** What Node would end the process for, in place of that. */
function takeFatal(event: 'uncaughtException' | 'unhandledRejection'): { errors: unknown[] } {
  const errors: unknown[] = [];
  const others = process.listeners(event as 'uncaughtException');
  process.removeAllListeners(event);
  process.on(event, (error: unknown) => errors.push(error));
  giveBack.push(() => {
    process.removeAllListeners(event);
    for (const listener of others) process.on(event as 'uncaughtException', listener);
  });
  return { errors };
}
let giveBack: (() => void)[] = [];

describe('Requests', () => {
  let row: WorkerRow;
  let requests: Requests;
  let clientsFault: sinon.SinonSpy;
  let onLimit: sinon.SinonSpy;

  const make = (options: Partial<RequestsOptions> = {}): Requests => {
    requests = new Requests({
      ...{ row, outgoing: null, slowLog: null, limit: 0, onLimit, onClientsFault: clientsFault },
      ...options,
    });
    return requests;
  };
  const expectClientsFault = (isOwn: boolean, fd = SESSION): void => {
    expect(clientsFault.args).to.have.length(1);
    const [error, own] = clientsFault.args[0] as [ConnectionError, boolean];
    expect({ fd: error.fd, isOwn: own }).to.deep.equal({ fd, isOwn });
  };
  const run = (callback: () => unknown, session = SESSION): void => {
    requests.run('receive', session, callback);
  };

  beforeEach(() => {
    row = new WorkerTable(1).claimRow(0) as WorkerRow;
    clientsFault = sinon.fake();
    onLimit = sinon.fake();
    giveBack = [];
    make();
  });
  afterEach(() => {
    for (const undo of giveBack) undo();
    sinon.restore();
  });

  describe('run', () => {
    it('counts a request as busy while its callback runs, and as handled then', () => {
      run(() => {
        expect(row).to.include({ busy: 1, handled: 0 });
      });
      expect(row).to.include({ busy: 0, handled: 1 });
    });

    it('counts one that returns a promise as busy until that is settled', async () => {
      const [first, second] = [deferred(), deferred()];
      run(() => first.promise);
      run(() => second.promise);
      expect(row).to.include({ busy: 2, handled: 0 });
      second.resolve();
      await settle();
      expect(row).to.include({ busy: 1, handled: 1 });
      first.resolve();
      await settle();
      expect(row).to.include({ busy: 0, handled: 2 });
    });

    it('adds up the time in which any request runs', async () => {
      const clock = sinon.useFakeTimers({ now: NOW, toFake: ['Date'] });
      const [first, second] = [deferred(), deferred()];
      run(() => first.promise);
      clock.tick(10);
      run(() => second.promise);
      clock.tick(20);
      first.resolve();
      await settle();
      expect(row).to.include({ busySince: NOW, busyTime: 0 });
      clock.tick(30);
      second.resolve();
      await settle();
      expect(row).to.include({ busySince: 0, busyTime: 60 });
      clock.tick(1000);
      run(() => clock.tick(5));
      expect(row.busyTime).to.equal(65);
    });
  });

  describe('a callback that throws', () => {
    it('ends the process as an uncaught error, after the others of this turn have run', async () => {
      const fatal = takeFatal('uncaughtException');
      const error = new Error('mine');
      const other = sinon.fake();
      run(() => {
        throw error;
      });
      run(other);
      expect(other.callCount).to.equal(1);
      expect(fatal.errors, 'at once').to.deep.equal([]);
      await nextTurn();
      expect(fatal.errors).to.deep.equal([error]);
      expect(row).to.include({ busy: 0, handled: 2 });
    });

    it('is no request: ends the process as well', async () => {
      const fatal = takeFatal('uncaughtException');
      const error = new Error('mine');
      requests.guard('connect', SESSION, () => {
        throw error;
      });
      await nextTurn();
      expect(fatal.errors).to.deep.equal([error]);
      expect(row.handled).to.equal(0);
    });
  });

  describe('a promise that rejects', () => {
    it('is left unhandled, and the request has ended then', async () => {
      const fatal = takeFatal('unhandledRejection');
      const error = new Error('mine');
      run(() => Promise.reject(error));
      await settle();
      expect(row.busy, 'first it is told').to.equal(1);
      await nextTurn();
      await nextTurn();
      expect(fatal.errors).to.deep.equal([error]);
      expect(row).to.include({ busy: 0, handled: 1 });
    });

    it('of what is no request is left unhandled once', async () => {
      const fatal = takeFatal('unhandledRejection');
      const error = new Error('mine');
      requests.guard('connect', SESSION, () => Promise.reject(error));
      await nextTurn();
      await nextTurn();
      expect(fatal.errors).to.deep.equal([error]);
      expect(row.handled).to.equal(0);
    });
  });

  describe('the fault of the client', () => {
    const closed = (session = SESSION): Error =>
      new ConnectionError('ERR_SESSION_CLOSED', session, 'gone');
    const kinds: [how: string, callback: () => unknown][] = [
      ['thrown', () => throwIt(closed())],
      ['rejected', () => Promise.reject(closed())],
    ];

    for (const [how, callback] of kinds) {
      it(`${how} by a request ends its connection only`, async () => {
        const fatal = [takeFatal('uncaughtException'), takeFatal('unhandledRejection')];
        run(callback);
        await nextTurn();
        await nextTurn();
        expectClientsFault(true);
        expect(fatal.flatMap(({ errors }) => errors)).to.deep.equal([]);
        expect(row).to.include({ busy: 0, handled: 1 });
      });

      it(`${how} by what is no request ends its connection only`, async () => {
        const fatal = [takeFatal('uncaughtException'), takeFatal('unhandledRejection')];
        requests.guard('connect', SESSION, callback);
        await nextTurn();
        await nextTurn();
        expectClientsFault(true);
        expect(fatal.flatMap(({ errors }) => errors)).to.deep.equal([]);
      });
    }

    it('of another connection ends only that one, and is told as such', async () => {
      const fatal = takeFatal('uncaughtException');
      run(() => throwIt(closed(SESSION + 1)));
      await nextTurn();
      expect(fatal.errors).to.deep.equal([]);
      expectClientsFault(false, SESSION + 1);
    });

    it('in a callback of no connection is never its own, whatever the id', async () => {
      const fatal = takeFatal('uncaughtException');
      requests.run('packet', SESSION, () => throwIt(closed()), NO_SESSION);
      await nextTurn();
      expect(fatal.errors).to.deep.equal([]);
      expectClientsFault(false);
    });
  });

  describe('limit', () => {
    it('is told when so many requests have ended, and with each one after', async () => {
      make({ limit: 2 });
      const slow = deferred();
      run(() => slow.promise);
      run(() => undefined);
      expect(onLimit.callCount, 'one still runs').to.equal(0);
      slow.resolve();
      await settle();
      expect(onLimit.callCount).to.equal(1);
      run(() => undefined);
      expect(onLimit.callCount).to.equal(2);
    });

    it('of 0 is none, and what is no request does not count', () => {
      for (let i = 0; i < 100; i++) run(() => undefined);
      make({ limit: 1 });
      requests.guard('connect', SESSION, () => undefined);
      requests.countHandled();
      expect(onLimit.called).to.equal(false);
    });
  });

  describe('idle', () => {
    it('resolves at once when nothing runs', async () => {
      run(() => undefined);
      await requests.idle();
    });

    it('resolves when the last request has ended', async () => {
      const [first, second] = [deferred(), deferred()];
      const idle = sinon.fake();
      run(() => first.promise);
      run(() => second.promise);
      void requests.idle().then(idle);
      first.resolve();
      await settle();
      expect(idle.callCount).to.equal(0);
      second.resolve();
      await settle();
      expect(idle.callCount).to.equal(1);
    });
  });

  describe('afterSession', () => {
    it('calls at once when no request of the session runs', () => {
      const other = deferred();
      const then = sinon.fake();
      run(() => other.promise, SESSION + 1);
      run(() => undefined);
      requests.afterSession(SESSION, then);
      expect(then.callCount).to.equal(1);
    });

    it('calls once when the last of its requests has ended', async () => {
      const [first, second, third] = [deferred(), deferred(), deferred()];
      const then = sinon.fake();
      for (const { promise } of [first, second, third]) run(() => promise);
      requests.afterSession(SESSION, then);
      second.resolve();
      await settle();
      third.resolve();
      await settle();
      expect(then.callCount).to.equal(0);
      first.resolve();
      await settle();
      run(() => Promise.resolve());
      await settle();
      expect(then.callCount).to.equal(1);
    });

    it('calls also when the last one fails', async () => {
      const request = deferred();
      const then = sinon.fake();
      run(() => request.promise);
      requests.afterSession(SESSION, then);
      request.reject(new ConnectionError('ERR_OUTPUT_OVERFLOW', SESSION, 'too much'));
      await settle();
      expect(then.callCount).to.equal(1);
    });

    it('waits for no datagram of a port with the number of the session', () => {
      const then = sinon.fake();
      requests.run('packet', SESSION, () => deferred().promise, NO_SESSION);
      requests.afterSession(SESSION, then);
      expect(then.callCount).to.equal(1);
    });
  });

  describe('the slow log', () => {
    it('is told of each callback while it keeps the event loop', async () => {
      const diary: string[] = [];
      const slowLog = {
        begin: (kind: string, id: number) => diary.push(`begin ${kind} ${String(id)}`),
        end: () => diary.push('end'),
      };
      make({ slowLog: slowLog as never });
      const request = deferred();
      run(() => {
        diary.push('runs');
        return request.promise;
      });
      requests.run('packet', 3, () => undefined, NO_SESSION);
      requests.guard('connect', 4, () =>
        throwIt(new ConnectionError('ERR_SESSION_CLOSED', 4, 'gone')),
      );
      request.resolve();
      await settle();
      expect(diary).to.deep.equal([
        ...['begin receive 7', 'runs', 'end'],
        ...['begin packet 3', 'end'],
        ...['begin connect 4', 'end'],
      ]);
    });
  });

  describe('replies', () => {
    let flushed: (() => void)[];
    let left: ReturnType<typeof deferred> | null;

    beforeEach(() => {
      flushed = [];
      left = null;
      make({
        outgoing: {
          afterFlush: (listener) => flushed.push(listener),
          whenLeft: () => left?.promise ?? null,
        },
      });
    });
    const flush = (): void => {
      for (const listener of flushed.splice(0)) listener();
    };

    it('are unsent until they are flushed', () => {
      run(() => undefined);
      run(() => undefined);
      requests.countHandled();
      expect(row).to.include({ handled: 3, unsent: 3 });
      expect(flushed, 'asked once').to.have.length(1);
      flush();
      expect(row).to.include({ handled: 3, unsent: 0 });
    });

    it('of a request that runs are not counted', () => {
      run(() => deferred().promise);
      expect(row.unsent).to.equal(0);
      expect(flushed).to.have.length(0);
    });

    it('are unsent while they wait for room, and those after them', async () => {
      run(() => undefined);
      const first = (left = deferred());
      flush();
      expect(row.unsent).to.equal(1);
      run(() => undefined);
      const second = (left = deferred());
      flush();
      expect(row.unsent).to.equal(2);
      first.resolve();
      await settle();
      expect(row.unsent).to.equal(1);
      second.resolve();
      await settle();
      expect(row.unsent).to.equal(0);
    });

    it('are not counted where they end with the process', () => {
      make();
      run(() => undefined);
      expect(row).to.include({ handled: 1, unsent: 0 });
    });

    it('are counted before the request is handled: at no moment it is in neither number', () => {
      const seen: number[] = [];
      make({
        outgoing: {
          afterFlush: () => seen.push(row.unsent - row.handled),
          whenLeft: () => null,
        },
      });
      run(() => undefined);
      expect(seen).to.deep.equal([1]);
    });
  });
});

function throwIt(error: Error): never {
  throw error;
}
