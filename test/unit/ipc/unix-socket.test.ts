import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { systemError } from '../../../lib/errors';
import { UnixSocket } from '../../../lib/ipc/unix-socket';
import {
  fakeKernel,
  FakeWatcher,
  fill,
  rejectionOf,
  removeFakes,
  settle,
  thrownBy,
  type FakeKernel,
} from '../fake-kernel';

/** What it counts in this process begins at 0. */
function loadedAnew(): typeof UnixSocket {
  const path = require.resolve('../../../lib/ipc/unix-socket');
  const loaded = require.cache[path];
  delete require.cache[path];
  try {
    return (require(path) as { UnixSocket: typeof UnixSocket }).UnixSocket;
  } finally {
    require.cache[path] = loaded;
  }
}

describe('UnixSocket', () => {
  let kernel: FakeKernel;
  let receive: sinon.SinonStub<Parameters<typeof binding.receive>, number>;
  let send: sinon.SinonStub<Parameters<typeof binding.send>, number>;
  let stream: UnixSocket;
  let dgram: UnixSocket;

  /** What the kernel was asked for by the last receive. */
  const asked = (): { length: number; timeout: number } => {
    const [, , , length, timeout] = receive.lastCall.args;
    return { length, timeout };
  };
  const comes = (...messages: string[]): void => {
    const take = fill(...messages);
    receive.callsFake((_fd, buffer) => take(buffer));
  };

  beforeEach(() => {
    kernel = fakeKernel();
    receive = sinon.stub(binding, 'receive').returns(-1);
    send = sinon.stub(binding, 'send').callsFake((_fd, _data, _offset, length) => length);
    stream = new UnixSocket(kernel.openFd(), 'stream');
    dgram = new UnixSocket(kernel.openFd(), 'dgram');
  });
  afterEach(removeFakes);

  describe('pair', () => {
    it('makes SOCK_STREAM for a stream and SOCK_SEQPACKET for dgram', () => {
      const socketPair = binding.socketPair as sinon.SinonStub;
      UnixSocket.pair('stream');
      expect(socketPair.lastCall.args[0]).to.equal(1);
      UnixSocket.pair('dgram');
      expect(socketPair.lastCall.args[0]).to.equal(5);
    });

    it('gives each end an fd of its own', () => {
      const [a, b] = UnixSocket.pair('stream');
      expect(a.fd).to.not.equal(b.fd);
      expect([a.kind, b.kind]).to.deep.equal(['stream', 'stream']);
    });
  });

  describe('read', () => {
    it('asks for 8,192 bytes of a stream by default', () => {
      stream.read();
      expect(asked().length).to.equal(8192);
    });

    it('cuts a size over 65,536 bytes to that', () => {
      stream.read(1_000_000);
      expect(asked().length).to.equal(65536);
    });

    it('has room for the longest message of a dgram socket', () => {
      (binding.messageLimit as sinon.SinonStub).returns(300_000);
      dgram.read();
      expect(asked().length).to.be.at.least(300_000);
    });

    it('returns a copy: the next read does not change it', () => {
      comes('first', 'other');
      const first = stream.read();
      stream.read();
      expect(String(first)).to.equal('first');
    });

    for (const bytes of [1, 2047, 2048, 5001, 16384, 16385, 65536]) {
      it(`pieces of ${String(bytes)} bytes, many in a row, stay as they were read`, () => {
        let value = 0;
        receive.callsFake((_fd, buffer) => {
          buffer.fill(++value, 0, bytes);
          return bytes;
        });
        const pieces = Array.from({ length: 40 }, () => stream.read(65536) as Buffer);
        pieces.forEach((piece, i) => {
          expect(piece.equals(Buffer.alloc(bytes, i + 1)), `piece ${String(i)}`).to.equal(true);
        });
      });
    }

    const reads = (bytes: number): Buffer => {
      receive.returns(bytes);
      return stream.read(65_536) as Buffer;
    };

    it('gives away the memory of a large read that has filled most of it', () => {
      const memory = reads(32_769).buffer;
      expect(receive.lastCall.args[1].buffer).to.equal(memory);
      expect(reads(32_769).buffer).to.not.equal(memory);
    });

    it('but not for less: it would be kept by little', () => {
      expect(reads(32_768).buffer).to.not.equal(receive.lastCall.args[1].buffer);
      const { buffer } = receive.lastCall.args[1];
      expect(reads(100).buffer.byteLength).to.be.below(65_536);
      expect(receive.lastCall.args[1].buffer).to.equal(buffer);
    });

    it('uses the memory of a large read again for smaller ones', () => {
      reads(100);
      const { buffer } = receive.lastCall.args[1];
      receive.returns(20_000);
      expect(stream.read(20_000)).to.have.length(20_000);
      expect(receive.lastCall.args[1].buffer).to.equal(buffer);
      expect(asked().length).to.equal(20_000);
    });

    it('has freed memory kept once it has given away many', () => {
      const keep = sinon.stub(binding, 'keepFreedMemory');
      const socket = new (loadedAnew())(kernel.openFd(), 'stream');
      receive.returns(65_536);
      for (let i = 0; i < 63; i++) socket.read(65_536);
      sinon.assert.notCalled(keep);
      for (let i = 0; i < 200; i++) socket.read(65_536);
      sinon.assert.calledOnce(keep);
    });

    it('returns an empty Buffer at the end, and null when nothing has come', () => {
      receive.returns(0);
      expect(stream.read()).to.have.length(0);
      receive.returns(-1);
      expect(stream.read()).to.equal(null);
    });

    it('blocks without limit, within setTimeout(), or not at all', () => {
      stream.read();
      expect(asked().timeout).to.equal(-1);
      stream.setTimeout(50);
      stream.read();
      expect(asked().timeout).to.equal(50);
      stream.setBlocking(false);
      stream.read();
      expect(asked().timeout).to.equal(0);
      stream.setBlocking(true);
      stream.setTimeout(0);
      stream.read();
      expect(asked().timeout).to.equal(-1);
    });

    it('names both sizes when a message is longer than asked for, and keeps it', () => {
      comes('0123456789', 'next');
      const { message } = thrownBy(() => dgram.read(4), 'ERR_MESSAGE_TOO_BIG');
      expect(message).to.match(/message of 10 bytes, the limit is 4 bytes/);
      expect(String(dgram.read(10))).to.equal('0123456789');
      expect(String(dgram.read())).to.equal('next');
    });

    it('passes the error of the kernel on', () => {
      receive.throws(systemError('ECONNRESET', 'recv', 'reset'));
      thrownBy(() => stream.read(), 'ECONNRESET');
    });
  });

  describe('write', () => {
    it('returns what the kernel took of a stream within the time', () => {
      send.returns(3);
      expect(stream.write(Buffer.from('hello'))).to.equal(3);
    });

    it('throws EAGAIN when it took nothing', () => {
      send.returns(0);
      const { message } = thrownBy(() => stream.write(Buffer.from('x')), 'EAGAIN');
      expect(message).to.include('reads too slowly');
    });

    it('refuses a message over the limit before it asks the kernel, and names both', () => {
      const { message } = thrownBy(() => dgram.write(Buffer.alloc(1001)), 'ERR_MESSAGE_TOO_BIG');
      expect(message).to.match(/1001 bytes, the limit is 1000 bytes.*net\.core\.wmem_max/);
      expect(send.called).to.equal(false);
    });

    it('sends a message of exactly the limit', () => {
      expect(dgram.write(Buffer.alloc(1000))).to.equal(1000);
    });

    for (const code of ['EMSGSIZE', 'ENOBUFS'] as const) {
      it(`tells ${code} of a message as ERR_MESSAGE_TOO_BIG`, () => {
        send.throws(systemError(code, 'send', 'too long'));
        thrownBy(() => dgram.write(Buffer.from('x')), 'ERR_MESSAGE_TOO_BIG');
      });

      it(`leaves ${code} of a stream as it is`, () => {
        send.throws(systemError(code, 'send', 'too long'));
        thrownBy(() => stream.write(Buffer.from('x')), code);
      });
    }

    it('has no limit on a stream', () => {
      expect(stream.write(Buffer.alloc(5000))).to.equal(5000);
    });

    it('asks for the message limit once', () => {
      dgram.write(Buffer.from('a'));
      dgram.write(Buffer.from('b'));
      expect((binding.messageLimit as sinon.SinonStub).callCount).to.equal(1);
    });
  });

  describe('atEnd', () => {
    it('is true when the kernel has nothing and the peer is gone', () => {
      expect(stream.atEnd()).to.equal(true);
    });

    it('is false while input waits, in the kernel or held here', () => {
      (binding.peekInput as sinon.SinonStub).returns(1);
      expect(dgram.atEnd(), 'in the kernel').to.equal(false);
      comes('too long');
      thrownBy(() => dgram.read(1), 'ERR_MESSAGE_TOO_BIG');
      (binding.peekInput as sinon.SinonStub).returns(0);
      expect(dgram.atEnd(), 'held').to.equal(false);
      dgram.read();
      expect(dgram.atEnd()).to.equal(true);
    });
  });

  describe('close', () => {
    it('closes the fd, and its watcher first', async () => {
      const { fd } = stream;
      const read = stream.readAsync();
      await settle();
      const watcher = FakeWatcher.of(fd);
      (binding.closeFd as sinon.SinonStub).callsFake(() => {
        expect(watcher.closed).to.equal(true);
      });
      stream.close();
      await rejectionOf(read, 'ERR_NO_PIPE');
      expect(stream).to.include({ fd: -1, closed: true });
      expect((binding.closeFd as sinon.SinonStub).calledOnceWith(fd)).to.equal(true);
    });

    it('every call on a closed socket throws ERR_NO_PIPE', () => {
      stream.close();
      for (const call of [
        () => stream.read(),
        () => stream.write(Buffer.from('x')),
        () => {
          stream.shutdown(0);
        },
        () => stream.atEnd(),
      ]) {
        thrownBy(call, 'ERR_NO_PIPE');
      }
    });
  });

  it('shutdown passes the direction on', () => {
    const shutdown = sinon.stub(binding, 'shutdown');
    stream.shutdown(1);
    expect(shutdown.calledOnceWith(stream.fd, 1)).to.equal(true);
  });
});
