import { expect } from 'chai';
import sinon from 'sinon';
import { Heartbeat } from '../../../../lib/server/reactor/heartbeat';
import { Connection } from '../../../../lib/server/reactor/connection';
import type { ServerPort } from '../../../../lib/server/port';
import type { Session } from '../../../../lib/server/session';
import { SessionTable } from '../../../../lib/server/session-table';
import { fakeKernel, removeFakes } from '../../fake-kernel';
import { fakeSockets, makePort } from '../fake-ports';

const NOW = 1_800_000_000_000;
const IDLE = 1000;
const CHECK = 400;

describe('Heartbeat', () => {
  let clock: sinon.SinonFakeTimers;
  let ports: ServerPort[];
  let sessions: SessionTable;
  let connections: Map<number, Connection>;
  let ended: number[];
  let heartbeat: Heartbeat;

  const connect = (port = ports[0] as ServerPort): Connection => {
    const from = { remoteAddress: '', remotePort: 0, port: ports.indexOf(port) };
    const session = sessions.open({ ...from, worker: -1, reactor: 0 }) as Session;
    const connection = new Connection(-1, session, port);
    connections.set(session.id, connection);
    return connection;
  };

  beforeEach(() => {
    clock = sinon.useFakeTimers({ now: NOW, toFake: ['Date', 'setInterval', 'clearInterval'] });
    fakeSockets(fakeKernel());
    ports = [
      makePort({ heartbeatIdleTime: IDLE, heartbeatCheckInterval: CHECK }),
      makePort({ heartbeatIdleTime: 10 * IDLE, heartbeatCheckInterval: CHECK }),
      makePort(),
      makePort({ heartbeatIdleTime: IDLE }, 'udp'),
    ];
    sessions = new SessionTable(10);
    connections = new Map();
    ended = [];
    heartbeat = new Heartbeat(ports, connections, ({ id }) => ended.push(id));
  });
  afterEach(() => {
    heartbeat.stop();
    removeFakes();
  });

  it('looks at ports with a heartbeat only', () => {
    heartbeat.start();
    expect(clock.countTimers()).to.equal(2);
  });

  it('ends a connection that was silent for the idle time, with the next check', () => {
    heartbeat.start();
    const { id } = connect();
    clock.tick(2 * CHECK);
    expect(ended).to.deep.equal([]);
    clock.tick(CHECK);
    expect(ended).to.deep.equal([id]);
  });

  it('counts from the last data, not from what was sent to it', () => {
    heartbeat.start();
    const { id, session } = connect();
    clock.tick(2 * CHECK);
    session.lastReceivedAt = Date.now();
    session.lastSentAt = Date.now();
    clock.tick(2 * CHECK);
    session.lastSentAt = Date.now();
    expect(ended).to.deep.equal([]);
    clock.tick(CHECK);
    expect(ended).to.deep.equal([id]);
  });

  it('is over exactly at the idle time', () => {
    const connection = connect();
    clock.tick(IDLE - 1);
    expect(heartbeat.idle(IDLE)).to.deep.equal([]);
    clock.tick(1);
    expect(heartbeat.idle(IDLE)).to.deep.equal([connection]);
  });

  it('leaves those alone that are protected, or closing', () => {
    heartbeat.start();
    connect().session.isProtected = true;
    connect().state = 'inputEnded';
    connect().state = 'ending';
    clock.tick(10 * IDLE);
    expect(ended).to.deep.equal([]);
  });

  it('has an idle time for each port', () => {
    heartbeat.start();
    connect(ports[1]);
    connect(ports[2]);
    const { id } = connect(ports[0]);
    clock.tick(IDLE + CHECK);
    expect(new Set(ended)).to.deep.equal(new Set([id]));
  });

  it('finds those of all ports when it is asked for no certain one', () => {
    const all = [connect(ports[0]), connect(ports[1]), connect(ports[2])];
    clock.tick(IDLE);
    expect(heartbeat.idle(IDLE)).to.deep.equal(all);
    expect(heartbeat.idle(IDLE, ports[1])).to.deep.equal([all[1]]);
  });

  it('ends nobody once it is stopped', () => {
    heartbeat.start();
    connect();
    heartbeat.stop();
    clock.tick(10 * IDLE);
    expect(ended).to.deep.equal([]);
    expect(clock.countTimers()).to.equal(0);
  });
});
