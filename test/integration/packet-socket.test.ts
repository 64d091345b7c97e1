import { spawnSync } from 'node:child_process';
import { expect } from 'chai';
import { asNobody, resultOf } from '../fixtures/process/result';
import { assertNothingLeaks } from '../support/leaks';

const PACKETS = 'ipc/packets.js';
const GARBAGE = 'ipc/garbage.js';
const NO_FDS = 'ipc/no-fds.js';
const KILLS = 'ipc/kills.js';

const SMALL = '1000';
const LARGE = '100000';

/** Those that garbage.js writes. */
const BAD_FRAMES = 17;

interface InABatch {
  reports: string[];
  tags: number[];
  fds: { before: string; after: string };
}

describe('packet socket', () => {
  assertNothingLeaks();

  for (const how of ['single', 'batch']) {
    it(`carries messages of 1 byte to 64 MiB between processes, whole, with what their sender says (${how})`, async () => {
      expect(await resultOf(PACKETS, ['boundaries', how])).to.deep.equal({
        code: 0,
        whole: Array(7).fill(true),
        meta: true,
      });
    });
  }

  it('brings 2,000 messages of random size from each of 4 writers, in the order of each', async () => {
    expect(await resultOf(PACKETS, ['manyWriters'])).to.deep.equal({
      codes: [0, 0, 0, 0],
      next: [2000, 2000, 2000, 2000],
      faults: [],
      left: null,
    });
  });

  it('reads on what a killed predecessor has left (successor)', async () => {
    expect(await resultOf(PACKETS, ['successor'])).to.deep.equal(['0,1,2', '3,4,5,6,7,8,9']);
  });

  describe('a full pipe', () => {
    for (const size of [SMALL, '60000', LARGE]) {
      it(`is told by false, at once or after the timeout, and loses nothing (${size} bytes)`, async () => {
        const { bytes, ...rest } = (await resultOf(PACKETS, ['full', size])) as { bytes: number };
        expect(bytes).to.be.lessThan(64 * 1024 * 1024);
        expect(rest).to.deep.equal({
          some: true,
          late: false,
          waited: true,
          order: true,
          whole: true,
          again: true,
          sameFds: true,
        });
      });

      for (const timeout of ['-1', '20000']) {
        it(`blocks send until there is room, also when signals come (${size} bytes, ${timeout} ms)`, async () => {
          expect(await resultOf(PACKETS, ['blockedSend', size, timeout])).to.deep.equal({
            sent: true,
            code: 77,
          });
        });
      }

      it(`lets sendAsync wait without blocking the loop, in order (${size} bytes)`, async () => {
        expect(await resultOf(PACKETS, ['asyncSend', size])).to.deep.equal({
          waiting: 5,
          order: true,
        });
      });
    }

    it('does not hold thousands of large messages: they weigh by their size', async () => {
      const { bytes } = (await resultOf(PACKETS, ['full', String(4 << 20)])) as { bytes: number };
      expect(bytes).to.be.within(8 << 20, 64 << 20);
    });

    it('sends after what waits in sendAsync', async () => {
      expect(await resultOf(PACKETS, ['sendGoesAfterWhatWaits'])).to.deep.equal({
        early: false,
        sent: true,
        order: true,
      });
    });
  });

  it('takes a waiting message back when its signal is aborted', async () => {
    expect(await resultOf(PACKETS, ['aborted'])).to.deep.equal({
      some: true,
      first: 'RangeError',
      early: 'AbortError',
      tags: [6],
      reading: 'RangeError',
    });
  });

  it('sends what waits in the parent from the parent only, when it forks meanwhile', async () => {
    expect(await resultOf(PACKETS, ['waitingDuringAFork'])).to.deep.equal({
      code: 0,
      senders: [1, 2],
      all: true,
      left: null,
    });
  });

  it('closes both ends in this process and tells those who wait', async () => {
    expect(await resultOf(PACKETS, ['closed'])).to.deep.equal({
      closed: 2,
      waiting: 'ERR_NO_PIPE',
      send: 'ERR_NO_PIPE',
      receive: 'ERR_NO_PIPE',
      fds: [-1, -1],
    });
  });

  it('ends when no process has the write end, without spinning', async () => {
    expect(await resultOf(PACKETS, ['readerEnds'])).to.deep.equal({ spins: 0, next: null });
  });

  it('tells EPIPE when no process has the read end, and leaves no memfd', async () => {
    expect(await resultOf(PACKETS, ['nobodyReads'])).to.deep.equal({
      codes: ['EPIPE', 'EPIPE'],
      closed: 1,
    });
  });

  describe('bad frames', () => {
    it('are dropped with ERR_BAD_FRAME, and the next one is read (receive)', async () => {
      const results = (await resultOf(GARBAGE, ['singly'])) as { name: string }[];
      expect(results).to.have.length(BAD_FRAMES);
      for (const { name, ...result } of results) {
        expect(result, name).to.deep.equal({ code: 'ERR_BAD_FRAME', next: 'good', sameFds: true });
      }
    });

    it('do not touch the good ones of their batch (receiveBatch, onBadFrame)', async () => {
      const result = (await resultOf(GARBAGE, ['inABatch'])) as InABatch;
      const { reports, tags, fds } = result;
      expect(reports).to.deep.equal(Array<string>(BAD_FRAMES).fill('ERR_BAD_FRAME'));
      expect(tags).to.deep.equal(Array.from({ length: BAD_FRAMES }, (_, i) => i));
      expect(fds.after).to.equal(fds.before);
    });

    it('are warnings while nobody listens', async () => {
      expect(await resultOf(GARBAGE, ['warning'], { node: ['--no-warnings'] })).to.deep.equal({
        length: 0,
        name: 'PreforkError',
        code: 'ERR_BAD_FRAME',
        message: 'a frame was dropped: version 2, this is 1',
      });
    });

    const python = spawnSync('python3', ['-c', 'import os; os.memfd_create']).status === 0;
    for (const [kind, count] of [
      ['unsealed', '1'],
      ['unsealable', '1'],
      ['unsealable', '2'],
      ['unsealable', '5'],
      ['unsealable', '200'],
    ] as const) {
      it(`of another program leave no fd (${kind} memfds: ${count})`, async function () {
        if (!python) this.skip();
        expect(await resultOf(GARBAGE, ['fromPython', kind, count])).to.deep.equal({
          code: 'ERR_BAD_FRAME',
          next: 'good',
          sameFds: true,
        });
      });
    }
  });

  describe('without fds', () => {
    const few = { wrapper: ['prlimit', '--nofile=64'] };

    it('send tells EMFILE for a large message and sends nothing of it', async () => {
      expect(await resultOf(NO_FDS, ['atTheSender'], few)).to.deep.equal({
        large: 'EMFILE',
        small: true,
        again: true,
        sameFds: true,
        tags: [2, 3],
      });
    });

    it('receive tells EMFILE and leaves the messages in the pipe', async () => {
      expect(await resultOf(NO_FDS, ['atTheReader'], few)).to.deep.equal({
        codes: ['EMFILE', 'EMFILE'],
        tags: [1, 2],
      });
    });

    it('receiveBatch takes one message after the other where the fds are few', async () => {
      expect(await resultOf(NO_FDS, ['almostNoneAtTheReader'], few)).to.deep.equal([0, 1, 2, 3, 4]);
    });

    it("treats the user's limit of fds in flight as a full pipe (ETOOMANYREFS)", async () => {
      const options = { ...few, ...asNobody };
      const { count, ...rest } = (await resultOf(NO_FDS, ['inFlight'], options)) as {
        count: number;
      };
      expect(count).to.be.within(1, 66);
      expect(rest).to.deep.equal({ late: false, waiting: 3, order: true });
    });
  });

  describe('SIGKILL', () => {
    it('of 50 writers amid large messages leaves whole messages and no memfd', async () => {
      expect(await resultOf(KILLS, ['writers'])).to.deep.equal({
        enough: true,
        broken: [],
        memfds: [],
        sameFds: true,
      });
    });

    it('of 50 readers amid large messages leaves the others whole, each taken once', async () => {
      expect(await resultOf(KILLS, ['readers'])).to.deep.equal({
        broken: 0,
        twice: 0,
        lostAtMostOneEach: true,
        contiguous: true,
        sameFds: true,
      });
    });
  });
});
