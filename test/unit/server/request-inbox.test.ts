import { expect } from 'chai';
import sinon from 'sinon';
import { WorkerTable, type WorkerRow } from '../../../lib/pool/worker-table';
import { Addresses } from '../../../lib/server/bus/addresses';
import type { InboxOptions } from '../../../lib/server/bus/inbox';
import { MAX_ENTRIES } from '../../../lib/server/bus/message';
import type { ServerContext } from '../../../lib/server/context';
import { RequestInbox } from '../../../lib/server/request-inbox';
import { settle } from '../fake-kernel';

const WORKER = 1;

describe('RequestInbox', () => {
  const addresses = new Addresses({ workerNum: 2, taskWorkerNum: 0, userNum: 0 }, false);
  let row: WorkerRow;
  let diary: string[];
  let waiting: number;
  let makeRoom: () => void;
  let options: InboxOptions;
  let inbox: RequestInbox;

  beforeEach(() => {
    row = new WorkerTable(1).claimRow(0) as WorkerRow;
    diary = [];
    waiting = 0;
    const note = (what: string) => () => void diary.push(what);
    const bus = {
      inbox: (address: number, given: InboxOptions) => {
        diary.push(`mailbox ${String(address)}`);
        options = given;
        return { start: note('start'), stop: note('stop'), drain: note('drain') };
      },
      flush: note('flush'),
      waitingBytes: (to: number) => (to === addresses.master ? waiting : 0),
      sent: () =>
        new Promise<void>((resolve) => {
          makeRoom = () => {
            waiting = 0;
            resolve();
          };
        }),
    };
    const context = { bus, addresses } as unknown as ServerContext;
    inbox = new RequestInbox(context, WORKER, row, { handler: () => undefined });
  });
  afterEach(() => {
    sinon.restore();
  });

  const takeDiary = (): string[] => diary.splice(0);

  it('is the mailbox of the worker id, read packet by packet', () => {
    expect(diary).to.deep.equal([`mailbox ${addresses.slot(WORKER)}`]);
    expect(options.inBatches ?? false).to.equal(false);
  });

  it('counts as taken what it may take before it does, and then what it took', () => {
    row.taken = 10;
    options.onTake?.begin();
    expect(row.taken).to.equal(10 + MAX_ENTRIES);
    options.onTake?.end(3);
    expect(row.taken).to.equal(13);
    options.onTake?.begin();
    options.onTake?.end(0);
    expect(row.taken).to.equal(13);
  });

  it('sends the replies after each packet', () => {
    inbox.start();
    takeDiary();
    options.onHandled?.();
    options.onHandled?.();
    expect(diary).to.deep.equal(['flush', 'flush']);
  });

  it('takes nothing while replies find no room, and goes on when they do', async () => {
    inbox.start();
    takeDiary();
    waiting = 1;
    options.onHandled?.();
    expect(takeDiary()).to.deep.equal(['flush', 'stop']);
    await settle();
    expect(diary).to.deep.equal([]);
    makeRoom();
    await settle();
    expect(diary).to.deep.equal(['start']);
  });

  it('does not go on when it was stopped meanwhile', async () => {
    inbox.start();
    waiting = 1;
    options.onHandled?.();
    inbox.stop();
    takeDiary();
    makeRoom();
    await settle();
    expect(diary).to.deep.equal([]);
  });

  it('drains all there is, room or not', () => {
    inbox.start();
    inbox.drain();
    takeDiary();
    waiting = 1;
    options.onHandled?.();
    expect(diary).to.deep.equal(['flush']);
  });
});
