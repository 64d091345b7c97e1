import { expect } from 'chai';
import sinon from 'sinon';
import {
  STAGE_DRAINING,
  STAGE_READY,
  WorkerTable,
  type WorkerRow,
} from '../../../../lib/pool/worker-table';
import { Addresses } from '../../../../lib/server/bus/addresses';
import {
  BUFFER_EMPTY,
  BUFFER_FULL,
  CLOSE,
  CONNECT,
  RECEIVE,
} from '../../../../lib/server/bus/message';
import type { ServerContext } from '../../../../lib/server/context';
import {
  BY_PEER,
  BY_SERVER,
  UNREADABLE,
  type Connection,
} from '../../../../lib/server/reactor/connection';
import { DispatchingSink } from '../../../../lib/server/reactor/dispatching-sink';
import type { Reactor } from '../../../../lib/server/reactor/reactor';
import { resolveServerSettings, type ServerOptions } from '../../../../lib/server/settings';
import { DISPATCHED, ServerState } from '../../../../lib/server/state';

const WORKERS = 3;
const MIB = 1024 * 1024;
const DATA = Buffer.from('data');
const NAMES: Record<number, string> = {
  [CONNECT]: 'connect',
  [RECEIVE]: 'receive',
  [CLOSE]: 'close',
  [BUFFER_FULL]: 'full',
  [BUFFER_EMPTY]: 'empty',
};

