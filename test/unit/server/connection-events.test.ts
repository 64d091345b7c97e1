import { expect } from 'chai';
import sinon from 'sinon';
import { encodePayload } from '../../../lib/ipc/payload';
import { Addresses } from '../../../lib/server/bus/addresses';
import { ConnectionEvents } from '../../../lib/server/connection-events';
import type { ServerContext } from '../../../lib/server/context';
import { ServerCallbacks, type PortEvents } from '../../../lib/server/events';
import { NO_SESSION, type Requests } from '../../../lib/server/requests';
import { REQUESTS, ServerState } from '../../../lib/server/state';

const FD = 7;
const PORT = 1;

type Ran = [how: string, kind: string, id: number, session: number | undefined];

describe('ConnectionEvents', () => {
  /** Only a name here: callbacks get it first. */
  const server = { name: 'the server' };
  let portCallbacks: Map<string, PortEvents[keyof PortEvents]>;
  let callbacks: ServerCallbacks;
  let state: ServerState;
  let ran: Ran[];
  let events: ConnectionEvents;

  /** The callback of an event of port 1. */
  const on = (event: keyof PortEvents): sinon.SinonSpy => {
    const callback = sinon.fake.returns('result');
    portCallbacks.set(`${String(PORT)} ${event}`, callback);
    return callback;
  };

  beforeEach(() => {
    portCallbacks = new Map();
    callbacks = new ServerCallbacks();
    state = new ServerState(1);
    ran = [];
    const runner =
      (how: string) =>
      (kind: string, id: number, callback: () => unknown, session?: number): void => {
        ran.push([how, kind, id, session]);
        callback();
      };
    const context = {
      ...{ server, state, callbacks },
      ports: [{ port: 9501 }, { port: 9502 }],
      addresses: new Addresses({ workerNum: 2, taskWorkerNum: 1, userNum: 1 }, false),
      portCallback: (port: number, event: string) => portCallbacks.get(`${String(port)} ${event}`),
    };
    const requests = { run: runner('request'), guard: runner('no request') };
    events = new ConnectionEvents(
      context as unknown as ServerContext,
      requests as unknown as Requests,
    );
  });

  const calls: [keyof PortEvents, call: () => void, args: unknown[]][] = [
    ['connect', () => events.connect(FD, PORT, 3), [FD, 3]],
    ['close', () => events.close(FD, PORT, -1), [FD, -1]],
    ['bufferFull', () => events.watermark('bufferFull', FD, PORT), [FD]],
    ['bufferEmpty', () => events.watermark('bufferEmpty', FD, PORT), [FD]],
  ];

  for (const [event, call, args] of calls) {
    it(`${event} calls its port's callback, which is no request`, () => {
      const callback = on(event);
      call();
      expect(callback.args).to.deep.equal([[server, ...args]]);
      expect(ran).to.deep.equal([['no request', event, FD, undefined]]);
      expect(state.count(REQUESTS)).to.equal(0);
    });

    it(`${event} is nothing without a callback`, () => {
      portCallbacks.set(`0 ${event}`, () => undefined);
      call();
      expect(ran).to.deep.equal([]);
    });
  }

  it('receive is a request of its connection', () => {
    const callback = on('receive');
    const data = Buffer.from('data');
    events.receive(FD, PORT, 3, data);
    expect(callback.args).to.deep.equal([[server, FD, 3, data]]);
    expect(ran).to.deep.equal([['request', 'receive', FD, undefined]]);
    expect(state.count(REQUESTS)).to.equal(1);
  });

  it('packet is a request of no connection, and tells where it came from and to', () => {
    const callback = on('packet');
    const data = Buffer.from('data');
    events.packet(PORT, data, '10.0.0.1', 40_000);
    const client = { address: '10.0.0.1', port: 40_000, serverSocket: PORT, serverPort: 9502 };
    expect(callback.args).to.deep.equal([[server, data, client]]);
    expect(ran).to.deep.equal([['request', 'packet', PORT, NO_SESSION]]);
    expect(state.count(REQUESTS)).to.equal(1);
  });

  it('a request without a callback has been handled as well', () => {
    events.receive(FD, PORT, 0, Buffer.from('data'));
    events.packet(PORT, Buffer.from('data'), '10.0.0.1', 40_000);
    expect(ran.map(([how]) => how)).to.deep.equal(['request', 'request']);
  });

  describe('pipeMessage', () => {
    for (const value of ['text', Buffer.from('bytes'), { an: ['object'] }, undefined]) {
      it(`brings ${JSON.stringify(value) ?? 'undefined'} as it was sent`, () => {
        const callback = sinon.fake();
        callbacks.set('pipeMessage', callback);
        const { kind, data } = encodePayload(value);
        events.pipeMessage(2, kind, data);
        expect(callback.args).to.deep.equal([[server, 2, value]]);
        expect(ran).to.deep.equal([['no request', 'pipeMessage', 2, NO_SESSION]]);
      });
    }

    it('names the sender by its worker id: of a row that of its slot, of the manager -1', () => {
      const sources: unknown[] = [];
      callbacks.set('pipeMessage', (_server: unknown, source: unknown) => sources.push(source));
      const { kind, data } = encodePayload('text');
      const addresses = new Addresses({ workerNum: 2, taskWorkerNum: 1, userNum: 1 }, false);
      for (const from of [addresses.row(5), addresses.manager, addresses.master]) {
        events.pipeMessage(from, kind, data);
      }
      expect(sources).to.deep.equal([1, -1, -1]);
    });
  });

  it('finish tells the result, and belongs to no connection', () => {
    const callback = sinon.fake();
    callbacks.set('finish', callback);
    events.finish(5, { result: 1 });
    expect(callback.args).to.deep.equal([[server, 5, { result: 1 }]]);
    expect(ran).to.deep.equal([['no request', 'finish', 5, NO_SESSION]]);
  });
});
