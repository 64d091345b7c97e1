import { createServer, type AddressInfo } from 'node:net';
import { expect } from 'chai';
import type { Server as AnyServer } from '../../lib/server/server';
import type { ServerMode } from '../../lib/server/settings';
import { assertNothingLeaks } from '../support/leaks';
import {
  beginServer,
  echo,
  endServersAfterEach,
  MODES,
  refusalOf,
  startServer,
} from '../support/server';
import type { ServerPlan } from '../support/server';

/** What calls before start() throw: [code, message] each. */
async function thrownBy(
  mode: ServerMode,
  before: NonNullable<ServerPlan['before']>,
): Promise<[string, string][]> {
  const server = await startServer({ mode, on: { receive: echo }, before });
  await server.stop();
  return server.notes('thrown').map(({ args }) => args as [string, string]);
}

/** Calls what needs a running server. Sent as source text: notes [code, name] of each. */
function callAll(serv: AnyServer): void {
  const calls: Record<string, () => unknown> = {
    send: () => serv.send(1, 'x'),
    sendto: () => serv.sendto('127.0.0.1', 9, 'x'),
    close: () => serv.close(1),
    exists: () => serv.exists(1),
    pause: () => serv.pause(1),
    resume: () => serv.resume(1),
    protect: () => serv.protect(1),
    bind: () => serv.bind(1, 1),
    getClientInfo: () => serv.getClientInfo(1),
    getClientList: () => serv.getClientList(),
    connections: () => [...serv.connections],
    heartbeat: () => serv.heartbeat(),
    task: () => serv.task('x'),
    taskwait: () => serv.taskwait('x'),
    taskWaitMulti: () => serv.taskWaitMulti(['x']),
    taskAsync: () => serv.taskAsync('x'),
    taskCo: () => serv.taskCo(['x']),
    finish: () => serv.finish('x'),
    sendMessage: () => serv.sendMessage('x', 0),
    getWorkerPid: () => serv.getWorkerPid(0),
    stats: () => serv.stats(),
    reload: () => serv.reload(),
    stop: () => {
      serv.stop(0);
    },
    shutdown: () => serv.shutdown(),
  };
  for (const [name, call] of Object.entries(calls)) {
    try {
      call();
      note('thrown', 'nothing', name);
    } catch (error) {
      note('thrown', (error as { code: string }).code, name);
    }
  }
}

