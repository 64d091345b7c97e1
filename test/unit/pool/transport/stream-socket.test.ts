import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../../lib/binding';
import { systemError } from '../../../../lib/errors';
import { ListeningSocket } from '../../../../lib/ipc/listening-socket';
import {
  StreamRequests,
  type Reply,
  type StreamRequestsOptions,
} from '../../../../lib/pool/transport/stream-socket';
import {
  Client,
  connected,
  frame,
  lengthOf,
  request,
  textOf,
  type Target,
} from '../../../fixtures/stream-socket/client';

const MIB = 1 << 20;

/** A request that waits until the test answers it. */
interface Held {
  text: string;
  answer: (reply: Reply) => void;
  fail: (error: Error) => void;
}

async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`never true: ${String(condition)}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

async function turns(): Promise<void> {
  for (let i = 0; i < 50; i++) await turn();
}

describe('StreamRequests', () => {
  let listening: ListeningSocket;
  let target: Target;
  let requests: StreamRequests;
  let held: Held[];
  let counts: { taken: number; done: number };
  let dropped: string[];
  let errors: unknown[];
  const clients: Client[] = [];

  beforeEach(() => {
    listening = ListeningSocket.tcp('127.0.0.1', 0);
    target = { port: Number(listening.port) };
    held = [];
    counts = { taken: 0, done: 0 };
    dropped = [];
    errors = [];
  });
  afterEach(async () => {
    sinon.restore();
    for (const client of clients.splice(0)) client.socket.destroy();
    for (const { answer } of held) answer(null);
    await requests.stop();
    listening.close();
    expect(counts.done, 'done').to.equal(counts.taken);
    expect(requests).to.include({ connections: 0, inFlight: 0 });
  });

  function serve(options: Partial<StreamRequestsOptions> = {}): void {
    requests = new StreamRequests(listening, {
      onRequest: (data) => [data],
      onError: (error) => errors.push(error),
      onTaken: () => counts.taken++,
      onDone: () => counts.done++,
      onDropped: (error) => dropped.push((error as NodeJS.ErrnoException).code ?? String(error)),
      ...options,
    });
    requests.start();
  }

  /** Serves with requests that wait for the test. */
  function hold(options: Partial<StreamRequestsOptions> = {}): void {
    const onRequest = (data: Buffer): Promise<Reply> =>
      new Promise((answer, fail) => held.push({ text: String(data), answer, fail }));
    serve({ onRequest, ...options });
  }

  function client(allowHalfOpen = false): Client {
    const made = new Client(target, allowHalfOpen);
    clients.push(made);
    return made;
  }

  /** Sends `bytes`; what happens to the connection afterwards is of no interest to the caller. */
  function send(bytes: Buffer): Client {
    const made = client();
    made.socket.write(bytes);
    return made;
  }

  const texts = (): string[] => held.map(({ text }) => text);

  describe('one request', () => {
    it('answers with the joined pieces in one frame, and closes', async () => {
      serve({ onRequest: () => ['one ', '', 'reply'].map((text) => Buffer.from(text)) });
      expect(await textOf(request(target, 'x'))).to.equal('one reply');
    });

    for (const bytes of [1, 65536, 2 * MIB]) {
      it(`carries ${String(bytes)} bytes there and back`, async () => {
        const body = Buffer.alloc(bytes, 'pattern');
        serve();
        const answer = await request(target, body);
        expect(answer.error).to.equal(null);
        expect(answer.body?.equals(body)).to.equal(true);
      });
    }

    for (const [name, reply] of Object.entries({
      null: null,
      'no pieces': [],
      'empty pieces': [Buffer.alloc(0)],
    })) {
      it(`writes nothing and closes for ${name}`, async () => {
        serve({ onRequest: () => reply });
        expect(await request(target, 'x')).to.deep.equal({ body: null, error: null });
        expect(counts).to.deep.equal({ taken: 1, done: 1 });
      });
    }

    it('takes a frame whose bytes come one by one', async () => {
      serve();
      const slow = client();
      slow.socket.setNoDelay(true);
      for (const byte of frame('byte by byte')) {
        await slow.write(Buffer.from([byte]));
        await turn();
      }
      expect(await textOf(slow.answer)).to.equal('byte by byte');
    });

    it('answers a client that has ended its own side', async () => {
      hold();
      const half = client(true);
      half.socket.end(frame('half open'));
      await until(() => held.length === 1);
      await turns();
      held[0]?.answer([Buffer.from('reply')]);
      await once(half.socket, 'end');
      expect(await textOf(half.answer)).to.equal('reply');
    });

    it('serves one request per connection: a second frame is not looked at', async () => {
      serve();
      const twice = send(Buffer.concat([frame('first'), frame('second')]));
      expect(await textOf(twice.answer)).to.equal('first');
      expect(counts.taken).to.equal(1);
    });

    it('nor one that comes after the reply', async () => {
      serve();
      const twice = client(true);
      twice.socket.write(Buffer.concat([frame('first'), frame('too early')]));
      await once(twice.socket, 'end');
      await twice.write(frame('second'));
      await twice.write(frame('third'));
      twice.socket.end();
      expect(await textOf(twice.answer)).to.equal('first');
      await until(() => requests.connections === 0);
      expect(counts.taken).to.equal(1);
    });

    it('gives the whole reply to a client that goes on sending garbage', async () => {
      const reply = Buffer.alloc(8 * MIB, 'reply');
      serve({ onRequest: () => [reply] });
      const noisy = send(frame('x'));
      for (let i = 0; i < 16; i++) noisy.socket.write(Buffer.alloc(65536, 'garbage'));
      const answer = await noisy.answer;
      expect(answer.error).to.equal(null);
      expect(answer.body?.equals(reply)).to.equal(true);
      expect(counts.taken).to.equal(1);
    });

    it('the slot is free while it waits for such a client to close', async () => {
      serve();
      const noisy = client(true);
      noisy.socket.write(Buffer.concat([frame('x'), Buffer.alloc(100)]));
      await once(noisy.socket, 'end');
      expect(await textOf(request(target, 'next'))).to.equal('next');
      expect(requests).to.include({ inFlight: 0, connections: 1 });
    });

    it('works on a unix socket as well', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'prefork-'));
      const path = join(folder, 'requests.sock');
      const other = ListeningSocket.unix(path);
      const onUnix = new StreamRequests(other, {
        onRequest: (data) => [data],
        onError: (error) => errors.push(error),
      });
      onUnix.start();
      serve();
      expect(await textOf(request({ path }, 'unix'))).to.equal('unix');
      await onUnix.stop();
      other.close();
      rmSync(folder, { recursive: true });
    });
  });

  describe('bad clients', () => {
    const refused: Record<string, { bytes: Buffer; code: string }> = {
      'length 0': { bytes: lengthOf(0), code: 'ERR_EMPTY_DATA' },
      'a length over the limit': { bytes: lengthOf(1001), code: 'ERR_MESSAGE_TOO_BIG' },
      'a length over the limit, with its body': {
        bytes: frame(Buffer.alloc(4 * MIB)),
        code: 'ERR_MESSAGE_TOO_BIG',
      },
      'another protocol': { bytes: Buffer.from('GET / HTTP/1.1'), code: 'ERR_MESSAGE_TOO_BIG' },
    };
    for (const [name, { bytes, code }] of Object.entries(refused)) {
      it(`${name} closes that connection only, without a request`, async () => {
        serve({ maxPackageSize: 1000 });
        expect((await send(bytes).answer).body).to.equal(null);
        expect(await textOf(request(target, 'next'))).to.equal('next');
        expect(dropped).to.deep.equal([code]);
        expect(counts.taken).to.equal(1);
      });
    }

    for (const at of [2, 4, 6]) {
      it(`a frame cut after ${String(at)} bytes is no request`, async () => {
        serve();
        const cut = client();
        cut.socket.end(frame('hello').subarray(0, at));
        expect((await cut.answer).body).to.equal(null);
        expect(await textOf(request(target, 'next'))).to.equal('next');
        expect(dropped).to.deep.equal(['EPROTO']);
        expect(counts.taken).to.equal(1);
      });
    }

    it('a client that connects and leaves is nothing to report', async () => {
      serve();
      const silent = client();
      silent.socket.end();
      expect(await silent.answer).to.deep.equal({ body: null, error: null });
      expect(dropped).to.deep.equal([]);
    });

    it('a reset in the middle of a frame is no request', async () => {
      serve();
      const rude = client();
      await rude.write(frame('hello').subarray(0, 6));
      await until(() => requests.connections === 1);
      // libuv takes a reset that comes together with data for an end.
      await turns();
      rude.socket.resetAndDestroy();
      await until(() => requests.connections === 0);
      expect(dropped).to.deep.equal(['ECONNRESET']);
      expect(await textOf(request(target, 'next'))).to.equal('next');
    });

    it('a reset while the request is handled: the slot is free when the handler has ended', async () => {
      hold();
      const rude = send(frame('rude'));
      await until(() => held.length === 1);
      rude.socket.resetAndDestroy();
      send(frame('next'));
      await turns();
      expect(counts).to.deep.equal({ taken: 1, done: 0 });
      held[0]?.answer([Buffer.alloc(MIB)]);
      await until(() => held.length === 2);
      expect(counts).to.deep.equal({ taken: 2, done: 1 });
      expect(errors).to.deep.equal([]);
    });

    it('a frame slower than frameTimeout closes the connection', async () => {
      serve({ frameTimeout: 80 });
      const slow = send(frame('hello').subarray(0, 6));
      expect(await slow.answer).to.deep.equal({ body: null, error: null });
      expect(dropped).to.deep.equal(['ETIMEDOUT']);
      expect(counts.taken).to.equal(0);
    });

    it('bytes that drip in do not extend frameTimeout', async () => {
      serve({ frameTimeout: 80 });
      const slow = client();
      const drip = setInterval(() => slow.socket.write('\0'), 10);
      slow.socket.write(lengthOf(1000));
      const { body } = await slow.answer;
      clearInterval(drip);
      expect(body).to.equal(null);
      expect(dropped).to.deep.equal(['ETIMEDOUT']);
    });

    it('frameTimeout does not close what came while a handler held up the loop', async () => {
      serve({
        frameTimeout: 100,
        concurrency: 2,
        onRequest: (data) => {
          if (String(data) === 'block') {
            const cell = new Int32Array(new SharedArrayBuffer(4));
            second.socket.write(rest);
            Atomics.wait(cell, 0, 0, 200);
          }
          return [data];
        },
      });
      const bytes = frame('in time');
      const rest = bytes.subarray(5);
      const second = send(bytes.subarray(0, 5));
      await until(() => requests.connections === 1);
      send(frame('block'));
      expect(await textOf(second.answer)).to.equal('in time');
    });

    it('a client that does not read its reply is closed and its slot is free', async () => {
      serve({ replyTimeout: 50, onRequest: () => [Buffer.alloc(32 * MIB)] });
      const lazy = await connected(target);
      clients.push(lazy);
      lazy.socket.pause();
      lazy.socket.write(frame('x'));
      await until(() => dropped.length === 1);
      expect(dropped).to.deep.equal(['ETIMEDOUT']);
      await until(() => counts.done === 1);
      expect((await request(target, 'next')).body).to.have.length(32 * MIB);
      lazy.socket.destroy();
    });
  });

  describe('handler errors', () => {
    for (const [name, onRequest] of Object.entries({
      throws: () => {
        throw new Error('broken');
      },
      rejects: () => Promise.reject(new Error('broken')),
    })) {
      it(`goes to onError when it ${name}, and the connection is closed without a reply`, async () => {
        serve({ onRequest });
        expect((await request(target, 'x')).body).to.equal(null);
        expect((await request(target, 'x')).body).to.equal(null);
        expect(errors.map(String)).to.deep.equal(['Error: broken', 'Error: broken']);
        expect(counts).to.deep.equal({ taken: 2, done: 2 });
      });
    }

    it('a reply that is too long for a frame is one as well', async () => {
      const piece = Buffer.alloc(64 * MIB);
      serve({ onRequest: () => Array<Buffer>(64).fill(piece) });
      expect((await request(target, 'x')).body).to.equal(null);
      expect(errors).to.have.length(1);
      expect(errors[0]).to.have.property('code', 'ERR_MESSAGE_TOO_BIG');
    });
  });

  describe('concurrency', () => {
    for (const concurrency of [1, 3]) {
      it(`accepts ${String(concurrency)} and leaves the rest in the backlog`, async () => {
        hold({ concurrency });
        const sent = Array.from({ length: 5 }, (_, i) => send(frame(String(i))));
        await Promise.all(sent.map(({ socket }) => once(socket, 'connect')));
        await until(() => held.length === concurrency);
        await turns();
        expect(requests).to.include({ inFlight: concurrency, connections: concurrency });
        held[0]?.answer(null);
        await until(() => held.length === concurrency + 1);
        await turns();
        expect(requests.connections).to.equal(concurrency);
      });
    }

    it('accepts no more than mayAccept allows, those counted in that have sent nothing yet', async () => {
      // No client counts as slow.
      sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
      let most = 2;
      hold({ concurrency: 4, mayAccept: (waiting) => counts.taken + waiting < most });
      const silent = client();
      await once(silent.socket, 'connect');
      while (requests.connections < 1) await turn();
      send(frame('a'));
      while (held.length < 1) await turn();
      send(frame('b'));
      await turns();
      expect(requests.connections).to.equal(2);
      most = 3;
      silent.socket.write(frame('c'));
      while (held.length < 3) await turn();
      expect(texts().sort()).to.deep.equal(['a', 'b', 'c']);
      for (const { answer } of held) answer(null);
      while (requests.connections > 0) await turn();
    });

    it('what it leaves may be accepted by a sibling', async () => {
      hold();
      send(frame('first'));
      await until(() => held.length === 1);
      await connected(target).then((second) => clients.push(second));
      await turns();
      const fd = listening.accept();
      expect(fd).to.be.a('number');
      binding.closeFd(Number(fd));
    });

    it('the slot is held until the reply is with the kernel', async () => {
      serve({ replyTimeout: 10_000, onRequest: () => [Buffer.alloc(32 * MIB)] });
      const lazy = await connected(target);
      clients.push(lazy);
      lazy.socket.pause();
      lazy.socket.write(frame('x'));
      await until(() => counts.taken === 1);
      await turns();
      expect(counts.done).to.equal(0);
      lazy.socket.resume();
      await until(() => counts.done === 1);
      expect((await lazy.answer).body).to.have.length(32 * MIB);
    });

    it('clients without a whole frame do not keep the others from their answers', async () => {
      serve({ frameTimeout: 10_000 });
      const slow = Array.from({ length: 10 }, () => send(frame('slow').subarray(0, 5)));
      await Promise.all(slow.map(({ socket }) => once(socket, 'connect')));
      expect(await textOf(request(target, 'quick'))).to.equal('quick');
      expect(dropped).to.deep.equal([]);
      for (const { socket } of slow) socket.write(frame('slow').subarray(5));
      const answers = await Promise.all(slow.map(({ answer }) => textOf(answer)));
      expect(answers).to.deep.equal(Array(10).fill('slow'));
    });

    it('the frame of a slow client waits for a slot, before new connections', async () => {
      hold();
      const slow = send(frame('slow').subarray(0, 5));
      await until(() => requests.connections === 1);
      send(frame('quick'));
      await until(() => held.length === 1);
      slow.socket.write(frame('slow').subarray(5));
      send(frame('later'));
      await turns();
      expect(texts()).to.deep.equal(['quick']);
      expect(requests.inFlight).to.equal(1);
      held[0]?.answer(null);
      await until(() => held.length === 2);
      expect(texts()).to.deep.equal(['quick', 'slow']);
      held[1]?.answer(null);
      await until(() => held.length === 3);
    });
  });

  describe('accept errors', () => {
    const outOfFds = (): never => {
      throw systemError('EMFILE', 'accept4', 'too many open files');
    };

    it('EMFILE does not spin; accepting goes on by itself later', async () => {
      const accept = sinon.stub(binding, 'accept').callsFake(outOfFds);
      const reported: Error[] = [];
      serve({ onAcceptError: (error) => reported.push(error) });
      const waiting = request(target, 'x');
      const start = Date.now();
      await until(() => accept.callCount >= 3);
      expect(accept.callCount).to.be.at.most(2 + (Date.now() - start) / 90);
      accept.restore();
      expect(await textOf(waiting)).to.equal('x');
      expect(reported).to.have.length(1);
      expect(reported[0]?.message).to.include(listening.address);
    });

    it('EMFILE: accepting goes on when a connection closes', async () => {
      // The retry by time never comes.
      sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
      hold({ concurrency: 2 });
      send(frame('first'));
      while (held.length < 1) await turn();
      const accept = sinon.stub(binding, 'accept').callsFake(outOfFds);
      send(frame('second'));
      while (!accept.called) await turn();
      await turns();
      expect(accept.callCount).to.equal(1);
      accept.restore();
      held[0]?.answer(null);
      while (held.length < 2) await turn();
      expect(texts()).to.deep.equal(['first', 'second']);
      held[1]?.answer(null);
      while (requests.connections > 0) await turn();
    });
  });

  describe('stop', () => {
    it('resolves at once when nothing is in flight, and again', async () => {
      serve();
      await requests.stop();
      await requests.stop();
    });

    it('is allowed before start(), which then does nothing', async () => {
      requests = new StreamRequests(listening, { onRequest: () => null, onError: () => undefined });
      await requests.stop();
      requests.start();
    });

    it('resolves when those in flight are answered, and takes no new connection', async () => {
      hold({ concurrency: 2 });
      const sent = ['a', 'b'].map((text) => send(frame(text)));
      await until(() => held.length === 2);
      const stopped = sinon.spy();
      const stop = requests.stop().then(stopped);
      const late = await connected(target);
      clients.push(late);
      late.socket.write(frame('late'));
      held[0]?.answer([Buffer.from('a')]);
      expect(await textOf((sent[0] as Client).answer)).to.equal('a');
      await turns();
      expect(stopped.called).to.equal(false);
      held[1]?.answer([Buffer.from('b')]);
      expect(await textOf((sent[1] as Client).answer)).to.equal('b');
      await stop;
      expect(texts().sort()).to.deep.equal(['a', 'b']);
    });

    it('lets a client finish its frame', async () => {
      serve();
      const slow = send(frame('hello').subarray(0, 6));
      await until(() => requests.connections === 1);
      const stop = requests.stop();
      slow.socket.write(frame('hello').subarray(6));
      expect(await textOf(slow.answer)).to.equal('hello');
      await stop;
    });

    it('waits for an unfinished frame no longer than frameTimeout', async () => {
      serve({ frameTimeout: 80 });
      send(frame('hello').subarray(0, 6));
      await until(() => requests.connections === 1);
      await requests.stop();
      expect(dropped).to.deep.equal(['ETIMEDOUT']);
    });

    it('frames that wait for a slot are answered too', async () => {
      hold();
      const slow = send(frame('slow').subarray(0, 5));
      await until(() => requests.connections === 1);
      send(frame('quick'));
      await until(() => held.length === 1);
      slow.socket.write(frame('slow').subarray(5));
      await turns();
      const stop = requests.stop();
      held[0]?.answer(null);
      await until(() => held.length === 2);
      held[1]?.answer([Buffer.from('late')]);
      expect(await textOf(slow.answer)).to.equal('late');
      await stop;
    });

    it('does not close the listening socket', async () => {
      serve();
      await requests.stop();
      expect(listening.closed).to.equal(false);
      serve();
      expect(await textOf(request(target, 'again'))).to.equal('again');
    });
  });
});