describe('DispatchingSink', () => {
  const addresses = new Addresses({ workerNum: WORKERS, taskWorkerNum: 0, userNum: 0 }, false);
  /** Only a name here. */
  const server = { name: 'the server' };
  let table: WorkerTable;
  let state: ServerState;
  let posted: string[];
  let waiting: Map<number, number>;
  let drained: Map<number, () => void>;
  let reactor: Record<'end' | 'resumeReading', sinon.SinonSpy>;
  let warn: sinon.SinonStub;
  let sink: DispatchingSink;

  const make = (options: ServerOptions<never> = {}): DispatchingSink => {
    const settings = resolveServerSettings(
      { workerNum: WORKERS, ...options } as ServerOptions,
      'process',
    );
    const bus = {
      post: (to: number, type: number, id: number, data?: Buffer, kind = 0) =>
        posted.push(`${NAMES[type] ?? '?'} ${id} to ${to} (${String(data)}, ${kind})`),
      waitingBytes: (to: number) => waiting.get(to) ?? 0,
      onDrain: (to: number, listener: () => void) => drained.set(to, listener),
    };
    const context = { addresses, bus, table, state, settings, server };
    sink = new DispatchingSink(context as unknown as ServerContext);
    sink.attach(reactor as unknown as Reactor);
    return sink;
  };
  const connection = (id: number, address = '10.0.0.1'): Connection =>
    ({
      id,
      worker: -1,
      session: { worker: -1 },
      source: { fd: id, uid: null, address },
    }) as Connection;
  const rowOf = (worker: number): WorkerRow => table.current(worker) as WorkerRow;
  const takePosted = (): string[] => posted.splice(0);
  const codes = (): string[] => warn.args.map(([, { code }]) => code as string);

  beforeEach(() => {
    sinon.useFakeTimers({ now: 1e12, toFake: ['Date', 'performance'] });
    table = new WorkerTable(WORKERS);
    for (let worker = 0; worker < WORKERS; worker++) {
      (table.claimRow(worker) as WorkerRow).stage = STAGE_READY;
    }
    state = new ServerState(WORKERS);
    posted = [];
    waiting = new Map();
    drained = new Map();
    reactor = { end: sinon.fake(), resumeReading: sinon.fake() };
    warn = sinon.stub(process, 'emitWarning');
    make();
  });
  afterEach(() => {
    sinon.restore();
  });

  describe('in a mode that keeps a connection with one worker', () => {
    it('gives all its events to that worker, in their order', () => {
      const client = connection(5);
      sink.connect(client);
      sink.receive(client, DATA);
      sink.bufferFull(client);
      sink.bufferEmpty(client);
      sink.close(client, BY_PEER);
      expect(posted).to.deep.equal([
        'connect 5 to 2 (undefined, 0)',
        'receive 5 to 2 (data, 0)',
        'full 5 to 2 (undefined, 0)',
        'empty 5 to 2 (undefined, 0)',
        `close 5 to 2 (undefined, ${BY_PEER})`,
      ]);
      expect([client.worker, client.session.worker]).to.deep.equal([2, 2]);
    });

    it('tells of a close by the server', () => {
      const client = connection(5);
      sink.connect(client);
      takePosted();
      sink.close(client, BY_SERVER);
      expect(posted).to.deep.equal([`close 5 to 2 (undefined, ${BY_SERVER})`]);
    });

    it('counts what is given out, and what waits for each worker', () => {
      sink.receive(connection(5), DATA);
      sink.receive(connection(5), DATA);
      sink.connect(connection(3));
      expect(state.count(DISPATCHED)).to.equal(2);
      expect([0, 1, 2].map((worker) => table.queued(worker))).to.deep.equal([0, 0, 2]);
    });
  });

  describe('in a mode that gives every packet to another worker', () => {
    beforeEach(() => {
      make({ dispatchMode: 1 });
    });

    it('delivers data only: events could overtake them', () => {
      const client = connection(5);
      sink.connect(client);
      sink.receive(client, DATA);
      sink.bufferFull(client);
      sink.bufferEmpty(client);
      sink.close(client, BY_SERVER);
      expect(posted).to.deep.equal(['receive 5 to 1 (data, 0)']);
    });

    for (const [what, reason] of [
      ['of a peer', BY_PEER],
      ['of readable packets', UNREADABLE],
    ] as const) {
      it(`tells the end ${what} to the worker of its last data: the answer comes after theirs`, () => {
        const client = connection(5);
        sink.receive(client, DATA);
        sink.receive(client, DATA);
        takePosted();
        sink.close(client, reason);
        expect(posted).to.deep.equal([`close 5 to 1 (undefined, ${reason})`]);
        expect(reactor.end.called).to.equal(false);
      });
    }

    it('delivers events as well with enableUnsafeEvent', () => {
      make({ dispatchMode: 1, enableUnsafeEvent: true });
      const client = connection(5);
      sink.connect(client);
      sink.bufferFull(client);
      sink.close(client, BY_SERVER);
      expect(posted.map((line) => line.split(' ')[0])).to.deep.equal(['connect', 'full', 'close']);
    });
  });

  describe('in mode 3', () => {
    beforeEach(() => {
      make({ dispatchMode: 3 });
    });
    const worker = (): number => {
      const client = connection(5);
      sink.receive(client, DATA);
      table.noteEmpty(client.worker);
      return client.worker;
    };

    it('an idle worker serves, is not busy, and nothing waits for it', () => {
      rowOf(0).busy = 1;
      rowOf(1).stage = STAGE_DRAINING;
      expect([worker(), worker()]).to.deep.equal([2, 2]);
      rowOf(0).busy = 0;
      table.countSent(2, 1);
      expect([worker(), worker()]).to.deep.equal([0, 0]);
    });

    it('warns when none is idle, once a second at most, and takes them in turn', () => {
      for (let id = 0; id < WORKERS; id++) rowOf(id).busy = 1;
      const chosen = [worker(), worker(), worker()];
      expect(new Set(chosen).size).to.equal(WORKERS);
      expect(codes()).to.deep.equal(['PREFORK_NO_IDLE_WORKER']);
      sinon.clock.tick(999);
      worker();
      expect(warn.callCount).to.equal(1);
      sinon.clock.tick(1);
      worker();
      expect(warn.callCount).to.equal(2);
    });
  });

  describe('a full mailbox', () => {
    it('asks not to read on from 1 MiB on', () => {
      const client = connection(5);
      waiting.set(addresses.slot(2), MIB - 1);
      expect(sink.receive(client, DATA)).to.equal(true);
      waiting.set(addresses.slot(2), MIB);
      expect(sink.receive(client, DATA)).to.equal(false);
      expect(posted, 'what was read is not lost').to.have.length(2);
      expect(sink.receive(connection(3), DATA), 'of another worker').to.equal(true);
    });

    it('that has room again has its connections read on', () => {
      expect([...drained.keys()]).to.deep.equal([0, 1, 2].map((id) => addresses.slot(id)));
      drained.get(addresses.slot(2))?.();
      expect(reactor.resumeReading.args).to.deep.equal([[2]]);
    });
  });

  describe('a dispatchFunc', () => {
    const returns = (result: unknown): void => {
      make({ dispatchFunc: () => result as number });
    };

    it('is told the server, the session, the kind of event and the data', () => {
      const dispatchFunc = sinon.fake.returns(1);
      make({ dispatchFunc });
      sink.connect(connection(5));
      sink.receive(connection(6), DATA);
      sink.close(connection(7), BY_PEER);
      sink.chooseForDatagram(40_000, '10.0.0.1', DATA);
      expect(dispatchFunc.args).to.deep.equal([
        [server, 5, 4, null],
        [server, 6, 0, DATA],
        [server, 7, 3, null],
        [server, 40_000, 0, DATA],
      ]);
    });

    it('chooses the worker', () => {
      returns(1);
      sink.receive(connection(5), DATA);
      expect(posted).to.deep.equal(['receive 5 to 1 (data, 0)']);
    });

    it('that discards a packet has it dropped; its connection is read on', () => {
      returns(-1);
      expect(sink.receive(connection(5), DATA)).to.equal(true);
      expect(posted).to.deep.equal([]);
      expect([state.count(DISPATCHED), table.queued(2)]).to.deep.equal([0, 0]);
      expect(reactor.end.called).to.equal(false);
    });

    it('that discards a connect or close leaves the connection as it is', () => {
      returns(-1);
      const client = connection(5);
      sink.connect(client);
      expect([posted.length, client.worker]).to.deep.equal([0, -1]);
    });

    it('that closes has the connection closed, in good order', () => {
      returns(-2);
      expect(sink.receive(connection(5), DATA)).to.equal(true);
      sink.connect(connection(6));
      expect(reactor.end.args).to.deep.equal([
        [5, false],
        [6, false],
      ]);
      expect(posted).to.deep.equal([]);
    });

    it('that leaves it to the mode has that choose', () => {
      returns(-3);
      sink.receive(connection(5), DATA);
      expect(posted).to.deep.equal(['receive 5 to 2 (data, 0)']);
    });

    for (const wrong of [WORKERS, -4, 0.5, undefined, '1']) {
      it(`that returns ${JSON.stringify(wrong) ?? 'undefined'} has the packet dropped, with a warning`, () => {
        returns(wrong);
        expect(sink.receive(connection(5), DATA)).to.equal(true);
        expect(posted).to.deep.equal([]);
        expect(codes()).to.deep.equal(['PREFORK_DISPATCH_FAILED']);
      });
    }

    it('that throws has the packet dropped, with a warning; the master lives on', () => {
      make({
        dispatchFunc: () => {
          throw new Error('mine');
        },
      });
      expect(sink.receive(connection(5), DATA)).to.equal(true);
      expect(sink.chooseForDatagram(1, '10.0.0.1', DATA)).to.equal(-1);
      expect(codes()).to.deep.equal(['PREFORK_DISPATCH_FAILED', 'PREFORK_DISPATCH_FAILED']);
      expect(warn.firstCall.args[0]).to.equal('a packet was discarded: mine');
      expect(reactor.end.called).to.equal(false);
    });
  });

  describe('close without a worker', () => {
    it('of the peer is told to the one that would be chosen', () => {
      make({ dispatchMode: 1 });
      sink.close(connection(5), BY_PEER);
      expect(posted).to.deep.equal([`close 5 to 0 (undefined, ${BY_PEER})`]);
    });

    it('of the peer ends the connection when nobody is chosen', () => {
      for (const choice of [-1, -2]) {
        make({ dispatchFunc: () => choice });
        reactor.end.resetHistory();
        sink.close(connection(5), BY_PEER);
        expect(reactor.end.lastCall.args, String(choice)).to.deep.equal([5, false]);
      }
      expect(posted).to.deep.equal([]);
    });

    it('of the server needs nothing when nobody is chosen', () => {
      make({ dispatchFunc: () => -1 });
      sink.close(connection(5), BY_SERVER);
      expect(reactor.end.called).to.equal(false);
      expect(posted).to.deep.equal([]);
    });

    it('a buffer that is full is told to nobody', () => {
      sink.bufferFull(connection(5));
      sink.bufferEmpty(connection(5));
      expect(posted).to.deep.equal([]);
    });
  });

  describe('datagrams', () => {
    it('go by the address in mode 4, by the number that stands for the sender in mode 2', () => {
      expect(sink.chooseForDatagram(7, '10.0.0.1', DATA)).to.equal(1);
      make({ dispatchMode: 4 });
      const chosen = [1, 2, 3].map((port) => sink.chooseForDatagram(port, '10.0.0.4', DATA));
      expect(new Set(chosen).size).to.equal(1);
      expect(posted, 'who asked sends').to.deep.equal([]);
    });
  });

  it('tells of nothing any more once it is stopped', () => {
    const client = connection(5);
    sink.connect(client);
    takePosted();
    sink.stop();
    sink.bufferFull(client);
    sink.close(client, BY_SERVER);
    expect(posted).to.deep.equal([]);
  });
});
