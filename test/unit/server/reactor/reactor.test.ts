import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../../lib/binding';
import { systemError } from '../../../../lib/errors';
import type { onChildReset } from '../../../../lib/process/child-reset';
import {
  BY_PEER,
  BY_SERVER,
  UNREADABLE,
  type CloseReason,
  type Connection,
} from '../../../../lib/server/reactor/connection';
import { Reactor, type Sink } from '../../../../lib/server/reactor/reactor';
import type { PortOptions } from '../../../../lib/server/port-settings';
import type { ServerPort } from '../../../../lib/server/port';
import type { Session } from '../../../../lib/server/session';
import { SessionTable } from '../../../../lib/server/session-table';
import { ACCEPTED, CLOSED, REFUSED, ServerState } from '../../../../lib/server/state';
import {
  fakeKernel,
  FakeWatcher,
  freshAll,
  removeFakes,
  settle,
  type FakeKernel,
} from '../../fake-kernel';
import { fakeSockets, makePort } from '../fake-ports';
import { FakeClients, READS, WRITES, type FakeClient } from './fake-clients';

const KIB = 1024;
const NOW = 1_800_000_000_000;
const MAX_CONNECTIONS = 4;
const REASONS = { [BY_PEER]: 'by peer', [BY_SERVER]: 'by server', [UNREADABLE]: 'unreadable' };

/** Where the events go: a diary, and what a test has them do. */
class FakeSink implements Sink {
  readonly diary: string[] = [];
  readonly connections: Connection[] = [];
  onReceive: (connection: Connection, data: string) => boolean = () => true;
  onClose: (connection: Connection, reason: CloseReason) => void = () => undefined;
  onFull: (connection: Connection) => void = () => undefined;

  connect(connection: Connection): void {
    this.connections.push(connection);
    this.diary.push(`connect ${String(connection.id)}`);
  }

  receive(connection: Connection, data: Buffer): boolean {
    this.diary.push(`receive ${String(connection.id)} ${data.toString()}`);
    return this.onReceive(connection, data.toString());
  }

  close(connection: Connection, reason: CloseReason): void {
    this.diary.push(`close ${String(connection.id)} ${REASONS[reason]}`);
    this.onClose(connection, reason);
  }

  bufferFull(connection: Connection): void {
    this.diary.push(`full ${String(connection.id)}`);
    this.onFull(connection);
  }

  bufferEmpty({ id }: Connection): void {
    this.diary.push(`empty ${String(id)}`);
  }

  takeDiary(): string[] {
    return this.diary.splice(0);
  }
}

/** A second instance of the class, and what a child does to the reactors of it that it has inherited. */
function freshReactor(): { childReset: () => void; Reactor: typeof Reactor } {
  const forgetters: (() => void)[] = [];
  const module = require.cache[require.resolve('../../../../lib/process/child-reset')];
  sinon
    .stub(module?.exports as { onChildReset: typeof onChildReset }, 'onChildReset')
    .callsFake((forget) => forgetters.push(forget));
  const [fresh] = freshAll(['server/reactor/reactor']) as [{ Reactor: typeof Reactor }];
  const childReset = (): void => {
    for (const forget of forgetters) forget();
  };
  return { childReset, ...fresh };
}

