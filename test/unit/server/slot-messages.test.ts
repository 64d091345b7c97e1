import { expect } from 'chai';
import { encodePayload } from '../../../lib/ipc/payload';
import {
  BUFFER_EMPTY,
  BUFFER_FULL,
  CLOSE,
  CONNECT,
  PACKET,
  PIPE_MESSAGE,
  RECEIVE,
} from '../../../lib/server/bus/message';
import type { ConnectionEvents } from '../../../lib/server/connection-events';
import type { ServerContext } from '../../../lib/server/context';
import { encodeDatagram } from '../../../lib/server/datagrams';
import { BY_PEER, BY_SERVER, UNREADABLE } from '../../../lib/server/reactor/connection';
import type { Requests } from '../../../lib/server/requests';
import { SessionTable } from '../../../lib/server/session-table';
import { SlotMessages } from '../../../lib/server/slot-messages';

const WORKER = 1;
const PORT = 2;
const SENDER = 5;

interface Settings {
  dispatchMode: number;
  enableUnsafeEvent: boolean;
  discardTimeoutRequest: boolean;
}

describe('SlotMessages', () => {
  let sessions: SessionTable;
  let id: number;
  let taken: number[];
  let handled: number;
  let ended: number[];
  /** What waits until the requests of a session have ended. */
  let waiting: (() => void) | null;
  let told: unknown[][];
  let messages: SlotMessages;

  const make = (settings: Partial<Settings> = {}): void => {
    const defaults = { dispatchMode: 2, enableUnsafeEvent: false, discardTimeoutRequest: true };
    const table = { countTaken: (slot: number, by: number) => taken.push(slot, by) };
    const context = { sessions, table, settings: { ...defaults, ...settings } };
    const tells =
      (name: string) =>
      (...args: unknown[]) =>
        told.push([name, ...args]);
    const names = ['connect', 'receive', 'close', 'watermark', 'packet', 'pipeMessage'];
    const events = Object.fromEntries(names.map((name) => [name, tells(name)]));
    const requests = {
      countHandled: () => handled++,
      afterSession: (_: number, then: () => void) => (waiting = then),
    };
    messages = new SlotMessages({
      context: context as unknown as ServerContext,
      workerId: WORKER,
      events: events as unknown as ConnectionEvents,
      requests: requests as unknown as Requests,
      end: (session) => ended.push(session.id),
    });
  };

  const comes = (type: number, of = id, kind = 0, data: Buffer = Buffer.alloc(0)): unknown[][] => {
    messages.handle(type, kind, of, SENDER, data);
    return told.splice(0);
  };

  beforeEach(() => {
    sessions = new SessionTable(4);
    const session = sessions.open({
      ...{ port: PORT, reactor: 0, worker: WORKER },
      ...{ remoteAddress: '10.0.0.7', remotePort: 51_000 },
    });
    id = session?.id ?? -1;
    [taken, ended, told, waiting, handled] = [[], [], [], null, 0];
    make();
  });

  it('a packet of a connection is a request, which counts when it has ended', () => {
    expect(comes(RECEIVE, id, 0, Buffer.from('abc'))).to.deep.equal([
      ['receive', id, PORT, 0, Buffer.from('abc')],
    ]);
    expect([taken, handled]).to.deep.equal([[WORKER, 1], 0]);
  });

  it('a packet of a connection that is gone is handled by throwing it away', () => {
    sessions.close(id);
    expect(comes(RECEIVE, id, 0, Buffer.from('abc'))).to.deep.equal([]);
    expect([taken, handled]).to.deep.equal([[WORKER, 1], 1]);
  });

  it('but by its port where the settings want that', () => {
    make({ discardTimeoutRequest: false });
    sessions.close(id);
    expect(comes(RECEIVE, id, 0, Buffer.from('abc'))).to.deep.equal([
      ['receive', id, PORT, 0, Buffer.from('abc')],
    ]);
  });

  it('a datagram is a request', () => {
    const data = Buffer.from('abc');
    const bytes = encodeDatagram({ address: '10.0.0.8', port: 53, data });
    expect(comes(PACKET, PORT, 0, bytes)).to.deep.equal([['packet', PORT, data, '10.0.0.8', 53]]);
    expect([taken, handled]).to.deep.equal([[WORKER, 1], 0]);
  });

  it('a message of another process is handled when it was told', () => {
    const { kind, data } = encodePayload('hello');
    expect(comes(PIPE_MESSAGE, 0, kind, data)).to.deep.equal([['pipeMessage', SENDER, kind, data]]);
    expect([taken, handled]).to.deep.equal([[], 1]);
  });

  it('a new connection is told, by its port, also when it is gone already: so is its end', () => {
    const call = ['connect', id, PORT, 0];
    expect(comes(CONNECT)).to.deep.equal([call]);
    sessions.close(id);
    expect(comes(CONNECT)).to.deep.equal([call]);
    expect(handled).to.equal(2);
  });

  for (const [what, type] of [
    ['bufferFull', BUFFER_FULL],
    ['bufferEmpty', BUFFER_EMPTY],
  ] as const) {
    it(`${what} is told of a connection that is there, and only of such`, () => {
      expect(comes(type)).to.deep.equal([['watermark', what, id, PORT]]);
      sessions.close(id);
      expect(comes(type)).to.deep.equal([]);
      expect(handled).to.equal(2);
    });
  }

  describe('the end of a connection', () => {
    it('by its peer waits for its requests, and is answered', () => {
      expect(comes(CLOSE, id, BY_PEER)).to.deep.equal([]);
      waiting?.();
      expect(told).to.deep.equal([['close', id, PORT, 0]]);
      expect(ended).to.deep.equal([id]);
    });

    it('by what cannot be read is told as one by the server, and answered', () => {
      comes(CLOSE, id, UNREADABLE);
      waiting?.();
      expect(told).to.deep.equal([['close', id, PORT, -1]]);
      expect(ended).to.deep.equal([id]);
    });

    it('by the server is told at once, by its port, and there is nothing to answer', () => {
      sessions.close(id);
      expect(comes(CLOSE, id, BY_SERVER)).to.deep.equal([['close', id, PORT, -1]]);
      expect([waiting, ended]).to.deep.equal([null, []]);
    });

    it('is answered, but not told, where the dispatch mode delivers no events', () => {
      make({ dispatchMode: 1 });
      comes(CLOSE, id, BY_PEER);
      waiting?.();
      expect(told).to.deep.equal([]);
      expect(ended).to.deep.equal([id]);
    });
  });
});
