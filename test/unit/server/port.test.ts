import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { systemError } from '../../../lib/errors';
import { isStream, ServerPort, SOCK_TYPES, type SockType } from '../../../lib/server/port';
import { fakeKernel, removeFakes, thrownBy, type FakeKernel } from '../fake-kernel';
import { CHOSEN_PORT, fakeSockets, makePort } from './fake-ports';

const nothing = (): void => undefined;

describe('ServerPort', () => {
  let kernel: FakeKernel;
  let folder: string;
  let running: boolean;

  const make = (host: string, port: number, type: SockType): ServerPort =>
    new ServerPort(host, port, type, () => running);
  const bindsFile = (path: string): number => {
    writeFileSync(path, '');
    return kernel.openFd();
  };

  beforeEach(() => {
    kernel = fakeKernel();
    fakeSockets(kernel);
    sinon.stub(binding, 'listenUnix').callsFake(bindsFile);
    sinon.stub(binding, 'unixDatagramBind').callsFake(bindsFile);
    folder = mkdtempSync(join(tmpdir(), 'prefork-'));
    running = false;
  });
  afterEach(() => {
    removeFakes();
    rmSync(folder, { recursive: true });
  });

  describe('is bound when it is made', () => {
    for (const [type, host, bind] of [
      ['tcp', '127.0.0.1', 'listenTcp'],
      ['tcp6', '::1', 'listenTcp'],
      ['udp', '127.0.0.1', 'udpBind'],
      ['udp6', '::1', 'udpBind'],
    ] as const) {
      it(`as ${type}, on the port that was asked for`, () => {
        const port = make(host, 9501, type);
        expect(port).to.include({ type, host, port: 9501 });
        expect((binding[bind] as sinon.SinonStub).firstCall.args.slice(0, 2)).to.deep.equal([
          host,
          9501,
        ]);
        expect([port.stream !== null, port.datagram !== null]).to.deep.equal([
          isStream(type),
          !isStream(type),
        ]);
        expect(kernel.openFds.size).to.equal(1);
      });

      it(`as ${type}, on a port that the kernel chooses`, () => {
        expect(make(host, 0, type).port).to.equal(CHOSEN_PORT);
      });
    }

    for (const type of ['unix', 'unix_dgram'] as const) {
      for (const prefix of ['', 'unix:']) {
        it(`as ${type}, on a path written ${prefix}/path`, () => {
          const path = join(folder, 'socket');
          const port = make(prefix + path, 0, type);
          expect(port).to.include({ type, host: path, port: 0 });
          expect(existsSync(path)).to.equal(true);
          expect(port.stream === null).to.equal(type === 'unix_dgram');
        });
      }
    }

    it('on a path where a type was not given', () => {
      const path = join(folder, 'socket');
      expect(make(`unix:${path}`, 0, 'tcp')).to.include({ host: path, port: 0 });
      expect((binding.listenUnix as sinon.SinonStub).callCount).to.equal(1);
    });
  });

  it('refuses a type that does not exist and names those that do', () => {
    const { message } = thrownBy(
      () => make('127.0.0.1', 0, 'sctp' as never),
      'ERR_INVALID_ARG_TYPE',
    );
    expect(message).to.include(SOCK_TYPES.join(', '));
    expect(kernel.openFds.size).to.equal(0);
  });

  it('refuses a host that is no address, and a port out of range', () => {
    thrownBy(() => make('example.com', 0, 'tcp'), 'ERR_OUT_OF_RANGE');
    thrownBy(() => make('127.0.0.1', 65_536, 'udp'), 'ERR_OUT_OF_RANGE');
    thrownBy(() => make('127.0.0.1', 0, 'udp6'), 'ERR_OUT_OF_RANGE');
  });

  it('throws what the kernel says, with the address', () => {
    (binding.listenTcp as sinon.SinonStub).throws(systemError('EADDRINUSE', 'bind', 'in use'));
    const { message } = thrownBy(() => make('127.0.0.1', 9501, 'tcp'), 'EADDRINUSE');
    expect(message).to.include('127.0.0.1:9501');
  });

  describe('settings', () => {
    it('are those of the server unless the port has its own', () => {
      const port = make('127.0.0.1', 0, 'tcp').set({ backlog: 7 });
      port.resolve({ backlog: 100, heartbeatIdleTime: 5000 });
      expect(port.setting).to.include({ backlog: 7, heartbeatIdleTime: 5000 });
    });

    it('of several calls add up, and the last counts', () => {
      const port = make('127.0.0.1', 0, 'tcp');
      expect(port.set({ backlog: 7, packageMaxLength: 1000 })).to.equal(port);
      port.set({ backlog: 8 });
      port.resolve({});
      expect(port.setting).to.include({ backlog: 8, packageMaxLength: 1000 });
    });

    it('that are wrong are refused at once', () => {
      const port = make('127.0.0.1', 0, 'tcp');
      thrownBy(() => port.set({ backlog: -1 }), 'ERR_OUT_OF_RANGE');
      thrownBy(() => port.set({ nonsense: 1 } as never), 'ERR_UNKNOWN_OPTION');
    });

    it('are not known before the server runs, nor is the framing', () => {
      const port = make('127.0.0.1', 0, 'tcp');
      thrownBy(() => port.setting, 'ERR_NOT_STARTED');
      thrownBy(() => port.makeFraming(), 'ERR_NOT_STARTED');
    });

    it('set the backlog of a stream port; a datagram port has none', () => {
      const setBacklog = binding.setBacklog as sinon.SinonStub;
      const port = makePort({ backlog: 77 });
      expect(setBacklog.args).to.deep.equal([[port.stream?.fd, 77]]);
      makePort({ backlog: 77 }, 'udp');
      expect(setBacklog.callCount).to.equal(1);
    });

    it('make the framing of each connection', () => {
      const port = makePort({ openEofSplit: true, packageEof: '\n' });
      const [first, second] = [port.makeFraming(), port.makeFraming()];
      const packets = (framing: typeof first, chunk: string): string[] =>
        framing.push(Buffer.from(chunk)).map(String);
      expect(packets(first, 'a')).to.deep.equal([]);
      expect(packets(second, 'b\n'), 'each its own').to.deep.equal(['b\n']);
      expect(packets(first, '\nc\n')).to.deep.equal(['a\n', 'c\n']);
    });

    it('cannot be changed while the server runs, nor can callbacks', () => {
      const port = make('127.0.0.1', 0, 'tcp');
      running = true;
      const { message } = thrownBy(() => port.set({}), 'ERR_SERVER_RUNNING');
      expect(message).to.equal('set() has to come before start()');
      thrownBy(() => port.on('receive', nothing), 'ERR_SERVER_RUNNING');
    });
  });

  describe('callbacks', () => {
    it('are its own, by names of any case', () => {
      const [port, other] = [makePort(), makePort()];
      expect(port.on('Receive', nothing)).to.equal(port);
      expect(port.callback('receive')).to.equal(nothing);
      expect([port.callback('close'), other.callback('receive')]).to.deep.equal([
        undefined,
        undefined,
      ]);
    });

    it('of events that only a server has are refused', () => {
      const on = (): unknown => makePort().on('workerStart' as never, nothing as never);
      expect(thrownBy(on, 'ERR_UNKNOWN_EVENT').message).to.include('a port has no event');
    });
  });

  describe('is closed', () => {
    it('as a whole at the end, the file of a unix socket with it', () => {
      const path = join(folder, 'socket');
      for (const type of ['unix', 'unix_dgram'] as const) {
        make(path, 0, type).close();
        expect(existsSync(path), type).to.equal(false);
      }
      for (const type of ['tcp', 'udp'] as const) makePort({}, type).close();
      expect(kernel.openFds.size).to.equal(0);
    });

    it('for connections where none are accepted; the file stays for those that do', () => {
      const path = join(folder, 'socket');
      make(path, 0, 'unix').closeListening();
      expect(existsSync(path)).to.equal(true);
      expect(kernel.openFds.size).to.equal(0);
      makePort({}, 'udp').closeListening();
      expect(kernel.openFds.size, 'datagrams are read on').to.equal(1);
    });
  });
});
