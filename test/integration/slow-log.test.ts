import { expect } from 'chai';
import { resultOf } from '../fixtures/process/result';
import { assertNothingLeaks } from '../support/leaks';

const SLOW = 'slow-log/slow.js';
const LIVES = 'slow-log/lives.js';

const WELL = { code: 0, signal: 0, pids: true };

interface Endless {
  place: string;
}

describe('slow log', () => {
  assertNothingLeaks();

  describe('writes the stack of a request that takes too long', () => {
    it('in for(;;); that never ends, with all that called it', async () => {
      const { place, ...entry } = (await resultOf(SLOW, ['endless'])) as Endless;
      expect(entry).to.deep.equal({
        age: true,
        worker: 3,
        pid: true,
        request: 'receive 17',
        ms: true,
        note: '',
        stack: ['innermost', 'middle', 'outermost'],
        more: 0,
      });
      expect(place).to.match(/^at innermost \(\/.*slow-log\/slow\.js:\d+:\d+\)$/);
    });

    it('in a regular expression that backtracks', async () => {
      expect(await resultOf(SLOW, ['regex'])).to.deep.equal(['backtracking']);
    });

    it('in a loop of JSON', async () => {
      expect(await resultOf(SLOW, ['json'])).to.deep.equal([true]);
    });

    it('once per request, and again for the next', async () => {
      expect(await resultOf(SLOW, ['once'])).to.deep.equal({
        ...WELL,
        requests: ['receive 1', 'task 2', 'receive 3'],
      });
    });

    it('after a blocking call, when JavaScript runs on', async () => {
      expect(await resultOf(SLOW, ['native'])).to.deep.equal({
        ...WELL,
        requests: ['receive 7'],
        late: true,
        stacks: true,
      });
    });

    it('of 64 frames at most', async () => {
      expect(await resultOf(SLOW, ['deep'])).to.deep.equal([[65, '...']]);
    });
  });

  it('writes one entry for a request that ends with a blocking call, and none for the next request', async () => {
    expect(await resultOf(SLOW, ['nativeToTheEnd'])).to.deep.equal({
      ...WELL,
      requests: Array.from({ length: 10 }, (_, id) => `receive ${String(id)}`),
    });
  });

  it('writes a line without a stack for one that ended before its stack could be taken', async () => {
    expect(await resultOf(SLOW, ['late'])).to.deep.equal([
      {
        request: 'task 9',
        note: ', no stack: it was not in JavaScript when it was due',
        stack: [],
      },
    ]);
  });

  it('counts the outermost of nested requests', async () => {
    expect(await resultOf(SLOW, ['nested'])).to.deep.equal({ ...WELL, requests: ['receive 1'] });
  });

  it('writes nothing for many fast requests, nor for the time between two', async () => {
    expect(await resultOf(SLOW, ['fast'])).to.deep.equal({ ...WELL, entries: [] });
    expect(await resultOf(SLOW, ['between'])).to.deep.equal({ ...WELL, entries: [] });
  });

  it('keeps an entry whole, whatever the functions are called', async () => {
    expect(await resultOf(SLOW, ['names'])).to.deep.equal(['receive 1']);
  });

  it('goes on in a new file after a rotation, and is silent once closed', async () => {
    expect(await resultOf(SLOW, ['reopen'])).to.deep.equal([['receive 1'], ['receive 2']]);
  });

  describe('its watchdog', () => {
    it('is a thread that takes no signal, and ends with close()', async () => {
      const result = await resultOf(LIVES, ['thread']);
      expect(result).to.deep.equal([0, [], 0, 1]);
    });

    it('sleeps while there are no requests, and wakes with the next one', async () => {
      expect(await resultOf(LIVES, ['idle'])).to.equal(true);
    });

    it('is one per process', async () => {
      expect(await resultOf(LIVES, ['second'])).to.deep.equal(['ERR_ALREADY_STARTED', 0]);
    });

    it('does not hinder a fork; the child has none until it starts its own', async () => {
      expect(await resultOf(LIVES, ['fork'])).to.deep.equal({
        code: 0,
        signal: 0,
        requests: ['worker 0 receive 1', 'worker 1 receive 3'],
      });
    });

    it('leaves no child of 100 hanging that is forked while it interrupts', async () => {
      expect(await resultOf(LIVES, ['forks'])).to.deep.equal(['{"code":0,"signal":0}']);
    });

    it('lets a forked process end at any moment', async () => {
      expect(await resultOf(LIVES, ['endings'])).to.deep.equal(['{"code":0,"signal":0}']);
    });

    for (const how of ['exit', 'return', 'busy']) {
      for (const ms of ['0', '1', '2', '5']) {
        it(`lets a process that was never forked end (${how}, after ${ms} ms)`, async () => {
          expect(await resultOf(LIVES, ['ordinaryExit', how, ms])).to.equal(true);
        });
      }
    }
  });
});
