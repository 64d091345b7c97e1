/** dispatchFunc, and what happens to requests of clients that have gone. */
import { expect } from 'chai';
import type { DispatchFunc } from '../../lib/server/dispatch';
import type { Server } from '../../lib/server/server';
import { assertNothingLeaks } from '../support/leaks';
import { echo, endServersAfterEach, startServer } from '../support/server';
import type { RunningServer, ServerPlan } from '../support/server';
import type { TcpClient } from '../support/tcp-client';

const EVENTS = { connect: null, receive: echo, close: null } satisfies ServerPlan['on'];

/** The first letter decides: a worker, d discard, c close, f fall back, others are mistakes. */
const dispatchFunc: DispatchFunc<Server> = (_, fd, type, data) => {
  note('dispatch', fd, type, data);
  const letter = String(data ?? 'f').charAt(0);
  const choices: Record<string, number> = { d: -1, c: -2, f: -3, n: -4, h: 1.5, x: 2 };
  if (letter === 't') throw new Error('in dispatchFunc');
  return choices[letter] ?? Number(letter);
};

async function begin(settings: ServerPlan['settings'] = {}): Promise<RunningServer> {
  const server = await startServer({ settings: { dispatchFunc, ...settings }, on: EVENTS });
  await server.allServe();
  return server;
}

describe('server dispatchFunc: process mode', () => {
  assertNothingLeaks();
  endServersAfterEach();

  it('chooses the worker of each packet, in the master (dispatch_func)', async () => {
    const server = await begin();
    const client = await server.connect();
    for (const worker of [1, 0, 0, 1, 1, 0]) {
      await client.ask(`${String(worker)} takes it`);
      const last = server.notes('receive').at(-1);
      expect(last?.pid).to.equal(await server.worker(worker));
    }
    const calls = server.notes('dispatch');
    expect(calls.filter(({ pid }) => pid !== server.masterPid)).to.deep.equal([]);
    expect(calls.slice(0, 2).map(({ args }) => args)).to.deep.equal([
      [1, 4, null],
      [1, 0, '1 takes it'],
    ]);
    await server.stop();
  });

  it('-1 discards a packet; the connection goes on (dispatch_func_discard)', async () => {
    const server = await begin();
    const client = await server.connect();
    client.write('drop this');
    await server.noted('dispatch', 2);
    expect(await client.ask('0 but not this')).to.equal('0 but not this');
    expect(server.log('receive')).to.deep.equal([['receive', 1, 0, '0 but not this']]);
    await server.stop();
  });

  it('-2 closes the connection, no other', async () => {
    const server = await begin();
    const [client, other] = [await server.connect(), await server.connect()];
    client.write('cut');
    expect((await client.readAll()).toString()).to.equal('');
    expect(await other.ask('0 serves')).to.equal('0 serves');
    await server.noted('close');
    expect(server.log('close')).to.deep.equal([['close', 1, -1]]);
    await server.stop();
  });

  it('-3 leaves it to dispatchMode (dispatch_fallback)', async () => {
    const server = await begin({ dispatchMode: 2 });
    for (let fd = 1; fd <= 4; fd++) {
      await (await server.connect()).ask('fall back');
      const last = server.notes('receive').at(-1);
      expect(last?.pid).to.equal(await server.worker(fd % 2));
    }
    await server.stop();
  });

  const mistakes = {
    'x: a worker that does not exist': /dispatchFunc must return a worker from 0 to 1.* got 2$/m,
    'n: below -3': /dispatchFunc must return .* got -4$/m,
    'h: no integer': /dispatchFunc must return .* got 1\.5$/m,
    throws: /a packet was discarded: in dispatchFunc$/m,
  };
  for (const [mistake, message] of Object.entries(mistakes)) {
    it(`a mistake discards the packet with a warning (${mistake})`, async () => {
      const server = await begin();
      const client = await server.connect();
      client.write(mistake);
      await server.until(() => message.test(server.stderr));
      expect(await client.ask('1 goes on')).to.equal('1 goes on');
      expect(server.log('receive')).to.deep.equal([['receive', 1, 0, '1 goes on']]);
      server.signal('SIGTERM');
      await server.endsWell(/\[PREFORK_DISPATCH_FAILED\] PreforkWarning: a packet was discarded/);
    });
  }
});