describe('Reactor', () => {
  let clock: sinon.SinonFakeTimers;
  let kernel: FakeKernel;
  let clients: FakeClients;
  let sink: FakeSink;
  let sessions: SessionTable;
  let state: ServerState;
  let port: ServerPort;
  let reactor: Reactor;

  const make = (options: PortOptions = {}, Class = Reactor): Reactor => {
    port = makePort(options);
    const turn = { begin: () => undefined, end: () => undefined };
    reactor = new Class({
      ...{ id: 0, ports: [port], sessions, state, sink, turn, acceptsPerTurn: 8 },
    });
    reactor.start();
    return reactor;
  };
  /** A client, and what the server knows of it. */
  const connect = (): { client: FakeClient; connection: Connection; id: number } => {
    const client = clients.connect(port);
    const connection = sink.connections.at(-1) as Connection;
    sink.takeDiary();
    return { client, connection, id: connection.id };
  };
  const says = (client: FakeClient, ...data: string[]): string[] => {
    for (const part of data) client.write(part);
    clients.turn();
    return sink.takeDiary();
  };
  const stateOf = (id: number): string => {
    const found = sessions.find(id);
    return typeof found === 'string' ? found : found.state;
  };

  beforeEach(() => {
    clock = sinon.useFakeTimers({
      now: NOW,
      toFake: ['Date', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'],
    });
    kernel = fakeKernel();
    fakeSockets(kernel);
    clients = new FakeClients(kernel);
    sink = new FakeSink();
    sessions = new SessionTable(MAX_CONNECTIONS);
    state = new ServerState(1);
    make();
  });
  afterEach(removeFakes);

  describe('a client connects', () => {
    it('gets a session that tells where it came from, and is read', () => {
      const client = clients.connect(port, ['10.0.0.7', 51_000]);
      const [connection] = sink.connections as [Connection];
      expect(sink.diary).to.deep.equal([`connect ${connection.id}`]);
      expect(sessions.get(connection.id)).to.include({
        ...{ remoteAddress: '10.0.0.7', remotePort: 51_000, port: 0, reactor: 0, worker: -1 },
      });
      expect(clients.eventsOf(client)).to.equal(READS);
      expect(state.count(ACCEPTED)).to.equal(1);
    });

    it('has its small writes sent at once, unless its port says no', () => {
      expect(connect().client.noDelay).to.equal(true);
      make({ openTcpNodelay: false });
      expect(connect().client.noDelay).to.equal(false);
    });

    it('is served also when it is gone before its options are set', () => {
      (binding.setNoDelay as sinon.SinonStub).throws(systemError('EINVAL', 'setsockopt', 'gone'));
      expect(says(connect().client, 'data')).to.deep.equal(['receive 1 data']);
    });

    it('is refused when there are maxConnection, and closed at once', () => {
      const served = Array.from({ length: MAX_CONNECTIONS }, () => connect());
      const refused = clients.connect(port);
      expect(sink.diary).to.deep.equal([]);
      expect(clients.isOpen(refused)).to.equal(false);
      expect([state.count(ACCEPTED), state.count(REFUSED)]).to.deep.equal([MAX_CONNECTIONS, 1]);
      reactor.end(served[0]?.id ?? 0, false);
      expect(clients.isOpen(clients.connect(port)), 'there is room again').to.equal(true);
    });

    it('may be closed as soon as it is there', () => {
      sinon.stub(sink, 'connect').callsFake(({ id }) => {
        reactor.end(id, false);
      });
      const client = clients.connect(port);
      expect(clients.isOpen(client)).to.equal(false);
      expect(clients.eventsOf(client)).to.equal(0);
    });

    it('is not accepted any more after stopAccepting(); those that are there are served', () => {
      const { client } = connect();
      reactor.stopAccepting();
      clients.knock(port);
      expect(FakeWatcher.of(port.stream?.fd ?? -1).events).to.equal(0);
      expect(says(client, 'data')).to.deep.equal(['receive 1 data']);
    });
  });

  describe('data', () => {
    it('come to the sink as the port frames them', () => {
      make({ openEofSplit: true, packageEof: '\n' });
      const { client } = connect();
      expect(says(client, 'a\nb\nc')).to.deep.equal(['receive 1 a\n', 'receive 1 b\n']);
      expect(says(client, 'c\n')).to.deep.equal(['receive 1 cc\n']);
    });

    it('are counted, and the session knows when they came', () => {
      const { client, id } = connect();
      clock.tick(500);
      says(client, 'data', '!');
      expect(reactor.receivedBytes).to.equal(5);
      expect(sessions.get(id).lastReceivedAt).to.equal(NOW + 500);
    });

    it('of several clients do not mix', () => {
      const [first, second] = [connect(), connect()];
      first.client.write('one');
      second.client.write('two');
      clients.turn();
      expect(sink.diary).to.deep.equal(['receive 1 one', 'receive 2 two']);
    });

    it('of one that was closed in the same turn are dropped', () => {
      const [first, second] = [connect(), connect()];
      sink.onReceive = () => {
        reactor.end(second.id, true);
        return true;
      };
      first.client.write('one');
      second.client.write('two');
      clients.turn();
      expect(sink.diary).to.deep.equal(['receive 1 one', 'close 2 by server']);
    });

    describe('that cannot be framed', () => {
      let warn: sinon.SinonStub;

      beforeEach(() => {
        warn = sinon.stub(process, 'emitWarning');
        make({ openEofSplit: true, packageEof: '\n', packageMaxLength: 4 });
      });

      it('are told to the worker, whose answer closes the connection; others go on', () => {
        const [bad, good] = [connect(), connect()];
        expect(says(bad.client, 'a\n', 'too long\n')).to.deep.equal([
          'receive 1 a\n',
          'close 1 unreadable',
        ]);
        expect(stateOf(bad.id), 'the answer to "a" may still come').to.equal('open');
        expect(says(bad.client, 'b\n'), 'nothing more is read').to.deep.equal([]);
        reactor.send(bad.id, Buffer.from('answer'));
        reactor.end(bad.id, false);
        expect(bad.client.received).to.equal('answer');
        expect(clients.isOpen(bad.client)).to.equal(false);
        expect(sink.takeDiary(), 'the worker knows').to.deep.equal([]);
        expect(says(good.client, 'b\n')).to.deep.equal(['receive 2 b\n']);
      });

      it('are told again when the worker has died', () => {
        const { client, connection } = connect();
        connection.worker = 1;
        says(client, 'too long\n');
        reactor.repeatClose(1);
        expect(sink.diary).to.deep.equal(['close 1 unreadable']);
      });

      it('of a connection that a callback has closed meanwhile are nothing more', () => {
        sink.onReceive = ({ id }) => {
          reactor.end(id, false);
          return true;
        };
        const { client } = connect();
        expect(says(client, 'a\n', 'too long\n')).to.deep.equal([
          'receive 1 a\n',
          'close 1 by server',
        ]);
        expect(clients.isOpen(client)).to.equal(false);
      });

      it('are warned of once a second, with the reason', () => {
        for (const { client } of [connect(), connect()]) says(client, 'too long\n');
        sinon.assert.calledOnceWithExactly(
          warn,
          sinon.match(/^connection 1 from \S+ is closed: .* 9 bytes, the limit is 4/),
          { type: 'PreforkWarning', code: 'PREFORK_BAD_PACKET' },
        );
      });

      it('are warned of with what a packageLengthFunc has thrown', () => {
        make({
          openLengthCheck: true,
          packageLengthFunc: () => {
            throw new Error('broken');
          },
        });
        says(connect().client, 'data');
        sinon.assert.calledOnceWithExactly(
          warn,
          sinon.match(/packageLengthFunc threw: broken$/),
          sinon.match.object,
        );
      });
    });

    it('stay in the kernel after stopReading(); what is sent still leaves', () => {
      const { client, id } = connect();
      reactor.stopReading();
      expect(says(client, 'data')).to.deep.equal([]);
      expect(client.input).to.have.length(1);
      reactor.send(id, Buffer.from('answer'));
      expect(client.received).to.equal('answer');
    });
  });

  describe('finishReading', () => {
    let finished: sinon.SinonSpy;
    const finish = (timeoutMs: number): void => {
      finished = sinon.fake();
      void reactor.finishReading(timeoutMs).then(finished);
    };
    const pass = async (ms: number): Promise<boolean> => {
      await clock.tickAsync(ms);
      await settle();
      return finished.called;
    };

    it('reads what has come, and then no more', async () => {
      const { client } = connect();
      client.write('data');
      finish(1000);
      await settle();
      expect(sink.takeDiary()).to.deep.equal(['receive 1 data']);
      expect(await pass(0)).to.equal(true);
      expect(clients.eventsOf(client)).to.equal(0);
    });

    it('waits for the rest of a packet', async () => {
      make({ openEofSplit: true, packageEof: '\n' });
      const { client } = connect();
      says(client, 'half');
      finish(10_000);
      expect(await pass(50)).to.equal(false);
      expect(says(client, ' done\n')).to.deep.equal(['receive 1 half done\n']);
      expect(await pass(50)).to.equal(true);
    });

    it('waits for one that is new and silent, but not beyond its time', async () => {
      const { client } = connect();
      finish(100);
      expect(await pass(90)).to.equal(false);
      expect(await pass(20)).to.equal(true);
      expect(clients.eventsOf(client)).to.equal(0);
    });
  });

  describe('send', () => {
    it('outside a turn leaves at once', () => {
      const { client, id } = connect();
      expect(reactor.send(id, Buffer.from('answer'))).to.equal(true);
      expect(client.writes).to.deep.equal(['answer']);
      expect(reactor.sentBytes).to.equal(6);
    });

    it('inside a turn leaves at its end, all of it with one call', () => {
      const { client } = connect();
      sink.onReceive = ({ id }, data) => {
        expect(client.writes).to.deep.equal([]);
        reactor.send(id, Buffer.from(`${data}-`));
        return reactor.send(id, Buffer.from('b'));
      };
      says(client, 'a');
      expect(client.writes).to.deep.equal(['a-b']);
    });

    it('inside cork() and uncork() leaves at the end', () => {
      const { client, id } = connect();
      reactor.cork();
      for (const text of ['a', 'b', 'c']) reactor.send(id, Buffer.from(text));
      expect(client.writes).to.deep.equal([]);
      reactor.uncork();
      expect(client.writes).to.deep.equal(['abc']);
    });

    it('of much data leaves at once, after what waits for the end of the turn', () => {
      const { client, id } = connect();
      const large = 'x'.repeat(KIB + 1);
      reactor.cork();
      reactor.send(id, Buffer.from('first '));
      reactor.send(id, Buffer.from(large));
      expect(client.received).to.equal(`first ${large}`);
      reactor.uncork();
      expect(client.received).to.equal(`first ${large}`);
    });

    for (const bytes of [1, KIB, KIB + 1, 100 * KIB]) {
      it(`of ${String(bytes)} bytes lets the caller use its buffer again at once`, () => {
        const { client, id } = connect();
        client.room = 0;
        const data = Buffer.alloc(bytes, 'a');
        reactor.send(id, data);
        data.fill('b');
        client.room = Infinity;
        clients.turn();
        expect(client.received).to.equal('a'.repeat(bytes));
      });
    }

    it('lets the caller use its buffer again also when more is sent because it was too much', () => {
      make({ bufferHighWatermark: KIB });
      const { client, id } = connect();
      client.room = 0;
      sink.onFull = () => reactor.send(id, Buffer.from('!'));
      const data = Buffer.alloc(100 * KIB, 'a');
      reactor.send(id, data);
      data.fill('b');
      client.room = Infinity;
      clients.turn();
      expect(client.received).to.equal(`${'a'.repeat(100 * KIB)}!`);
    });

    it('that finds no room waits until the client reads on, in order', () => {
      const { client, id } = connect();
      client.room = 4;
      reactor.send(id, Buffer.from('abcdef'));
      reactor.send(id, Buffer.from('ghi'));
      expect(clients.eventsOf(client)).to.equal(READS | WRITES);
      expect(reactor.queuedBytes(id)).to.equal(5);
      expect(sessions.get(id).sendQueuedBytes).to.equal(5);
      client.room = 3;
      clients.turn();
      expect(reactor.queuedBytes(id)).to.equal(2);
      client.room = Infinity;
      clients.turn();
      expect(client.received).to.equal('abcdefghi');
      expect(clients.eventsOf(client)).to.equal(READS);
      expect(sessions.get(id).sendQueuedBytes).to.equal(0);
    });

    it('to one that is not there, or is ending, is refused', () => {
      const { client, id } = connect();
      expect(reactor.send(99, Buffer.from('data'))).to.equal(false);
      client.room = 0;
      reactor.send(id, Buffer.from('data'));
      reactor.end(id, false);
      expect(reactor.send(id, Buffer.from('more'))).to.equal(false);
      expect(reactor.queuedBytes(id)).to.equal(4);
      expect(reactor.queuedBytes(99)).to.equal(0);
    });

    it('notes when it was', () => {
      const { client, id } = connect();
      expect(sessions.get(id).lastSentAt).to.equal(0);
      says(client, 'data');
      clock.tick(70);
      reactor.send(id, Buffer.from('answer'));
      expect(sessions.get(id).lastSentAt).to.equal(NOW + 70);
    });
  });

  describe('watermarks', () => {
    beforeEach(() => {
      make({ bufferHighWatermark: 10, bufferLowWatermark: 2 });
    });

    it('are told once each', () => {
      const { client, id } = connect();
      client.room = 0;
      reactor.send(id, Buffer.alloc(9, 'x'));
      expect(sink.takeDiary()).to.deep.equal([]);
      reactor.send(id, Buffer.from('xx'));
      reactor.send(id, Buffer.from('x'));
      expect(sink.takeDiary()).to.deep.equal(['full 1']);
      client.room = 9;
      clients.turn();
      expect(sink.takeDiary()).to.deep.equal([]);
      client.room = Infinity;
      clients.turn();
      expect(sink.takeDiary()).to.deep.equal(['empty 1']);
    });

    it('are not reached by what leaves at once', () => {
      const { id } = connect();
      reactor.send(id, Buffer.alloc(5000));
      expect(sink.diary).to.deep.equal([]);
    });
  });

  describe('a worker that has too much to do', () => {
    it('gets no more of a connection until there is room', () => {
      const { client, connection } = connect();
      connection.worker = 3;
      sink.onReceive = () => false;
      expect(says(client, 'a')).to.deep.equal(['receive 1 a']);
      expect(clients.eventsOf(client)).to.equal(0);
      expect(says(client, 'b')).to.deep.equal([]);
      sink.onReceive = () => true;
      reactor.resumeReading(2);
      expect(clients.eventsOf(client), 'another worker').to.equal(0);
      reactor.resumeReading(3);
      clients.turn();
      expect(sink.diary).to.deep.equal(['receive 1 b']);
    });

    it('gets all packets of the data that were read already', () => {
      make({ openEofSplit: true, packageEof: '\n' });
      const { client } = connect();
      sink.onReceive = () => false;
      expect(says(client, 'a\nb\n')).to.deep.equal(['receive 1 a\n', 'receive 1 b\n']);
    });

    it('does not keep from sending', () => {
      const { client, id } = connect();
      sink.onReceive = () => false;
      client.room = 0;
      says(client, 'a');
      reactor.send(id, Buffer.from('answer'));
      expect(clients.eventsOf(client)).to.equal(WRITES);
      client.room = Infinity;
      clients.turn();
      expect(client.received).to.equal('answer');
      expect(clients.eventsOf(client)).to.equal(0);
    });
  });

  describe('pause', () => {
    it('leaves what comes in the kernel until it is taken back', () => {
      const { client, id } = connect();
      reactor.pause(id, true);
      expect(says(client, 'data')).to.deep.equal([]);
      reactor.pause(id, false);
      clients.turn();
      expect(sink.diary).to.deep.equal(['receive 1 data']);
    });

    it('is not ended by room for the worker', () => {
      const { client, id } = connect();
      sink.onReceive = () => false;
      says(client, 'a');
      reactor.pause(id, true);
      reactor.resumeReading(-1);
      expect(clients.eventsOf(client)).to.equal(0);
    });

    it('of one that is not there is nothing', () => {
      reactor.pause(99, true);
    });
  });

  describe('a client ends its side', () => {
    it('is told once; the answer still reaches it, and then the connection is closed', () => {
      const { client, id } = connect();
      client.write('last');
      client.end();
      clients.turn();
      expect(sink.takeDiary()).to.deep.equal(['receive 1 last', 'close 1 by peer']);
      expect(clients.isOpen(client)).to.equal(true);
      expect(stateOf(id), 'others may send').to.equal('open');
      expect(reactor.send(id, Buffer.from('answer'))).to.equal(true);
      reactor.end(id, false);
      expect(client.received).to.equal('answer');
      expect(client.closed).to.equal('shut down');
      expect(clients.isOpen(client)).to.equal(false);
      expect(sink.diary, 'the worker knows').to.deep.equal([]);
      expect(stateOf(id)).to.equal('ERR_SESSION_CLOSED');
    });

    it('is watched no more: epoll would tell again and again', () => {
      const { client } = connect();
      client.end();
      clients.turn();
      expect(clients.eventsOf(client)).to.equal(0);
    });

    it('has what waits for room sent before the connection is closed', () => {
      const { client, id } = connect();
      client.room = 0;
      reactor.send(id, Buffer.from('answer'));
      client.end();
      clients.turn();
      reactor.end(id, false);
      expect(clients.isOpen(client)).to.equal(true);
      client.room = Infinity;
      clients.turn();
      expect(client.received).to.equal('answer');
      expect(clients.isOpen(client)).to.equal(false);
    });

    it('is closed in the same turn when the sink answers at once', () => {
      const { client, id } = connect();
      sink.onClose = (connection) => {
        reactor.end(connection.id, false);
      };
      client.end();
      clients.turn();
      expect(sink.diary).to.deep.equal(['close 1 by peer']);
      expect(clients.isOpen(client)).to.equal(false);
      expect(stateOf(id)).to.equal('ERR_SESSION_CLOSED');
    });
  });

  describe('a client is gone', () => {
    it('is told once, nothing more can be sent, and the answer closes the connection', () => {
      const { client, id } = connect();
      client.vanish();
      clients.turn();
      expect(sink.takeDiary()).to.deep.equal(['close 1 by peer']);
      expect(stateOf(id)).to.equal('closing');
      expect(clients.eventsOf(client)).to.equal(0);
      reactor.end(id, false);
      expect(clients.isOpen(client)).to.equal(false);
      expect(sink.diary).to.deep.equal([]);
      expect(state.count(CLOSED)).to.equal(1);
    });

    it('is noticed by what is sent to it', () => {
      const { client, id } = connect();
      client.vanish();
      reactor.send(id, Buffer.from('answer'));
      expect(sink.diary).to.deep.equal(['close 1 by peer']);
      expect(reactor.queuedBytes(id)).to.equal(0);
    });

    it('is noticed by what waits for room, which is forgotten', () => {
      const { client, id } = connect();
      client.room = 0;
      reactor.send(id, Buffer.from('answer'));
      client.vanish();
      clients.turn();
      expect(sink.diary).to.deep.equal(['close 1 by peer']);
      expect(reactor.queuedBytes(id)).to.equal(0);
      expect(clients.eventsOf(client)).to.equal(0);
    });

    it('while it is being closed: that ends at once, and the worker is told of its own close', () => {
      const { client, id } = connect();
      client.room = 0;
      reactor.send(id, Buffer.from('answer'));
      reactor.end(id, false);
      client.vanish();
      clients.turn();
      expect(sink.diary).to.deep.equal(['close 1 by server']);
      expect(clients.isOpen(client)).to.equal(false);
    });

    it('when it is to be closed: that ends at once, whatever waits', () => {
      const { client, id } = connect();
      client.room = 0;
      reactor.send(id, Buffer.from('answer'));
      client.vanish();
      reactor.end(id, false);
      expect(sink.diary).to.deep.equal(['close 1 by server']);
      expect(clients.isOpen(client)).to.equal(false);
    });

    it('after it had ended its side, and is reset by the server: it is told once', () => {
      const { client, id } = connect();
      client.end();
      clients.turn();
      reactor.end(id, true);
      expect(sink.diary).to.deep.equal(['close 1 by peer']);
      expect(clients.isOpen(client)).to.equal(false);
    });

    it('after it had ended its side: it is told once', () => {
      const { client, id } = connect();
      client.room = 0;
      reactor.send(id, Buffer.from('answer'));
      client.end();
      clients.turn();
      client.vanish();
      clients.turn();
      expect(sink.diary).to.deep.equal(['close 1 by peer']);
      expect(clients.eventsOf(client)).to.equal(0);
      reactor.end(id, false);
      expect(clients.isOpen(client)).to.equal(false);
    });
  });

  describe('end', () => {
    it('closes at once when nothing waits', () => {
      const { client, id } = connect();
      reactor.end(id, false);
      expect(client.closed).to.equal('shut down');
      expect(clients.isOpen(client)).to.equal(false);
      expect(sink.diary).to.deep.equal(['close 1 by server']);
      expect(stateOf(id)).to.equal('ERR_SESSION_CLOSED');
      expect(state.count(CLOSED)).to.equal(1);
    });

    it('closes when all that waits has left, and reads nothing meanwhile', () => {
      const { client, id } = connect();
      client.room = 2;
      reactor.send(id, Buffer.from('answer'));
      reactor.end(id, false);
      expect(stateOf(id)).to.equal('closing');
      expect(says(client, 'more')).to.deep.equal([]);
      client.room = Infinity;
      clients.turn();
      expect(client.received).to.equal('answer');
      expect(sink.diary).to.deep.equal(['close 1 by server']);
    });

    it('inside a turn closes at its end, after what the turn has sent', () => {
      const { client } = connect();
      sink.onReceive = ({ id }) => {
        reactor.send(id, Buffer.from('answer'));
        reactor.end(id, false);
        expect(clients.isOpen(client)).to.equal(true);
        return true;
      };
      says(client, 'a');
      expect(client.received).to.equal('answer');
      expect(clients.isOpen(client)).to.equal(false);
    });

    it('by a reset closes at once and forgets what waits', () => {
      const { client, id } = connect();
      client.room = 0;
      reactor.send(id, Buffer.from('answer'));
      reactor.end(id, true);
      expect(client.closed).to.equal('reset');
      expect(clients.isOpen(client)).to.equal(false);
      expect(sink.diary).to.deep.equal(['close 1 by server']);
    });

    it('by a reset ends one that is ending and does not read', () => {
      const { client, id } = connect();
      client.room = 0;
      reactor.send(id, Buffer.from('answer'));
      reactor.end(id, false);
      reactor.end(id, true);
      expect(clients.isOpen(client)).to.equal(false);
      expect(sink.diary).to.deep.equal(['close 1 by server']);
    });

    it('a second time, or of one that is not there, is nothing', () => {
      const { id } = connect();
      reactor.end(id, false);
      reactor.end(id, false);
      reactor.end(id, true);
      expect(sink.diary).to.deep.equal(['close 1 by server']);
      expect(state.count(CLOSED)).to.equal(1);
    });
  });

  describe('repeatClose', () => {
    it('tells again of peers that ended, to the worker that may not have heard of it', () => {
      const [lost, other, open] = [connect(), connect(), connect()];
      lost.connection.worker = open.connection.worker = 1;
      other.connection.worker = 2;
      for (const { client } of [lost, other]) client.end();
      clients.turn();
      sink.takeDiary();
      reactor.repeatClose(1);
      expect(sink.diary).to.deep.equal([`close ${String(lost.id)} by peer`]);
    });
  });

  describe('the heartbeat', () => {
    beforeEach(() => {
      make({ heartbeatIdleTime: 1000, heartbeatCheckInterval: 500 });
    });

    it('closes a silent connection', () => {
      const { client } = connect();
      clock.tick(1000);
      expect(sink.diary).to.deep.equal(['close 1 by server']);
      expect(client.closed).to.equal('shut down');
    });

    it('resets one that does not read either', () => {
      const { client, id } = connect();
      client.room = 0;
      reactor.send(id, Buffer.from('answer'));
      clock.tick(1000);
      expect(client.closed).to.equal('reset');
    });
  });

  describe('close', () => {
    it('ends all connections, stops accepting, and leaves no fd but the ports', async () => {
      const all = [connect(), connect()];
      await reactor.close(1000);
      expect(sink.diary).to.deep.equal(['close 1 by server', 'close 2 by server']);
      for (const { client } of all) expect(clients.isOpen(client)).to.equal(false);
      expect(kernel.openFds.has(clients.epoll)).to.equal(false);
      expect(FakeWatcher.of(port.stream?.fd ?? -1).events).to.equal(0);
      expect(sessions.count).to.equal(0);
    });

    it('waits until what was sent has left', async () => {
      const { client, id } = connect();
      client.room = 0;
      reactor.send(id, Buffer.from('answer'));
      const closed = sinon.fake();
      void reactor.close(1000).then(closed);
      await clock.tickAsync(999);
      expect(closed.called).to.equal(false);
      client.room = Infinity;
      clients.turn();
      await settle();
      expect(closed.called).to.equal(true);
      expect(client.received).to.equal('answer');
    });

    it('waits no longer than its time for a client that does not read', async () => {
      const [stuck, other] = [connect(), connect()];
      stuck.client.room = 0;
      reactor.send(stuck.id, Buffer.from('answer'));
      const closed = sinon.fake();
      void reactor.close(1000).then(closed);
      expect(clients.isOpen(other.client), 'the others are closed').to.equal(false);
      await clock.tickAsync(1000);
      expect(closed.called).to.equal(true);
      expect(clients.isOpen(stuck.client)).to.equal(false);
      expect(stateOf(stuck.id)).to.equal('ERR_SESSION_CLOSED');
    });

    it('ends those also whose peers have ended and whose workers have not answered', async () => {
      const { client } = connect();
      client.end();
      clients.turn();
      await reactor.close(0);
      expect(clients.isOpen(client)).to.equal(false);
    });
  });

  it('in a forked child lets go of the copies, and tells neither client nor sink', () => {
    const { childReset, Reactor: Fresh } = freshReactor();
    reactor.stopAccepting();
    make({}, Fresh);
    const { client, id } = connect();
    childReset();
    expect(clients.isOpen(client)).to.equal(false);
    expect(client.closed).to.equal('no');
    expect(kernel.openFds.has(clients.epoll)).to.equal(false);
    expect(sink.diary).to.deep.equal([]);
    expect((sessions.find(id) as Session).state, 'of the parent').to.equal('open');
  });
});
