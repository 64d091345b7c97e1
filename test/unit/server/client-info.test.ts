import { expect } from 'chai';
import sinon from 'sinon';
import { clientInfo, idleSessions } from '../../../lib/server/client-info';
import type { ServerContext } from '../../../lib/server/context';
import type { Session } from '../../../lib/server/session';
import { SessionTable } from '../../../lib/server/session-table';
import type { ServerMode } from '../../../lib/server/settings';

describe('clientInfo', () => {
  let sessions: SessionTable;
  let session: Session;

  const info = (fd: number, mode: ServerMode = 'process') =>
    clientInfo(
      { sessions, mode, ports: [{ port: 9501 }, { port: 9502 }] } as unknown as ServerContext,
      fd,
    );

  beforeEach(() => {
    sessions = new SessionTable(4, 0, 13);
    const from = { remoteAddress: '10.0.0.1', remotePort: 40_000 };
    session = sessions.open({ worker: 3, reactor: 0, port: 1, ...from }) as Session;
  });

  it('tells all that is known of an open connection', () => {
    session.bind(77);
    session.sendQueuedBytes = 5;
    session.lastReceivedAt = 1_800_000_000_001;
    session.lastSentAt = 1_800_000_000_002;
    expect(info(session.id)).to.deep.equal({
      serverPort: 9502,
      remoteIp: '10.0.0.1',
      remotePort: 40_000,
      reactorId: 0,
      workerId: 3,
      connectTime: session.connectedAt,
      lastRecvTime: 1_800_000_000_001,
      lastSendTime: 1_800_000_000_002,
      sendQueuedBytes: 5,
      uid: 77,
    });
  });

  it('in base mode the reactor is the worker that holds it', () => {
    expect(info(session.id, 'base')).to.include({ reactorId: 3, workerId: 3 });
  });

  it('tells of one that is closing', () => {
    session.beginClose();
    expect(info(session.id)).to.include({ remotePort: 40_000, uid: null });
  });

  it('is null of one that is closed, and of one that never was', () => {
    sessions.close(session.id);
    expect(info(session.id)).to.equal(null);
    expect([info(0), info(-1), info(99), info(0.5)]).to.deep.equal([null, null, null, null]);
  });
});

describe('idleSessions', () => {
  const NOW = 1_800_000_000_000;
  const IDLE = 1000;
  let clock: sinon.SinonFakeTimers;
  let sessions: SessionTable;

  /** Port 0 has a heartbeat of 1 s, port 1 of 10 s, port 2 none. */
  const idle = (): number[] =>
    idleSessions({
      sessions,
      ports: [IDLE, 10 * IDLE, 0].map((heartbeatIdleTime) => ({ setting: { heartbeatIdleTime } })),
    } as unknown as ServerContext);
  const open = (port = 0): Session => {
    const from = { remoteAddress: '', remotePort: 0 };
    return sessions.open({ worker: 0, reactor: 0, port, ...from }) as Session;
  };

  beforeEach(() => {
    clock = sinon.useFakeTimers({ now: NOW, toFake: ['Date'] });
    sessions = new SessionTable(10);
  });
  afterEach(() => {
    sinon.restore();
  });

  it('are those that were silent for longer than the idle time of their port', () => {
    const ids = [open(0).id, open(1).id, open(2).id];
    clock.tick(IDLE);
    expect(idle()).to.deep.equal([]);
    clock.tick(1);
    expect(idle()).to.deep.equal([ids[0]]);
    clock.tick(10 * IDLE);
    expect(idle()).to.deep.equal([ids[0], ids[1]]);
  });

  it('counts from the last data', () => {
    const session = open();
    clock.tick(IDLE);
    session.lastReceivedAt = Date.now();
    clock.tick(IDLE);
    expect(idle()).to.deep.equal([]);
    clock.tick(1);
    expect(idle()).to.deep.equal([session.id]);
  });

  it('are none that are protected, closing or closed', () => {
    open().isProtected = true;
    open().beginClose();
    sessions.close(open().id);
    clock.tick(100 * IDLE);
    expect(idle()).to.deep.equal([]);
  });
});
