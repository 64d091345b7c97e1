import { expect } from 'chai';
import type { ServerMode } from '../../lib/server/settings';
import { assertNothingLeaks } from '../support/leaks';
import { echo, endServersAfterEach, MODES, startServer } from '../support/server';
import type { RunningServer, ServerPlan } from '../support/server';

/** Notes a message by its length and sum, or as it is. */
const pipeMessage: NonNullable<ServerPlan['on']>['pipeMessage'] = (_, source, data) => {
  if (!Buffer.isBuffer(data)) return note('got', source, data);
  let sum = 0;
  for (const byte of data) sum = (sum * 31 + byte) | 0;
  note('got', source, data.length, sum);
};

/** Workers 0 and 1, task worker 2, user process 3. */
const planOf = (mode: ServerMode, more: ServerPlan = {}): ServerPlan => ({
  mode,
  settings: { taskWorkerNum: 1 },
  on: { receive: echo, task: () => null, pipeMessage },
  quiet: ['pipeMessage'],
  users: [{}],
  ...more,
});

/** Where messages come from: with their worker id. */
const SENDERS: Record<string, [number, (server: RunningServer) => Promise<number>]> = {
  'an event worker': [0, (server) => server.worker(0)],
  'a task worker': [2, (server) => server.worker(2)],
  'a user process': [3, (server) => server.user()],
  'the manager': [-1, (server) => server.manager()],
  'the master': [-1, (server) => Promise.resolve(server.masterPid)],
};

const SIZES = [1, 800_000, 2 << 20];

function sumOf(length: number): number {
  let sum = 0;
  for (let at = 0; at < length; at++) sum = (sum * 31 + (at & 0xff)) | 0;
  return sum;
}

