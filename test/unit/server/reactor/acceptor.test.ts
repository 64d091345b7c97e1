import { expect } from 'chai';
import sinon from 'sinon';
import { systemError } from '../../../../lib/errors';
import { Acceptor } from '../../../../lib/server/reactor/acceptor';
import type { ServerPort } from '../../../../lib/server/port';
import { fakeKernel, FakeWatcher, removeFakes } from '../../fake-kernel';
import { fakeSockets, makePort } from '../fake-ports';
import { FakeClients } from './fake-clients';

const PER_TURN = 3;
const RETRY_MS = 100;

describe('Acceptor', () => {
  let clients: FakeClients;
  let port: ServerPort;
  let accepted: number[];
  let acceptor: Acceptor;
  let clock: sinon.SinonFakeTimers;
  let warn: sinon.SinonStub;

  beforeEach(() => {
    clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const kernel = fakeKernel();
    fakeSockets(kernel);
    clients = new FakeClients(kernel);
    warn = sinon.stub(process, 'emitWarning');
    port = makePort();
    accepted = [];
    acceptor = new Acceptor(port, PER_TURN, (fd) => accepted.push(fd));
  });
  afterEach(removeFakes);

  const watches = (): boolean => FakeWatcher.of(port.stream?.fd ?? -1).events === 1;
  const runsOutOfFds = (): void => {
    clients.failure = systemError('EMFILE', 'accept4', 'too many open files');
  };

  it('accepts nothing before it is started', () => {
    clients.knock(port);
    clients.accepts(port);
    expect(accepted).to.deep.equal([]);
  });

  it('accepts all that wait', () => {
    acceptor.start();
    const [first, second] = [clients.knock(port), clients.knock(port)];
    clients.accepts(port);
    expect(accepted).to.deep.equal([first.fd, second.fd]);
  });

  it('leaves those beyond its number to the next turn, or to other processes', () => {
    acceptor.start();
    for (let i = 0; i < 5; i++) clients.knock(port);
    clients.accepts(port);
    expect(accepted).to.have.length(PER_TURN);
    clients.accepts(port);
    expect(accepted).to.have.length(5);
  });

  it('does nothing when another process was faster', () => {
    acceptor.start();
    clients.accepts(port);
    expect(accepted).to.deep.equal([]);
    expect(warn.called).to.equal(false);
  });

  describe('that cannot accept', () => {
    beforeEach(() => {
      acceptor.start();
      clients.knock(port);
      runsOutOfFds();
      clients.accepts(port);
    });

    it('watches the port no more: it would be told again and again', () => {
      expect(watches()).to.equal(false);
      expect(accepted).to.deep.equal([]);
    });

    it('warns once, until it has accepted again', () => {
      clock.tick(RETRY_MS);
      clients.accepts(port);
      expect(warn.args).to.have.length(1);
      const [message, options] = warn.firstCall.args as [string, object];
      expect(message).to.include('connections cannot be accepted for the moment: EMFILE');
      expect(options).to.deep.equal({ type: 'PreforkWarning', code: 'PREFORK_ACCEPT_FAILED' });
      clock.tick(RETRY_MS);
      clients.failure = null;
      clients.accepts(port);
      expect(accepted).to.have.length(1);
      runsOutOfFds();
      clients.accepts(port);
      expect(warn.callCount).to.equal(2);
    });

    it('tries again after 100 ms; nobody is lost', () => {
      clients.failure = null;
      clock.tick(RETRY_MS - 1);
      expect(watches()).to.equal(false);
      clock.tick(1);
      expect(watches()).to.equal(true);
      clients.accepts(port);
      expect(accepted).to.have.length(1);
    });

    it('does not try again once it is stopped', () => {
      acceptor.stop();
      clock.tick(1000);
      expect(watches()).to.equal(false);
      expect(clock.countTimers()).to.equal(0);
    });
  });

  describe('that is stopped', () => {
    it('watches no more and leaves the socket open for others', () => {
      acceptor.start();
      acceptor.stop();
      acceptor.stop();
      expect(FakeWatcher.of(port.stream?.fd ?? -1).closed).to.equal(true);
      expect(port.stream?.closed).to.equal(false);
    });

    it('by what it has accepted takes no further one', () => {
      acceptor = new Acceptor(port, PER_TURN, (fd) => {
        accepted.push(fd);
        acceptor.stop();
      });
      acceptor.start();
      clients.knock(port);
      clients.knock(port);
      clients.accepts(port);
      expect(accepted).to.have.length(1);
      expect(clients.waitingAt(port)).to.equal(1);
    });
  });
});
