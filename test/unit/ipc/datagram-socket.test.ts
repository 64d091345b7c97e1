import { once } from 'node:events';
import { createSocket } from 'node:dgram';
import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { systemError } from '../../../lib/errors';
import { DatagramSocket, type Datagram } from '../../../lib/ipc/datagram-socket';
import { nextGeneration } from '../../../lib/ipc/generation';
import { ListeningSocket } from '../../../lib/ipc/listening-socket';
import { FakeWatcher, fakeKernel, removeFakes, thrownBy } from '../fake-kernel';

const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const READABLE = 1;

const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
const hasV6 = addresses.some(({ address }) => address === '::1');

function flagsOf(fd: number): number {
  const info = readFileSync(`/proc/self/fdinfo/${String(fd)}`, 'utf8');
  return Number.parseInt(/^flags:\s*(\d+)/m.exec(info)?.[1] ?? '', 8);
}

describe('DatagramSocket', () => {
  const open: DatagramSocket[] = [];
  let folder: string;

  const opened = (socket: DatagramSocket): DatagramSocket => {
    open.push(socket);
    return socket;
  };
  const udp = (host = '127.0.0.1', port = 0): DatagramSocket =>
    opened(DatagramSocket.udp(host, port));
  const udp6 = (host: string, port = 0): DatagramSocket => opened(DatagramSocket.udp6(host, port));
  const unix = (name: string): DatagramSocket => opened(DatagramSocket.unix(join(folder, name)));
  const portOf = (socket: DatagramSocket): number => Number(socket.port);

  /** Sends within this machine are there at once. */
  const received = (socket: DatagramSocket): Datagram => {
    const datagram = socket.receive();
    if (datagram === null) throw new Error('nothing is there');
    return datagram;
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'prefork-'));
  });
  afterEach(() => {
    removeFakes();
    for (const socket of open.splice(0)) socket.close();
    rmSync(folder, { recursive: true });
  });

  describe('udp', () => {
    it('tells the port that the kernel has chosen; the fd is non-blocking and closed on exec', () => {
      const socket = udp();
      expect(socket.port).to.be.within(1, 65535);
      expect(socket.address).to.equal(`127.0.0.1:${String(socket.port)}`);
      expect(flagsOf(socket.fd) & (O_NONBLOCK | O_CLOEXEC)).to.equal(O_NONBLOCK | O_CLOEXEC);
      expect(socket.unlink()).to.equal(false);
    });

    it('localhost is 127.0.0.1', () => {
      expect(udp('localhost').address).to.match(/^127\.0\.0\.1:/);
    });

    it('receives whole datagrams one by one, with their sender, then null', () => {
      const [server, client] = [udp(), udp()];
      for (const text of ['first', 'second']) {
        expect(client.send(text, '127.0.0.1', portOf(server))).to.equal(true);
      }
      const from = { address: '127.0.0.1', port: client.port };
      expect(received(server)).to.deep.equal({ ...from, data: Buffer.from('first') });
      expect(received(server)).to.deep.equal({ ...from, data: Buffer.from('second') });
      expect(server.receive()).to.equal(null);
    });

    it('gives data that later datagrams leave as it is', () => {
      const [server, client] = [udp(), udp()];
      client.send('aaaa', '127.0.0.1', portOf(server));
      client.send('bbbb', '127.0.0.1', portOf(server));
      const first = received(server);
      received(server);
      expect(first.data.toString()).to.equal('aaaa');
    });

    it('answers a client of Node, and receives an empty datagram', async () => {
      const server = udp();
      const client = createSocket('udp4').bind(0, '127.0.0.1');
      await once(client, 'listening');
      const sent = (data: string): Promise<void> =>
        new Promise((done) => {
          client.send(data, portOf(server), '127.0.0.1', () => {
            done();
          });
        });
      await sent('');
      await sent('ping');
      expect(received(server).data).to.have.length(0);
      const { address, port } = received(server);
      server.send('pong', address, port);
      const [answer] = (await once(client, 'message')) as [Buffer];
      expect(answer.toString()).to.equal('pong');
      client.close();
    });

    it('carries the longest datagram of IPv4 whole, and refuses a longer one by its limit', () => {
      const [server, client] = [udp(), udp()];
      const longest = Buffer.alloc(65_507, 'x');
      expect(client.send(longest, '127.0.0.1', portOf(server))).to.equal(true);
      expect(received(server).data.equals(longest)).to.equal(true);
      const longer = Buffer.alloc(65_508);
      const { message } = thrownBy(
        () => client.send(longer, '127.0.0.1', portOf(server)),
        'ERR_MESSAGE_TOO_BIG',
      );
      expect(message).to.include('65508').and.to.include('65507');
    });

    it('refuses names, foreign addresses and ports out of range', () => {
      thrownBy(() => udp('example.org', 80), 'ERR_OUT_OF_RANGE');
      for (const port of [-1, 65536, 1.5]) {
        thrownBy(() => udp('127.0.0.1', port), 'ERR_OUT_OF_RANGE');
      }
      const before = readdirSync('/proc/self/fd').length;
      const { message } = thrownBy(() => udp('203.0.113.1'), 'EADDRNOTAVAIL');
      expect(message).to.include('203.0.113.1:0');
      expect(readdirSync('/proc/self/fd')).to.have.length(before);
    });

    it('EADDRINUSE names the address: nobody shares a port of somebody else', () => {
      const { address, port } = udp();
      const { message } = thrownBy(() => udp('127.0.0.1', Number(port)), 'EADDRINUSE');
      expect(message).to.include(address);
    });

    it('sends to addresses only, with a port, and no empty data', () => {
      const socket = udp();
      const port = portOf(socket);
      for (const address of ['example.org', '::1', '']) {
        thrownBy(() => socket.send('x', address, port), 'ERR_OUT_OF_RANGE');
      }
      for (const bad of [0, 65536]) {
        thrownBy(() => socket.send('x', '127.0.0.1', bad), 'ERR_OUT_OF_RANGE');
      }
      thrownBy(() => socket.send('x', '127.0.0.1'), 'ERR_OUT_OF_RANGE');
      thrownBy(() => socket.send('', '127.0.0.1', port), 'ERR_EMPTY_DATA');
      thrownBy(() => socket.send(1 as never, '127.0.0.1', port), 'ERR_INVALID_ARG_TYPE');
      thrownBy(() => socket.send('x', 1 as never, port), 'ERR_INVALID_ARG_TYPE');
    });

    it('tells what the kernel refuses, and to whom it was', () => {
      const { message } = thrownBy(() => udp().send('x', '255.255.255.255', 9), 'EACCES');
      expect(message).to.include('"255.255.255.255"');
    });

    it('send() gives false when there is no room', () => {
      const stub = sinon.stub(binding, 'udpSend').returns(false);
      expect(udp().send('x', '127.0.0.1', 9)).to.equal(false);
      sinon.assert.calledOnce(stub);
    });
  });

  describe('udp6', () => {
    before(function () {
      if (!hasV6) this.skip();
    });

    it('receives from and answers IPv6', () => {
      const [server, client] = [udp6('::1'), udp6('localhost')];
      expect(client.address).to.equal(`[::1]:${String(client.port)}`);
      client.send('ping', '::1', portOf(server));
      const { address, port, data } = received(server);
      expect([address, port, data.toString()]).to.deep.equal(['::1', client.port, 'ping']);
      server.send('pong', address, port);
      expect(received(client).data.toString()).to.equal('pong');
    });

    it(':: takes IPv4 as well, and answers it', () => {
      const [server, client] = [udp6('::'), udp()];
      client.send('ping', '127.0.0.1', portOf(server));
      const { address, port } = received(server);
      expect(address).to.equal('::ffff:127.0.0.1');
      server.send('mapped', address, port);
      server.send('plain', '127.0.0.1', port);
      expect([received(client), received(client)].map(({ data }) => String(data))).to.deep.equal([
        'mapped',
        'plain',
      ]);
    });

    it('knows the limits of both', () => {
      const socket = udp6('::');
      const port = portOf(socket);
      const longest = Buffer.alloc(65_527, 'x');
      expect(socket.send(longest, '::1', port)).to.equal(true);
      expect(received(socket).data.equals(longest)).to.equal(true);
      const limitTo = (address: string, bytes: number): string =>
        thrownBy(() => socket.send(Buffer.alloc(bytes), address, port), 'ERR_MESSAGE_TOO_BIG')
          .message;
      expect(limitTo('::1', 65_528)).to.include('65527 bytes over IPv6');
      expect(limitTo('127.0.0.1', 65_508)).to.include('65507 bytes over IPv4');
      expect(limitTo('::FFFF:127.0.0.1', 65_508)).to.include('65507 bytes over IPv4');
    });

    it('has the zone of a link-local address, both ways', function () {
      const local = Object.entries(networkInterfaces()).flatMap(([name, all]) =>
        (all ?? []).filter(({ address }) => address.startsWith('fe80:')).map((one) => [name, one]),
      )[0] as [string, { address: string; scopeid: number }] | undefined;
      if (local === undefined) this.skip();
      const host = `${local[1].address}%${local[0]}`;
      const [server, client] = [
        udp6(host),
        udp6(`${local[1].address}%${String(local[1].scopeid)}`),
      ];
      client.send('ping', host, portOf(server));
      const { address, port } = received(server);
      expect(address).to.equal(host);
      expect(server.send('pong', address, port)).to.equal(true);
      expect(received(client).data.toString()).to.equal('pong');
      thrownBy(() => udp6(`${local[1].address}%none`), 'EADDRNOTAVAIL');
      thrownBy(() => client.send('x', 'fe80::1%none', 9), 'EADDRNOTAVAIL');
    });

    it('refuses an address of IPv4 to bind', () => {
      const { message } = thrownBy(() => udp6('127.0.0.1'), 'ERR_OUT_OF_RANGE');
      expect(message).to.include('"127.0.0.1"');
    });
  });

  describe('unix', () => {
    it('receives with the path of the sender, and answers it', () => {
      const [server, client] = [unix('server'), unix('client')];
      expect(server).to.include({ address: `unix:${join(folder, 'server')}`, port: null });
      client.send('ping', join(folder, 'server'));
      const { address, port, data } = received(server);
      expect([address, port, data.toString()]).to.deep.equal([join(folder, 'client'), 0, 'ping']);
      server.send('pong', address, port);
      expect(received(client).data.toString()).to.equal('pong');
      expect(server.receive()).to.equal(null);
    });

    it('its file has mode 0600 whatever the umask is', () => {
      const umask = process.umask(0);
      try {
        unix('server');
      } finally {
        process.umask(umask);
      }
      expect(lstatSync(join(folder, 'server')).mode & 0o7777).to.equal(0o600);
    });

    it('replaces the file of a socket that is gone, and no other', () => {
      unix('server').close();
      const server = unix('server');
      unix('client').send('x', join(folder, 'server'));
      expect(received(server).data.toString()).to.equal('x');
      const { message } = thrownBy(() => unix('server'), 'EADDRINUSE');
      expect(message).to.include(join(folder, 'server'));
      writeFileSync(join(folder, 'precious'), 'precious');
      thrownBy(() => unix('precious'), 'EADDRINUSE');
      expect(readFileSync(join(folder, 'precious'), 'utf8')).to.equal('precious');
    });

    it('leaves a stream socket that somebody listens on', () => {
      const path = join(folder, 'stream');
      const stream = ListeningSocket.unix(path);
      thrownBy(() => unix('stream'), 'EADDRINUSE');
      stream.unlink();
      stream.close();
    });

    it('unlink() removes the file, once, and not in a forked process', () => {
      const server = unix('server');
      expect([server.unlink(), server.unlink()]).to.deep.equal([true, false]);
      const inherited = unix('inherited');
      nextGeneration();
      expect(inherited.unlink()).to.equal(false);
      const closed = unix('closed');
      closed.close();
      expect(closed.unlink()).to.equal(false);
      expect(readdirSync(folder).sort()).to.deep.equal(['closed', 'inherited']);
    });

    it('send() gives false while the queue of the receiver is full, and loses nothing', () => {
      const [server, client] = [unix('server'), unix('client')];
      let sent = 0;
      while (client.send(String(sent), join(folder, 'server'))) sent++;
      expect(sent).to.be.greaterThan(0);
      for (let i = 0; i < sent; i++) expect(received(server).data.toString()).to.equal(String(i));
      expect(server.receive()).to.equal(null);
      expect(client.send('again', join(folder, 'server'))).to.equal(true);
    });

    it('refuses more than its send buffer by its limit', () => {
      const [server, client] = [unix('server'), unix('client')];
      const limit = binding.messageLimit(client.fd);
      const longest = Buffer.alloc(limit, 'x');
      expect(client.send(longest, join(folder, 'server'))).to.equal(true);
      expect(received(server).data.equals(longest)).to.equal(true);
      const { message } = thrownBy(
        () => client.send(Buffer.alloc(limit + 1), join(folder, 'server')),
        'ERR_MESSAGE_TOO_BIG',
      );
      expect(message)
        .to.include(`${String(limit)} bytes`)
        .and.to.include('SO_SNDBUF');
    });

    it('tells of a datagram that is longer than what it takes, whose end is lost', () => {
      const server = unix('server');
      sinon.stub(binding, 'datagramReceive').callsFake((_fd, room, results) => {
        results[0] = room.length + 1;
        return '/sender';
      });
      const { message } = thrownBy(() => server.receive(), 'ERR_MESSAGE_TOO_BIG');
      expect(message).to.include('1048577').and.to.include('1048576').and.to.include('/sender');
    });

    it('ENOENT, ECONNREFUSED name the receiver; a path that is none is refused', () => {
      const client = unix('client');
      unix('gone').close();
      const path = join(folder, 'gone');
      expect(thrownBy(() => client.send('x', path), 'ECONNREFUSED').message).to.include(path);
      thrownBy(() => client.send('x', join(folder, 'none')), 'ENOENT');
      thrownBy(() => client.send('x', ''), 'ERR_OUT_OF_RANGE');
      thrownBy(() => client.send('x', 'x'.repeat(108)), 'ERR_OUT_OF_RANGE');
      thrownBy(() => client.send('x', '\0'), 'ERR_OUT_OF_RANGE');
    });

    it('sends to the name of a socket without a file', () => {
      const stub = sinon.stub(binding, 'unixDatagramSend').returns(true);
      expect(unix('client').send('x', '\0name')).to.equal(true);
      expect(stub.firstCall.args[2]).to.equal('\0name');
      stub.restore();
      thrownBy(() => unix('other').send('x', `\0${folder}`), 'ECONNREFUSED');
    });

    it('ENOENT without the folder, and no fd is left', () => {
      const before = readdirSync('/proc/self/fd').length;
      thrownBy(() => unix('none/server'), 'ENOENT');
      expect(readdirSync('/proc/self/fd')).to.have.length(before);
    });
  });

  it('onReadable() calls its listener in the event loop, until null', async () => {
    const [server, client] = [udp(), udp()];
    const texts: string[] = [];
    const both = new Promise<void>((done) => {
      server.onReadable(() => {
        for (let next; (next = server.receive()) !== null;) texts.push(next.data.toString());
        if (texts.length === 2) done();
      });
    });
    client.send('first', '127.0.0.1', portOf(server));
    client.send('second', '127.0.0.1', portOf(server));
    await both;
    expect(texts).to.deep.equal(['first', 'second']);
    server.onReadable(null);
  });

  it('a forked process watches anew', () => {
    fakeKernel();
    sinon.stub(binding, 'udpBind').callsFake(() => [1_000_000, 9]);
    const socket = DatagramSocket.udp('127.0.0.1', 0);
    socket.onReadable(() => undefined);
    nextGeneration();
    let called = 0;
    socket.onReadable(() => called++);
    expect(FakeWatcher.all.map(({ events }) => events)).to.deep.equal([READABLE, READABLE]);
    FakeWatcher.of(socket.fd).fire(READABLE);
    expect(called).to.equal(1);
  });

  it('tells errors of receive as they are', () => {
    const socket = udp();
    sinon.stub(binding, 'datagramReceive').throws(systemError('ENOMEM', 'recvfrom', 'no'));
    thrownBy(() => socket.receive(), 'ENOMEM');
  });

  it('close() ends the watch and closes the fd, once; then every call fails', () => {
    const socket = udp();
    const { fd, address } = socket;
    socket.onReadable(() => undefined);
    socket.close();
    socket.close();
    expect(socket).to.include({ fd: -1, closed: true });
    thrownBy(() => binding.dup(fd), 'EBADF');
    const calls = [
      () => socket.receive(),
      () => socket.send('x', '127.0.0.1', 9),
      () => {
        socket.onReadable(() => undefined);
      },
    ];
    for (const call of calls) expect(thrownBy(call, 'EBADF').message).to.include(address);
  });
});
