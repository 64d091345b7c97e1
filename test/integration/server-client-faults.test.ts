/** What a client does that goes away, or does not read, while a callback runs for it: it ends no worker. */
import { expect } from 'chai';
import { assertNothingLeaks } from '../support/leaks';
import { endServersAfterEach, MODES, startServer, type ServerPlan } from '../support/server';

/** What a client asks for by the first word that it sends. */
const receive: NonNullable<ServerPlan['on']>['receive'] = (serv, fd, _, data) => {
  const gone = async (id = fd): Promise<void> => {
    while (serv.exists(id)) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  const overflow = (): never => {
    for (;;) serv.send(fd, Buffer.alloc(1 << 20));
  };
  switch (data.toString()) {
    case 'close':
      serv.close(fd);
      return serv.send(fd, 'closed before');
    case 'close async':
      return Promise.resolve(serv.close(fd)).then(() => serv.send(fd, 'closed before'));
    case 'leave':
      note('waits');
      return gone().then(() => serv.send(fd, 'gone before'));
    case 'overflow':
      return overflow();
    case 'overflow async':
      return Promise.resolve().then(overflow);
    case 'stranger':
      // Its close event comes before the master has closed it: what is sent in between is still taken.
      return gone(1).then(() => {
        note('strange');
        return serv.send(1, 'closed long ago');
      });
    default:
      return serv.send(fd, data);
  }
};

for (const mode of MODES) {
  describe(`server clients at fault: ${mode} mode`, () => {
    assertNothingLeaks();
    endServersAfterEach();

    const begin = () =>
      startServer({
        mode,
        settings: { workerNum: 1, socketBufferSize: 1 << 20 },
        on: { connect: null, receive, close: null },
      });

    for (const what of ['close', 'close async']) {
      it(`ERR_SESSION_CLOSED that a callback lets through (${what}) ends nothing`, async () => {
        const server = await begin();
        const worker = await server.worker(0);
        const [client, other] = [await server.connect(), await server.connect()];
        client.write(what);
        expect((await client.readAll()).toString()).to.equal('');
        expect(await other.ask('serves')).to.equal('serves');
        expect(await server.worker(0)).to.equal(worker);
        expect(server.notes('workerError')).to.deep.equal([]);
        await server.stop();
      });
    }

    it('ERR_SESSION_CLOSED for a client that resets while its promise is pending ends nothing', async () => {
      const server = await begin();
      const worker = await server.worker(0);
      const [client, other] = [await server.connect(), await server.connect()];
      client.write('leave');
      await server.noted('waits');
      client.reset();
      await server.noted('close');
      expect(await other.ask('serves')).to.equal('serves');
      expect(await server.worker(0)).to.equal(worker);
      expect(server.notes('workerError')).to.deep.equal([]);
      await server.stop();
    });

    for (const what of ['overflow', 'overflow async']) {
      it(`ERR_OUTPUT_OVERFLOW that a callback lets through (${what}) cuts that client off, no other`, async () => {
        const server = await begin();
        const worker = await server.worker(0);
        const [client, other] = [await server.connect(), await server.connect()];
        client.socket.pause();
        client.write(what);
        await server.noted('close');
        client.socket.resume();
        await client.ended;
        expect(await other.ask('serves')).to.equal('serves');
        expect(server.log('close')).to.deep.equal([['close', 1, -1]]);
        expect(await server.worker(0)).to.equal(worker);
        expect(server.notes('workerError')).to.deep.equal([]);
        await server.stop();
      });
    }

    it('an error for another connection than its own does not either, and is a warning', async () => {
      const server = await begin();
      const worker = await server.worker(0);
      const first = await server.connect();
      first.end();
      await server.noted('close');
      (await server.connect()).write('stranger');
      await server.noted('strange');
      const third = await server.connect();
      expect(await third.ask('serves')).to.equal('serves');
      expect(await server.worker(0)).to.equal(worker);
      expect(server.notes('workerError')).to.deep.equal([]);
      server.signal('SIGTERM');
      await server.endsWell(/PREFORK_CLIENT_GONE.*session 1 has been closed/);
    });
  });
}