for (const mode of MODES) {
  describe(`server messages: ${mode} mode`, () => {
    assertNothingLeaks();
    endServersAfterEach();

    for (const [place, [source, find]] of Object.entries(SENDERS)) {
      it(`from ${place} reach all others, in order: 1 B, 800,000 B, 2 MB (sendMessage_*, bigPipeMessage)`, async () => {
        const server = await startServer(planOf(mode));
        const targets = [0, 1, 2, 3].filter((id) => id !== source);
        const results = await server.run(
          await find(server),
          (serv, ids, sizes) =>
            ids.flatMap((id) =>
              sizes.map((length) => {
                const data = Buffer.allocUnsafe(length);
                for (let at = 0; at < length; at++) data[at] = at & 0xff;
                return serv.sendMessage(data, id);
              }),
            ),
          ...[targets, SIZES],
        );
        expect(new Set(results)).to.deep.equal(new Set([true]));
        await server.noted('got', targets.length * SIZES.length);
        const wanted = SIZES.map((length) => [source, length, sumOf(length)]);
        for (const id of targets) {
          const pid = await (id === 3 ? server.user() : server.worker(id));
          const got = server.notes('got').filter((message) => message.pid === pid);
          expect(got.map(({ args }) => args)).to.deep.equal(wanted);
        }
        await server.stop();
      });
    }

    it('of the managerStart callback arrive, 16 of them (sendMessage_in_manager)', async () => {
      const plan = planOf(mode);
      const server = await startServer({
        ...plan,
        on: {
          ...plan.on,
          managerStart: (serv) => {
            for (let i = 0; i < 16; i++) serv.sendMessage(`message ${String(i)}`, i % 4);
          },
        },
      });
      await server.noted('got', 16);
      for (const id of [0, 1, 2, 3]) {
        const pid = await (id === 3 ? server.user() : server.worker(id));
        const texts = server.notes('got').filter((message) => message.pid === pid);
        expect(texts.map(({ args }) => args)).to.deep.equal(
          [id, id + 4, id + 8, id + 12].map((i) => [-1, `message ${String(i)}`]),
        );
      }
      await server.stop();
    });

    it('hold whatever structured cloning takes', async () => {
      const server = await startServer(
        planOf(mode, {
          on: {
            receive: echo,
            task: () => null,
            pipeMessage: (_, __, data) => {
              if (data === undefined) return note('undefined');
              const value = data as { map: Map<string, Date>; big: bigint; error: Error };
              note(
                'value',
                value.map.get('day')?.getTime(),
                String(value.big),
                value.error.message,
              );
            },
          },
        }),
      );
      const [worker, taskWorker] = [await server.worker(0), await server.worker(2)];
      await server.run(worker, (serv) => {
        const map = new Map([['day', new Date(86_400_000)]]);
        serv.sendMessage({ map, big: 2n ** 70n, error: new Error('an error') }, 2);
        serv.sendMessage(undefined, 2);
      });
      const [value] = await server.noted('value');
      expect(value?.pid).to.equal(taskWorker);
      expect(value?.args).to.deep.equal([86_400_000, String(2n ** 70n), 'an error']);
      await server.noted('undefined');
      await server.stop();
    });

    it('that cannot be cloned throw, and the next one arrives (sendMessage serialize_exception)', async () => {
      const server = await startServer(planOf(mode));
      const worker = await server.worker(0);
      const messages = await server.run(worker, (serv) => {
        const bad = {
          get value(): string {
            throw new Error('no value');
          },
        };
        return [() => 1, Symbol('x'), bad].map((data) => {
          try {
            return serv.sendMessage(data, 1);
          } catch (error) {
            return (error as Error).message;
          }
        });
      });
      expect(messages[0]).to.match(/could not be cloned/);
      expect(messages[1]).to.match(/could not be cloned/);
      expect(messages[2]).to.equal('no value');
      await server.run(worker, (serv) => serv.sendMessage('the next', 1));
      await server.noted('got');
      expect(server.log('got')).to.deep.equal([['got', 0, 'the next']]);
      expect(await server.worker(0)).to.equal(worker);
      await server.stop();
    });

    it('to itself, or to an id that does not exist, are refused', async () => {
      const server = await startServer(planOf(mode));
      for (const [source, find] of Object.values(SENDERS)) {
        const pid = await find(server);
        const send = (to: number) =>
          server.codeOf(pid, (serv, id) => serv.sendMessage('x', id), to);
        for (const to of [source, -1, -2, 4, 1.5]) {
          expect(await send(to), `to ${String(to)}`).to.equal('ERR_OUT_OF_RANGE');
        }
        const text = await server.codeOf(pid, (serv) => serv.sendMessage('x', '1' as never));
        expect(text).to.equal('ERR_INVALID_ARG_TYPE');
      }
      expect(server.notes('got')).to.deep.equal([]);
      await server.stop();
    });

    it('need a pipeMessage callback', async () => {
      const server = await startServer(planOf(mode, { on: { receive: echo, task: () => null } }));
      for (const [, find] of Object.values(SENDERS)) {
        const code = await server.codeOf(await find(server), (serv) => serv.sendMessage('x', 1));
        expect(code).to.equal('ERR_SERVER_NO_CALLBACK');
      }
      await server.stop();
    });

    it('that wait for a worker that is killed reach its successor', async () => {
      const plan = planOf(mode);
      const server = await startServer({
        ...plan,
        settings: { workerNum: 1, taskWorkerNum: 1 },
        on: { ...plan.on, receive: () => block('busy') },
      });
      const worker = await server.worker(0);
      (await server.connect()).write('x');
      await server.noted('blocked');
      await server.run(await server.worker(1), (serv) => {
        serv.sendMessage('first', 0);
        serv.sendMessage('second', 0);
      });
      process.kill(worker, 'SIGKILL');
      const successor = await server.worker(0, 2);
      await server.noted('got', 2);
      const got = server.notes('got').map(({ pid, args }) => [pid, ...args]);
      expect(got).to.deep.equal([
        [successor, 1, 'first'],
        [successor, 1, 'second'],
      ]);
      await server.stop();
    });

    it('whose callback throws end the worker that got them, no other', async () => {
      const server = await startServer(
        planOf(mode, {
          on: {
            receive: echo,
            task: () => null,
            pipeMessage: () => {
              throw new Error('in pipeMessage');
            },
          },
        }),
      );
      const [worker, taskWorker] = [await server.worker(1), await server.worker(2)];
      await server.run(await server.worker(0), (serv) => serv.sendMessage('x', 1));
      await server.noted('workerError');
      await server.run(await server.worker(0), (serv) => serv.sendMessage('x', 2));
      const errors = await server.noted('workerError', 2);
      expect(errors.map(({ args }) => args.slice(0, 4))).to.deep.equal([
        [1, worker, 1, 0],
        [2, taskWorker, 1, 0],
      ]);
      await server.worker(1, 2);
      await server.worker(2, 2);
      server.signal('SIGTERM');
      await server.endsWell(/Error: in pipeMessage\n[^]*Error: in pipeMessage\n/);
    });
  });
}