describe('server dispatch: base mode', () => {
  assertNothingLeaks();
  endServersAfterEach();

  it('needs none: the worker that has the connection gets its packets', async () => {
    for (const dispatchMode of [1, 3, 4] as const) {
      const settings = { dispatchMode, dispatchFunc };
      const server = await startServer({ mode: 'base', settings, on: EVENTS });
      const client = await server.connect();
      for (let i = 0; i < 5; i++) await client.ask('drop nothing');
      client.end();
      await server.noted('close');
      const pids = server.notes('connect', 'receive', 'close').map(({ pid }) => pid);
      expect(pids).to.have.length(7);
      expect(new Set(pids).size).to.equal(1);
      expect(server.notes('dispatch')).to.deep.equal([]);
      await server.stop();
    }
  });
});

describe('server discardTimeoutRequest: process mode', () => {
  assertNothingLeaks();
  endServersAfterEach();

  const REQUESTS = 8;

  /** Eight requests wait for a busy worker when their connection ends. @returns those that it is given */
  async function left(
    settings: ServerPlan['settings'],
    end: (server: RunningServer, client: TcpClient, fd: number) => Promise<void>,
  ): Promise<string[]> {
    const server = await startServer({
      settings: { workerNum: 1, openEofSplit: true, packageEof: '\n', ...settings },
      on: {
        receive: (serv, fd, _, data) => {
          if (String(data) === 'block\n') block('on');
          else if (serv.exists(fd)) serv.send(fd, data);
        },
      },
    });
    (await server.connect()).write('block\n');
    await server.noted('blocked');
    const client = await server.connect();
    client.write('late\n'.repeat(REQUESTS));
    const dispatched = () => server.run(server.masterPid, (serv) => serv.stats().dispatchCount);
    while ((await dispatched()) < 1 + REQUESTS);
    await end(server, client, 2);
    const open = () => server.run(server.masterPid, (serv) => serv.exists(2));
    while (await open());
    server.unblock('on');
    expect(await (await server.connect()).ask('next\n')).to.equal('next\n');
    const given = server.notes('receive').map(({ args }) => String(args[2]));
    server.signal('SIGTERM');
    // Of mode 3.
    await server.endsWell(/^$|no event worker is idle/);
    return given.slice(1, -1);
  }

  const closes = {
    'that the server has closed': (server: RunningServer, _: TcpClient, fd: number) =>
      server.run(server.masterPid, (serv, id) => void serv.close(id), fd),
    'that the client has reset': (_: RunningServer, client: TcpClient) => {
      client.reset();
      return Promise.resolve();
    },
  };
  for (const dispatchMode of [1, 3] as const) {
    for (const [what, end] of Object.entries(closes)) {
      const name = `mode ${String(dispatchMode)}, of a connection ${what}`;

      it(`drops requests (${name}; discard_timeout_packet)`, async () => {
        const given = await left({ dispatchMode, discardTimeoutRequest: true }, end);
        expect(given).to.deep.equal([]);
      });

      it(`false: they are given to the callback (${name})`, async () => {
        const given = await left({ dispatchMode }, end);
        expect(given).to.deep.equal(Array(REQUESTS).fill('late\n'));
      });
    }
  }

  it('leaves requests alone of a client that has only ended its side', async () => {
    const server = await startServer({
      settings: { workerNum: 1, dispatchMode: 1, discardTimeoutRequest: true },
      on: {
        receive: (serv, fd, _, data) => {
          if (String(data) === 'block') block('on');
          return serv.send(fd, data);
        },
      },
    });
    (await server.connect()).write('block');
    await server.noted('blocked');
    const client = await server.connect();
    client.end('answer me');
    server.unblock('on');
    expect((await client.readAll()).toString()).to.equal('answer me');
    await server.stop();
  });
});
