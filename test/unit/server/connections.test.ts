import { expect } from 'chai';
import sinon from 'sinon';
import { Addresses } from '../../../lib/server/bus/addresses';
import { END, PAUSE, RECEIVE, RESUME, SEND } from '../../../lib/server/bus/message';
import { ConnectionError } from '../../../lib/server/connection-error';
import { Connections } from '../../../lib/server/connections';
import type { ServerContext } from '../../../lib/server/context';
import type { Reactor } from '../../../lib/server/reactor/reactor';
import type { Session } from '../../../lib/server/session';
import { SessionTable } from '../../../lib/server/session-table';
import type { ServerMode } from '../../../lib/server/settings';
import { RESPONSES, ServerState } from '../../../lib/server/state';
import { thrownBy } from '../fake-kernel';

const OWN = 1;
const ELSEWHERE = 0;
const LIMIT = 1000;
const LONGEST = 5000;
const MIB = 1024 * 1024;
const PIPE_LIMIT = 64 * MIB;
const DATA = Buffer.from('data');

describe('Connections', () => {
  const addresses = new Addresses({ workerNum: 2, taskWorkerNum: 0, userNum: 0 }, true);
  let sessions: SessionTable;
  let state: ServerState;
  let posted: unknown[][];
  let blocked: unknown[][];
  let roomInTime: boolean;
  let waiting: number;
  let queued: number;
  let reactor: Record<'send' | 'end' | 'pause', sinon.SinonSpy>;
  let connections: Connections;

  const open = (heldBy: number): Session =>
    sessions.open({
      ...{ reactor: heldBy, worker: 0, port: 1, remoteAddress: '', remotePort: 0 },
    }) as Session;

  const make = (own: boolean, mode: ServerMode = 'base'): Connections => {
    const context = {
      ...{ addresses, sessions, state, mode },
      settings: { outputBufferSize: LONGEST },
      ports: [{ setting: { socketBufferSize: 1 } }, { setting: { socketBufferSize: LIMIT } }],
      bus: {
        post: (...args: unknown[]) => posted.push(args),
        sendWithin: (...args: unknown[]) => {
          blocked.push(args);
          return roomInTime;
        },
        waitingBytes: (to: number) => (to === addresses.row(ELSEWHERE) ? waiting : 0),
      },
      reactorAddress: (index: number) => addresses.row(index),
    };
    reactor = { send: sinon.fake(), end: sinon.fake(), pause: sinon.fake() };
    const fake = { ...reactor, id: OWN, queuedBytes: () => queued };
    return new Connections(
      context as unknown as ServerContext,
      own ? (fake as unknown as Reactor) : null,
    );
  };

  beforeEach(() => {
    sessions = new SessionTable(10, 0, 2);
    state = new ServerState(2);
    posted = [];
    blocked = [];
    roomInTime = true;
    waiting = queued = 0;
    connections = make(true);
  });

  describe('send', () => {
    it('goes to the own reactor when that holds the connection', () => {
      const { id } = open(OWN);
      connections.send(id, DATA);
      expect(reactor.send.args).to.deep.equal([[id, DATA]]);
      expect(posted).to.deep.equal([]);
      expect(state.count(RESPONSES)).to.equal(1);
    });

    for (const own of [true, false]) {
      it(`goes to the process that holds it, ${own ? 'with' : 'without'} an own reactor`, () => {
        connections = make(own);
        const { id } = open(ELSEWHERE);
        connections.send(id, DATA);
        expect(posted).to.deep.equal([[addresses.row(ELSEWHERE), SEND, id, DATA]]);
        expect(reactor.send.called).to.equal(false);
        expect(state.count(RESPONSES)).to.equal(1);
      });
    }

    it('takes outputBufferSize bytes and no more', () => {
      const { id } = open(ELSEWHERE);
      connections.send(id, Buffer.alloc(LONGEST));
      const { message } = thrownBy(() => {
        connections.send(id, Buffer.alloc(LONGEST + 1));
      }, 'ERR_DATA_TOO_LARGE');
      expect(message).to.equal('5001 bytes, the limit (outputBufferSize) is 5000');
      expect(posted).to.have.length(1);
    });

    it('throws of a session that is not there, is closing or closed, and counts no response', () => {
      const session = open(OWN);
      thrownBy(() => connections.send(99, DATA), 'ERR_SESSION_NOT_EXIST');
      session.beginClose();
      thrownBy(() => connections.send(session.id, DATA), 'ERR_SESSION_CLOSED');
      sessions.close(session.id);
      const error = thrownBy(() => connections.send(session.id, DATA), 'ERR_SESSION_CLOSED');
      expect(error).to.be.instanceOf(ConnectionError).and.to.include({ fd: session.id });
      expect(reactor.send.called).to.equal(false);
      expect(state.count(RESPONSES)).to.equal(0);
    });

    it('throws when socketBufferSize bytes wait in the own reactor', () => {
      const { id } = open(OWN);
      queued = LIMIT - 1;
      connections.send(id, DATA);
      queued = LIMIT;
      const { message } = thrownBy(() => connections.send(id, DATA), 'ERR_OUTPUT_OVERFLOW');
      expect(message).to.include('1000 bytes wait').and.to.include('(socketBufferSize) is 1000');
      expect(reactor.send.callCount).to.equal(1);
    });

    it('throws when so many bytes wait where it is held, as the table says', () => {
      const session = open(ELSEWHERE);
      session.sendQueuedBytes = LIMIT - 1;
      connections.send(session.id, DATA);
      session.sendQueuedBytes = LIMIT;
      const error = thrownBy(() => connections.send(session.id, DATA), 'ERR_OUTPUT_OVERFLOW');
      expect(error).to.be.instanceOf(ConnectionError).and.to.include({ fd: session.id });
      expect(posted).to.have.length(1);
    });

    it('throws when 64 MiB wait in this process for the worker that holds it', () => {
      const session = open(ELSEWHERE);
      waiting = PIPE_LIMIT - 1;
      connections.send(session.id, DATA);
      waiting = PIPE_LIMIT;
      const { message } = thrownBy(() => connections.send(session.id, DATA), 'ERR_OUTPUT_OVERFLOW');
      expect(message).to.include(`(of its pipe) is ${String(PIPE_LIMIT)}`);
      const own = open(OWN);
      connections.send(own.id, DATA);
      expect(reactor.send.callCount, 'the own ones go on').to.equal(1);
    });

    it('waits for the master when 1 MiB waits for it', () => {
      connections = make(false, 'process');
      const { id } = open(ELSEWHERE);
      waiting = MIB - 1;
      connections.send(id, DATA);
      expect(posted).to.have.length(1);
      waiting = MIB;
      connections.send(id, DATA);
      expect(posted).to.have.length(1);
      expect(blocked).to.deep.equal([[addresses.row(ELSEWHERE), SEND, id, DATA, 0, 10_000]]);
      expect(state.count(RESPONSES)).to.equal(2);
    });

    it('throws when the master has taken nothing for so long', () => {
      connections = make(false, 'process');
      const { id } = open(ELSEWHERE);
      waiting = MIB;
      roomInTime = false;
      thrownBy(() => connections.send(id, DATA), 'ERR_OUTPUT_OVERFLOW');
      expect(state.count(RESPONSES)).to.equal(0);
    });
  });

  describe('close', () => {
    for (const reset of [false, true]) {
      it(`ends an own connection${reset ? ' by a reset' : ''}; nothing more can be sent`, () => {
        const { id, state: before } = open(OWN);
        expect(before).to.equal('open');
        connections.close(id, reset);
        expect(reactor.end.args).to.deep.equal([[id, reset]]);
        thrownBy(() => connections.send(id, DATA), 'ERR_SESSION_CLOSED');
      });

      it(`asks the process that holds it to end it${reset ? ' by a reset' : ''}`, () => {
        const session = open(ELSEWHERE);
        connections.close(session.id, reset);
        const kind = reset ? 1 : 0;
        expect(posted).to.deep.equal([
          [addresses.row(ELSEWHERE), END, session.id, undefined, kind],
        ]);
        expect(session.state).to.equal('closing');
      });
    }

    it('is refused a second time', () => {
      const { id } = open(OWN);
      connections.close(id, false);
      thrownBy(() => {
        connections.close(id, false);
      }, 'ERR_SESSION_CLOSED');
      expect(reactor.end.callCount).to.equal(1);
    });

    it('end() answers the end of a peer also when it is closing', () => {
      const session = open(OWN);
      session.beginClose();
      connections.end(session);
      expect(reactor.end.args).to.deep.equal([[session.id, false]]);
    });
  });

  describe('pause', () => {
    it('pauses and resumes an own connection', () => {
      const { id } = open(OWN);
      connections.pause(id, true);
      connections.pause(id, false);
      expect(reactor.pause.args).to.deep.equal([
        [id, true],
        [id, false],
      ]);
    });

    it('asks the process that holds it', () => {
      const { id } = open(ELSEWHERE);
      connections.pause(id, true);
      connections.pause(id, false);
      const to = addresses.row(ELSEWHERE);
      expect(posted).to.deep.equal([
        [to, PAUSE, id],
        [to, RESUME, id],
      ]);
    });

    it('is refused of one that is closed', () => {
      const session = open(OWN);
      session.beginClose();
      thrownBy(() => {
        connections.pause(session.id, true);
      }, 'ERR_SESSION_CLOSED');
    });
  });

  describe('handle', () => {
    it('does what other processes ask for', () => {
      const asked: [type: number, kind: number][] = [
        [SEND, 0],
        [END, 0],
        [END, 1],
        [PAUSE, 0],
        [RESUME, 0],
      ];
      const handled = asked.map(([type, kind]) => connections.handle(type, kind, 9, DATA));
      expect(handled).to.deep.equal([true, true, true, true, true]);
      expect(reactor.send.args).to.deep.equal([[9, DATA]]);
      expect(reactor.end.args).to.deep.equal([
        [9, false],
        [9, true],
      ]);
      expect(reactor.pause.args).to.deep.equal([
        [9, true],
        [9, false],
      ]);
    });

    it('leaves other messages alone', () => {
      expect(connections.handle(RECEIVE, 0, 9, DATA)).to.equal(false);
    });

    it('drops what comes to a process that holds no connections', () => {
      expect(make(false).handle(SEND, 0, 9, DATA)).to.equal(true);
      expect(reactor.send.called).to.equal(false);
    });
  });
});
