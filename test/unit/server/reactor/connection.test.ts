import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../../lib/binding';
import { Connection } from '../../../../lib/server/reactor/connection';
import type { ServerPort } from '../../../../lib/server/port';
import type { Session } from '../../../../lib/server/session';
import { SessionTable } from '../../../../lib/server/session-table';
import { fakeKernel, removeFakes, type FakeKernel } from '../../fake-kernel';
import { fakeSockets, makePort } from '../fake-ports';
import { FakeClients, type FakeClient } from './fake-clients';

const KIB = 1024;

describe('Connection', () => {
  let kernel: FakeKernel;
  let clients: FakeClients;
  let client: FakeClient;
  let session: Session;
  let connection: Connection;

  const make = (port: ServerPort): Connection => {
    const from = { remoteAddress: '10.0.0.1', remotePort: 40_000, port: 0 };
    session = new SessionTable(4).open({ ...from, worker: -1, reactor: 0 }) as Session;
    client = clients.knock(port);
    return new Connection(client.fd, session, port);
  };
  const push = (...parts: string[]): void => {
    for (const part of parts) connection.push(Buffer.from(part));
  };

  beforeEach(() => {
    kernel = fakeKernel();
    fakeSockets(kernel);
    clients = new FakeClients(kernel);
    connection = make(makePort());
  });
  afterEach(removeFakes);

  it('is open, and has nothing to send', () => {
    expect(connection).to.include({ state: 'open', queuedBytes: 0, id: session.id, worker: -1 });
    expect(connection.flush()).to.equal(0);
    expect(client.writes).to.deep.equal([]);
  });

  it('knows what the choice of its worker depends on, the uid as it is at that moment', () => {
    expect(connection.source).to.include({ fd: session.id, address: '10.0.0.1', uid: null });
    session.bind(77);
    expect(connection.source.uid).to.equal(77);
  });

  describe('flush', () => {
    it('sends small buffers with one call, in order', () => {
      push('a', 'bb', 'ccc');
      expect(connection.queuedBytes).to.equal(6);
      expect(connection.flush()).to.equal(6);
      expect(client.writes).to.deep.equal(['abbccc']);
      expect(connection.queuedBytes).to.equal(0);
    });

    it('joins up to 64 KB, and sends what does not fit with the next call', () => {
      const part = 'x'.repeat(32 * KIB);
      push(part, part, 'y');
      connection.flush();
      expect(client.writes.map((write) => write.length)).to.deep.equal([64 * KIB, 1]);
      expect(client.received).to.equal(`${part}${part}y`);
    });

    it('does not copy a large buffer, nor one that is alone', () => {
      const send = binding.send as sinon.SinonStub;
      const [large, last] = [Buffer.alloc(64 * KIB, 'l'), Buffer.from('last')];
      for (const data of [large, last]) connection.push(data);
      connection.flush();
      expect(send.args.map(([, data]) => data as Buffer)).to.deep.equal([large, last]);
      expect(send.args[0]?.[1]).to.equal(large);
      expect(send.args[1]?.[1]).to.equal(last);
    });

    it('keeps what the kernel does not take, and goes on there', () => {
      client.room = 4;
      push('abc', 'def', 'ghi');
      expect(connection.flush()).to.equal(4);
      expect(connection.queuedBytes).to.equal(5);
      push('jkl');
      expect(connection.flush(), 'no room').to.equal(0);
      expect(connection.queuedBytes).to.equal(8);
      client.room = Infinity;
      expect(connection.flush()).to.equal(8);
      expect(client.received).to.equal('abcdefghijkl');
    });

    it('copies what was borrowed and still waits', () => {
      client.room = 6;
      push('abc');
      const data = Buffer.alloc(64 * KIB, 'x');
      connection.push(data);
      connection.flush(true);
      data.fill('!');
      client.room = Infinity;
      connection.flush();
      expect(client.received).to.equal(`abc${'x'.repeat(64 * KIB)}`);
    });

    it('copies nothing that has left', () => {
      push('abc');
      expect(connection.flush(true)).to.equal(3);
      expect(connection.queuedBytes).to.equal(0);
    });

    it('forgets what is queued for a peer that is gone, and says so', () => {
      push('abc');
      client.vanish();
      expect(connection.flush()).to.equal(-1);
      expect(connection.queuedBytes).to.equal(0);
    });

    it('does not hide an error that is not of the peer', () => {
      push('abc');
      (binding.send as sinon.SinonStub).throws(new TypeError('ours'));
      expect(() => connection.flush()).to.throw(TypeError, 'ours');
    });
  });

  it('drop() forgets what was not sent', () => {
    push('abc');
    connection.drop();
    connection.flush();
    expect([connection.queuedBytes, client.received]).to.deep.equal([0, '']);
  });

  describe('close', () => {
    it('ends its side, reads and throws away what has come, and closes the fd', () => {
      client.write('unread');
      connection.close(false);
      expect(client.closed).to.equal('shut down');
      expect(client.input).to.deep.equal([]);
      expect(clients.isOpen(client)).to.equal(false);
      expect(connection.state).to.equal('closed');
    });

    it('reads only so much of a peer that does not stop', () => {
      const endless = sinon.fake(() => 64 * KIB);
      (binding.receive as sinon.SinonStub).callsFake(endless);
      connection.close(false);
      expect(endless.callCount).to.equal(16);
      expect(clients.isOpen(client)).to.equal(false);
    });

    it('by a reset only says that, and closes the fd', () => {
      client.write('unread');
      connection.close(true);
      expect(client.closed).to.equal('reset');
      expect(client.input).to.have.length(1);
      expect(clients.isOpen(client)).to.equal(false);
    });

    it('closes the fd also of a peer that was faster', () => {
      client.vanish();
      connection.close(false);
      expect(clients.isOpen(client)).to.equal(false);
    });

    it('closes once, and forgets what was queued', () => {
      push('abc');
      connection.close(false);
      connection.close(true);
      expect(connection.queuedBytes).to.equal(0);
      expect((binding.closeFd as sinon.SinonStub).callCount).to.equal(1);
    });
  });

  describe('unfinished', () => {
    it('is a connection that has not sent anything', () => {
      expect(connection.unfinished).to.equal(true);
      session.lastReceivedAt = 1;
      expect(connection.unfinished).to.equal(false);
    });

    it('is a connection in the middle of a packet', () => {
      connection = make(makePort({ openEofSplit: true, packageEof: '\n' }));
      session.lastReceivedAt = 1;
      connection.framing.push(Buffer.from('half of a line'));
      expect(connection.unfinished).to.equal(true);
      connection.framing.push(Buffer.from('\n'));
      expect(connection.unfinished).to.equal(false);
    });

    it('is no connection that is ending', () => {
      connection.state = 'inputEnded';
      expect(connection.unfinished).to.equal(false);
    });
  });

  describe('crossedWatermark', () => {
    const HIGH_AND_LOW = { bufferHighWatermark: 10, bufferLowWatermark: 3 };

    it('tells each crossing once', () => {
      connection = make(makePort(HIGH_AND_LOW));
      client.room = 0;
      const seen: (string | null)[] = [];
      const look = (): void => void seen.push(connection.crossedWatermark());
      push('x'.repeat(9));
      look();
      push('x');
      look();
      look();
      push('x'.repeat(20));
      look();
      for (const left of [26, 1, 1]) {
        client.room = left;
        connection.flush();
        look();
      }
      expect(connection.queuedBytes).to.equal(2);
      expect(seen).to.deep.equal([
        ...[null, 'bufferFull', null, null],
        ...[null, 'bufferEmpty', null],
      ]);
    });

    it('with a low watermark of 0 is empty when nothing waits', () => {
      connection = make(makePort({ bufferHighWatermark: 2 }));
      client.room = 0;
      push('xx');
      expect(connection.crossedWatermark()).to.equal('bufferFull');
      client.room = 1;
      connection.flush();
      expect(connection.crossedWatermark()).to.equal(null);
      client.room = 1;
      connection.flush();
      expect(connection.crossedWatermark()).to.equal('bufferEmpty');
    });
  });
});
