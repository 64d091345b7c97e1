import { closeSync, openSync, readFileSync, rmSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { resultOf } from '../fixtures/process/result';
import { runFixture, startFixture, type FixtureOptions } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

const STDIO = 'redirect/stdio.js';
const EVERYTHING = { text: 'out\nerr\nin text\nend\n', code: 0 };

/** Runs a case that answers on fd 3. */
async function answerOf(name: string, options: FixtureOptions): Promise<unknown> {
  const env = { ANSWER_FD: '3' };
  const running = startFixture(STDIO, { ...options, env, args: [name] });
  let answer = '';
  running.process.stdio[3]?.on('data', (data: Buffer) => (answer += data.toString()));
  const { code, signal } = await running.ended;
  expect({ code, signal }).to.deep.equal({ code: 0, signal: null });
  return JSON.parse(answer);
}

describe('redirect: output', () => {
  assertNothingLeaks();

  it('takes console and both streams, in order (redirect)', async () => {
    expect(await resultOf(STDIO, ['consoles'])).to.deep.equal({
      text: 'log 1\nerror 2\ninfo\nwarn\nraw err\n',
      code: 0,
      signal: 0,
    });
  });

  it('takes a console function saved before the fork, and a new Console', async () => {
    expect(await resultOf(STDIO, ['savedConsole'])).to.deep.include({
      text: 'by a saved function\nby the module\nby a new one false\n',
    });
  });

  it('takes what is written to fds 1 and 2', async () => {
    expect(await resultOf(STDIO, ['lowLevels'])).to.deep.include({ text: 'fd 1 fd 2 console\n' });
  });

  it('takes 10 MB of one write, byte for byte', async () => {
    expect(await resultOf(STDIO, ['much'])).to.deep.equal({
      bytes: 10 * 1024 * 1024,
      same: true,
      code: 0,
    });
  });

  it('loses nothing of 10 MB when the child calls process.exit at once', async () => {
    expect(await resultOf(STDIO, ['muchThenExit'])).to.deep.equal({
      bytes: 10 * 1024 * 1024 + 4,
      end: 'end\n',
      code: 3,
    });
  });

  it('calls the callbacks of writes and lets stdout end', async () => {
    expect(await resultOf(STDIO, ['writeCallbacks'])).to.deep.equal({
      text: 'one two three',
      code: 0,
    });
  });

  it('shows an uncaught exception completely, after 10 MB written before (exception)', async () => {
    expect(await resultOf(STDIO, ['exception'])).to.deep.equal({
      inOrder: true,
      text: true,
      place: true,
      version: true,
      code: 1,
    });
  });

  it('shows an unhandled rejection', async () => {
    expect(await resultOf(STDIO, ['rejection'])).to.deep.equal({
      first: true,
      reported: true,
      code: 1,
    });
  });

  it("an exception of a child that is not redirected goes to the parent's stderr (exception)", async () => {
    const { code, stdout, stderr } = await runFixture(STDIO, {
      args: ['exceptionWithoutRedirect'],
    });
    expect(code).to.equal(0);
    expect(JSON.parse(stdout)).to.deep.equal({ code: 1, signal: 0 });
    expect(stderr).to.match(/TypeError: a bad thing\n\s+at .*stdio\.js/);
  });

  it('keeps several children apart', async () => {
    expect(await resultOf(STDIO, ['siblings'])).to.deep.equal(['a\n', 'b\n', 'c\n']);
  });

  it('takes what write() of the child sends as well, in order', async () => {
    expect(await resultOf(STDIO, ['writeInTheChild'])).to.deep.include({
      text: 'console\nwrite\n',
    });
  });

  it('works in a redirected child of a redirected child', async () => {
    expect(await resultOf(STDIO, ['grandchild'])).to.deep.equal({
      text: 'child has from the grandchild\n',
      code: 0,
      signal: 0,
    });
  });

  it('is what a program started with stdio inherit prints to', async () => {
    expect(await resultOf(STDIO, ['spawned'])).to.deep.include({ text: 'from echo\n' });
  });

  it("leaves the parent's streams alone", async () => {
    expect(await resultOf(STDIO, ['parentUntouched'])).to.deep.equal({ same: true });
  });
});

describe('redirect: input', () => {
  assertNothingLeaks();

  it('process.stdin gives data and the end', async () => {
    expect(await resultOf(STDIO, ['stdinData'])).to.deep.equal({
      text: 'end after one two\n',
      code: 0,
    });
  });

  it('process.stdin takes 10 MB', async () => {
    expect(await resultOf(STDIO, ['stdinMuch'])).to.deep.equal({
      written: 10 * 1024 * 1024,
      same: true,
      code: 0,
    });
  });

  for (const how of [
    'pause',
    'pauseInTheListener',
    'readline',
    'question',
    'iteration',
    'readable',
    'unref',
  ]) {
    it(`a child that reads its stdin no more ends by itself: ${how}`, async () => {
      expect(await resultOf(STDIO, ['stdinNotReadAnyMore', how])).to.deep.equal({
        text: 'text\n',
        code: 0,
      });
    });
  }

  it('process.stdin and read() take turns, and none loses what came meanwhile', async () => {
    expect(await resultOf(STDIO, ['stdinByTurns'])).to.deep.equal({
      answers: ['one\n', 'two\n', 'three\n', 'four\n', 'five\n'],
      code: 0,
    });
  });

  it('a child that does not read its stdin ends by itself', async () => {
    expect(await resultOf(STDIO, ['stdinUnused'])).to.deep.equal({
      text: 'ends although stdin is open\n',
      code: 0,
      signal: 0,
    });
  });

  it('read() of the child takes what would be its stdin', async () => {
    expect(await resultOf(STDIO, ['readInTheChild'])).to.equal('got text\n');
  });
});

describe("redirect: whatever the parent's own stdio is", () => {
  assertNothingLeaks();

  for (const name of ['kinds', 'usedStreams']) {
    const used = name === 'usedStreams' ? ', used before the fork' : '';

    it(`pipes${used}`, async () => {
      expect(await answerOf(name, { stdio: ['pipe', 'pipe', 'pipe', 'pipe'] })).to.deep.equal(
        EVERYTHING,
      );
    });

    it(`/dev/null${used}`, async () => {
      expect(await answerOf(name, { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] })).to.deep.equal(
        EVERYTHING,
      );
    });

    it(`files${used}`, async () => {
      const folder = mkdtempSync(join(tmpdir(), 'prefork-redirect-'));
      const file = openSync(join(folder, 'output'), 'w+');
      try {
        expect(await answerOf(name, { stdio: [file, file, file, 'pipe'] })).to.deep.equal(
          EVERYTHING,
        );
        expect(readFileSync(join(folder, 'output'), 'utf8').trim()).to.equal('');
      } finally {
        closeSync(file);
        rmSync(folder, { recursive: true });
      }
    });

    it(`closed fds${used}`, async () => {
      const wrapper = ['sh', '-c', 'exec "$@" <&- >&- 2>&-', 'sh'];
      expect(
        await answerOf(name, { wrapper, stdio: ['pipe', 'pipe', 'pipe', 'pipe'] }),
      ).to.deep.equal(EVERYTHING);
    });

    it(`a terminal${used}`, async function () {
      const wrapper = ['sh', '-c', 'exec script -qec "$*" /dev/null', 'sh'];
      const { code, stdout } = await runFixture(STDIO, { wrapper, args: [name] });
      expect(code, stdout).to.equal(0);
      expect(JSON.parse(stdout)).to.deep.equal(EVERYTHING);
    });
  }
});