for (const mode of MODES) {
  describe(`server misuse: ${mode} mode`, () => {
    assertNothingLeaks();
    endServersAfterEach();

    describe('a callback that is missing (check_callback)', () => {
      const tcp = { host: '127.0.0.1', type: 'tcp' } as const;
      const udp = { host: '127.0.0.1', type: 'udp' } as const;
      const cases: Record<string, [ServerPlan, RegExp]> = {
        receive: [{ on: {} }, /receive callback is needed for port 127\.0\.0\.1:\d+ \(tcp\)/],
        packet: [{ ...udp, on: { receive: echo } }, /packet callback is needed for .* \(udp\)/],
        'receive of a second port': [
          { ...udp, on: { packet: () => null }, ports: [tcp] },
          /receive callback is needed for .* \(tcp\)/,
        ],
        'packet of a second port': [
          { on: { receive: echo }, ports: [udp] },
          /packet callback is needed for .* \(udp\)/,
        ],
        task: [
          { settings: { taskWorkerNum: 2 }, on: { receive: echo } },
          /task callback is needed for taskWorkerNum 2/,
        ],
      };
      for (const [what, [plan, text]] of Object.entries(cases)) {
        it(`${what}: start() is refused, by name`, async () => {
          const [code, message] = await refusalOf({ mode, ...plan });
          expect(code).to.equal('ERR_SERVER_NO_CALLBACK');
          expect(message).to.match(text);
        });
      }
    });

    describe('an address', () => {
      it('in use is EADDRINUSE, of every kind', async () => {
        const codes = await thrownBy(mode, (serv) => {
          const udp = serv.listen('127.0.0.1', 0, 'udp');
          udp.on('packet', () => undefined);
          const path = `${process.env.TMPDIR ?? ''}/used.sock`;
          serv.listen(path, 0, 'unix');
          const attempts = [
            () => new Server('127.0.0.1', serv.port),
            () => serv.listen('127.0.0.1', serv.port),
            () => serv.listen('127.0.0.1', udp.port, 'udp'),
            () => serv.listen(path, 0, 'unix'),
          ];
          for (const attempt of attempts) {
            try {
              attempt();
              note('thrown', 'nothing', '');
            } catch (error) {
              const { code, message } = error as { code: string; message: string };
              note('thrown', code, message);
            }
          }
        });
        expect(codes.map(([code]) => code)).to.deep.equal(Array(4).fill('EADDRINUSE'));
        for (const [, message] of codes.slice(0, 3)) expect(message).to.match(/127\.0\.0\.1:\d+/);
        expect(codes[3]?.[1]).to.match(/used\.sock/);
      });

      it('of another machine is EADDRNOTAVAIL (listen_fail)', async () => {
        const [thrown] = await thrownBy(mode, () => {
          try {
            new Server('192.0.2.1', 9502);
          } catch (error) {
            const { code, message } = error as { code: string; message: string };
            note('thrown', code, message);
          }
        });
        expect(thrown?.[0]).to.equal('EADDRNOTAVAIL');
        expect(thrown?.[1]).to.match(/192\.0\.2\.1:9502/);
      });

      it('in use by another program is EADDRINUSE', async () => {
        const other = createServer().listen(0, '127.0.0.1');
        await new Promise((resolve) => other.once('listening', resolve));
        const { port } = other.address() as AddressInfo;
        const server = beginServer({
          ...{ mode, on: { receive: echo } },
          ports: [{ host: '127.0.0.1', type: 'tcp', port }],
        });
        const { code, stderr } = await server.end();
        expect(code).to.equal(1);
        expect(stderr).to.match(new RegExp(`EADDRINUSE.*127\\.0\\.0\\.1:${String(port)}`));
        await new Promise((resolve) => other.close(resolve));
      });
    });

    describe('before start()', () => {
      it('what needs a running server is ERR_SERVER_NOT_RUNNING', async () => {
        const thrown = await thrownBy(mode, callAll);
        const others = thrown.filter(([code]) => code !== 'ERR_SERVER_NOT_RUNNING');
        expect(others).to.deep.equal([]);
        expect(thrown).to.have.length(24);
      });

      it('so it is once it has ended; a shutdown() more is nothing', async () => {
        const server = await startServer({ mode, on: { receive: echo }, after: callAll });
        await server.stop();
        const thrown = server.notes('thrown').map(({ args }) => args as [string, string]);
        const others = thrown.filter(([code]) => code !== 'ERR_SERVER_NOT_RUNNING');
        expect(others).to.deep.equal([['nothing', 'shutdown']]);
        expect(thrown).to.have.length(24);
      });

      it('its pids and ids are those of no process', async () => {
        const server = await startServer({
          mode,
          on: { receive: echo },
          before: (serv) => {
            const { masterPid, managerPid, workerId, workerPid, taskworker } = serv;
            note('who', masterPid, managerPid, workerId, workerPid, taskworker);
          },
        });
        await server.stop();
        expect(server.log('who')).to.deep.equal([['who', 0, 0, -1, 0, false]]);
      });

      it('getCallback() gives back what on() was given; the last one counts (getCallback)', async () => {
        const server = await startServer({
          mode,
          on: { receive: echo },
          before: (serv) => {
            const [first, second] = [() => 1, () => 2];
            for (let i = 0; i < 1000; i++) serv.on('Close', first);
            note('same', serv.getCallback('close') === first, serv.getCallback('connect'));
            serv.on('CLOSE' as never, second as never);
            note('same', serv.getCallback('close') === second);
          },
        });
        await server.stop();
        expect(server.log('same')).to.deep.equal([
          ['same', true, null],
          ['same', true],
        ]);
      });
    });

    it('names that do not exist are refused, with the nearest', async () => {
      const thrown = await thrownBy(mode, (serv) => {
        const port = serv.ports[0];
        const calls: (() => unknown)[] = [
          () => serv.on('recieve' as never, (() => null) as never),
          () => serv.on('workerStrat' as never, (() => null) as never),
          () => port?.on('task' as never, (() => null) as never),
          () => serv.set({ worker_num: 4 } as never),
          () => serv.set({ taskWorkersNum: 4 } as never),
          () => port?.set({ workerNum: 4 } as never),
          () => port?.set({ packageEoff: 'x' } as never),
        ];
        for (const call of calls) {
          try {
            call();
          } catch (error) {
            const { code, message } = error as { code: string; message: string };
            note('thrown', code, message);
          }
        }
      });
      const [event, option] = ['ERR_UNKNOWN_EVENT', 'ERR_UNKNOWN_OPTION'];
      expect(thrown.map(([code]) => code)).to.deep.equal([
        ...[event, event, event, option, option, option, option],
      ]);
      const names = ['"receive"', '"workerStart"', '', '"workerNum"', '"taskWorkerNum"'];
      for (const [i, name] of [...names, 'the server', '"packageEof"'].entries()) {
        expect(thrown[i]?.[1]).to.include(name);
      }
    });

    it('arguments of a wrong type or range are refused at once', async () => {
      const thrown = await thrownBy(mode, (serv) => {
        const calls: (() => unknown)[] = [
          () => new Server('127.0.0.1', 0, 'thread' as never),
          () => new Server('127.0.0.1', 0, 'base', 'tcp5' as never),
          () => new Server('127.0.0.1', 65_536),
          () => new Server('a.name.that.is.not.looked.up'),
          () => serv.on('receive', 'no function' as never),
          () => serv.addProcess('no process' as never),
          () => serv.set({ packageEof: '' }),
          () => serv.set({ dispatchMode: 6 as never }),
          () => serv.set({ workerNum: '4' as never }),
        ];
        for (const call of calls) {
          try {
            call();
            note('thrown', 'nothing', String(call));
          } catch (error) {
            note('thrown', (error as { code: string }).code, String(call));
          }
        }
      });
      const [type, range] = ['ERR_INVALID_ARG_TYPE', 'ERR_OUT_OF_RANGE'];
      expect(thrown.map(([code]) => code)).to.deep.equal([
        ...[type, type, range, range, type, type, range, range, type],
      ]);
    });
  });
}
