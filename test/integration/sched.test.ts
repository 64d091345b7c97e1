import { expect } from 'chai';
import { asNobody, resultOf } from '../fixtures/process/result';
import { assertNothingLeaks } from '../support/leaks';

const SCHED = 'sched/sched.js';

describe('priority', () => {
  assertNothingLeaks();

  it('a child sets its own for all threads, and parent and child read it back (priority)', async () => {
    const { text, seen, own } = (await resultOf(SCHED, ['inTheChild'])) as {
      text: string;
      seen: number;
      own: number;
    };
    expect(text).to.equal(`${String(own)} 12 true`);
    expect(seen).to.equal(12);
  });

  it("a parent sets its child's", async () => {
    expect(await resultOf(SCHED, ['fromTheParent'])).to.equal('7');
  });

  it('is ERR_NOT_STARTED before, ESRCH after the child, and -20 to 19 (priority_error)', async () => {
    expect(await resultOf(SCHED, ['errors'])).to.deep.equal({
      before: ['ERR_NOT_STARTED', 'ERR_NOT_STARTED'],
      range: ['ERR_OUT_OF_RANGE', 'ERR_OUT_OF_RANGE', 'ERR_OUT_OF_RANGE', 'ERR_INVALID_ARG_TYPE'],
      after: ['ESRCH', 'ESRCH'],
    });
  });

  it('cannot be raised without privilege', async () => {
    expect(await resultOf(SCHED, ['withoutPrivilege'], asNobody)).to.be.oneOf(['EACCES', 'EPERM']);
  });
});

describe('affinity', () => {
  assertNothingLeaks();

  it('is set for all threads of the process and read back (getaffinity, setaffinity)', async () => {
    expect(await resultOf(SCHED, ['affinity'])).to.deep.equal({
      set: true,
      threads: true,
      back: true,
    });
  });

  it('a child sets its own and leaves its parent alone', async () => {
    expect(await resultOf(SCHED, ['affinityOfTheChild'])).to.deep.equal({ right: true, own: true });
  });

  it('refuses an empty or too long list, unknown CPUs and wrong types', async () => {
    expect(await resultOf(SCHED, ['affinityErrors'])).to.deep.equal([
      'ERR_OUT_OF_RANGE',
      'ERR_OUT_OF_RANGE',
      'ERR_OUT_OF_RANGE',
      'ERR_OUT_OF_RANGE',
      'ERR_OUT_OF_RANGE',
      'ERR_INVALID_ARG_TYPE',
      'ERR_INVALID_ARG_TYPE',
      'ERR_INVALID_ARG_TYPE',
    ]);
  });
});
