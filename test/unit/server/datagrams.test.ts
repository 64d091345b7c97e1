import { expect } from 'chai';
import sinon from 'sinon';
import type { ServerContext } from '../../../lib/server/context';
import {
  DatagramPorts,
  decodeDatagram,
  encodeDatagram,
  type Datagram,
} from '../../../lib/server/datagrams';
import { thrownBy } from '../fake-kernel';

const DATAGRAM: Datagram = { address: '127.0.0.1', port: 40_000, data: Buffer.from('data') };

describe('a datagram on the bus', () => {
  for (const [what, datagram] of [
    ['of IPv4', DATAGRAM],
    ['of IPv6 with a zone', { ...DATAGRAM, address: 'fe80::1%eth0' }],
    ['of a unix socket', { ...DATAGRAM, address: '/tmp/s\u00f6cket', port: 0 }],
    ['of a sender without an address', { ...DATAGRAM, address: '', port: 0 }],
    ['of the highest port', { ...DATAGRAM, port: 65_535 }],
    ['without data', { ...DATAGRAM, data: Buffer.alloc(0) }],
    ['of the longest data', { ...DATAGRAM, data: Buffer.alloc(65_507, 'x') }],
  ] as const) {
    it(`${what} arrives as it was sent`, () => {
      expect(decodeDatagram(encodeDatagram(datagram))).to.deep.equal(datagram);
    });
  }

  it('is laid out as documented', () => {
    expect([...encodeDatagram({ address: 'ab', port: 0x0201, data: Buffer.from('c') })]).to.eql([
      ...[1, 2, 2, 0],
      ...Buffer.from('abc'),
    ]);
  });

  it('gives its receiver data of his own', () => {
    const bytes = encodeDatagram(DATAGRAM);
    const { data } = decodeDatagram(bytes);
    bytes.fill(0);
    expect(data.toString()).to.equal('data');
  });

  it('that ends within its header or its address is refused', () => {
    const bytes = encodeDatagram({ ...DATAGRAM, data: Buffer.alloc(0) });
    for (let length = 0; length < bytes.length; length++) {
      thrownBy(() => decodeDatagram(bytes.subarray(0, length)), 'ERR_BAD_FRAME');
    }
  });
});

describe('DatagramPorts', () => {
  /** The socket of a port, with what was sent to it. */
  class FakeSocket {
    waiting: Datagram[] = [];
    listener: (() => void) | null = null;

    onReadable(listener: (() => void) | null): void {
      this.listener = listener;
    }

    receive(): Datagram | null {
      return this.waiting.shift() ?? null;
    }
  }

  let sockets: [FakeSocket, FakeSocket];
  let diary: string[];
  let ports: DatagramPorts;

  beforeEach(() => {
    sockets = [new FakeSocket(), new FakeSocket()];
    diary = [];
    const [first, second] = sockets;
    const context = {
      ports: [{ datagram: null }, { datagram: first }, { datagram: second }],
      bus: { begin: () => diary.push('begin'), end: () => diary.push('end') },
    };
    ports = new DatagramPorts(context as unknown as ServerContext, (port, data, address, from) =>
      diary.push(`${String(port)} ${data.toString()} ${address}:${String(from)}`),
    );
  });
  afterEach(() => {
    sinon.restore();
  });

  it('reads nothing before it is started, and nothing once it is stopped', () => {
    expect(sockets.map(({ listener }) => listener)).to.deep.equal([null, null]);
    ports.start();
    expect(sockets.map(({ listener }) => typeof listener)).to.deep.equal(['function', 'function']);
    ports.stop();
    expect(sockets.map(({ listener }) => listener)).to.deep.equal([null, null]);
  });

  it('tells of all datagrams of a port in one turn, with the index of the port', () => {
    ports.start();
    sockets[1].waiting = [DATAGRAM, { ...DATAGRAM, port: 1, data: Buffer.alloc(0) }];
    sockets[1].listener?.();
    expect(diary).to.deep.equal(['begin', '2 data 127.0.0.1:40000', '2  127.0.0.1:1', 'end']);
  });

  it('leaves the 65th of a port to the next turn', () => {
    ports.start();
    sockets[0].waiting = Array.from({ length: 65 }, () => DATAGRAM);
    sockets[0].listener?.();
    expect(sockets[0].waiting).to.have.length(1);
    sockets[0].listener?.();
    expect(sockets[0].waiting).to.have.length(0);
  });
});
