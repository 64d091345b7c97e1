import { expect } from 'chai';
import { resultOf } from '../fixtures/process/result';
import { runFixture } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

const EXEC = 'exec/exec.js';

describe('exec', () => {
  assertNothingLeaks();

  it('cat answers on the pipe and ends when the parent has ended writing', async () => {
    expect(await resultOf(EXEC, ['cat'])).to.deep.equal({ text: 'through cat', end: 0, code: 0 });
  });

  it('seq 1 100000: every line arrives', async () => {
    expect(await resultOf(EXEC, ['seq'])).to.deep.equal({ count: 100000, right: true, code: 0 });
  });

  it('a script of Node answers a line (process_exec)', async () => {
    expect(await resultOf(EXEC, ['script'])).to.deep.equal({ text: 'Swoole: hello\n', code: 0 });
  });

  it('the child execs, and then its parent does (exec)', async () => {
    const { code, stdout, stderr } = await runFixture(EXEC, { args: ['thenTheParent'] });
    expect({ code, stdout, stderr }).to.deep.equal({
      code: 0,
      stdout: 'HELLO\n WORLD',
      stderr: '',
    });
  });

  it("prints to the parent's stdout when the child is not redirected", async () => {
    const { code, stdout } = await runFixture(EXEC, { args: ['withoutRedirect'] });
    expect({ code, stdout }).to.deep.equal({ code: 0, stdout: 'straight out\n' });
  });

  it('passes words as they are', async () => {
    expect(await resultOf(EXEC, ['words'])).to.equal('[][two words][ümlaut][$HOME][-n]');
  });

  it('keeps environment, pid and exit code', async () => {
    expect(await resultOf(EXEC, ['environment'])).to.equal(true);
    expect(await resultOf(EXEC, ['pid'])).to.equal(true);
    expect(await resultOf(EXEC, ['exitCode'])).to.equal(12);
  });

  it('gives the program the default action of SIGPIPE and no blocked signal', async () => {
    expect(await resultOf(EXEC, ['sigpipe'])).to.deep.equal({ text: 'y\n', signal: 13 });
    expect(await resultOf(EXEC, ['signalsUnblocked'])).to.deep.equal({
      blocked: 0,
      ignoresPipe: false,
    });
  });

  it("leaves the program no fd but stdio, none of its siblings' pipes", async () => {
    expect(await resultOf(EXEC, ['fds'])).to.deep.equal({ same: true, stdio: true });
  });

  it('throws ENOENT with errno and syscall, and the program goes on', async () => {
    const { error, exit } = (await resultOf(EXEC, ['enoent'])) as {
      error: { message: string };
      exit: number;
    };
    expect(exit).to.equal(4);
    expect(error).to.include({ code: 'ENOENT', errno: -2, syscall: 'execv' });
    expect(error).to.include({ path: '/no/such/program' });
    expect(error.message).to.match(/^ENOENT.*'\/no\/such\/program'$/);
  });

  it('throws ENOEXEC, of which libuv does not know, for a file of no format', async () => {
    const { error } = (await resultOf(EXEC, ['enoexec'])) as { error: { message: string } };
    expect(error).to.include({ code: 'ENOEXEC', errno: -8, syscall: 'execv' });
    expect(error.message).to.match(/^ENOEXEC.*no-program/);
  });

  it('throws EACCES for a file that is no program', async () => {
    expect(await resultOf(EXEC, ['eacces'])).to.have.nested.property('error.code', 'EACCES');
  });

  it('throws for empty and wrong words before anything is replaced', async () => {
    expect(await resultOf(EXEC, ['unusable'])).to.deep.equal([
      'ERR_OUT_OF_RANGE',
      'ERR_INVALID_ARG_TYPE',
      'ERR_INVALID_ARG_TYPE',
      'ERR_INVALID_ARG_TYPE',
      'ERR_OUT_OF_RANGE',
    ]);
  });

  it('a parent whose exec failed goes on and can start children', async () => {
    expect(await resultOf(EXEC, ['parentGoesOnAfterAFailure'])).to.deep.equal({
      code: 'ENOENT',
      text: 'alive',
    });
  });
});

describe('exit and name', () => {
  assertNothingLeaks();

  it('exit(9) is the code that wait tells (exit)', async () => {
    expect(await resultOf(EXEC, ['exitNine'])).to.deep.equal({ code: 9, signal: 0 });
  });

  it('exit runs the exit listeners of the child and leaves its timers', async () => {
    expect(await resultOf(EXEC, ['exitRunsListeners'])).to.deep.equal({
      text: 'exit 255',
      code: 255,
    });
  });

  it('exit takes 0 to 255', async () => {
    expect(await resultOf(EXEC, ['exitCodes'])).to.deep.equal([0, 1, 127, 255]);
  });

  it('exit outside the child is ERR_NOT_IN_CHILD, a bad code an error before that', async () => {
    expect(await resultOf(EXEC, ['exitOutside'])).to.deep.equal([
      'ERR_NOT_IN_CHILD',
      'ERR_NOT_IN_CHILD',
      'ERR_OUT_OF_RANGE',
      'ERR_OUT_OF_RANGE',
      'ERR_OUT_OF_RANGE',
      'ERR_INVALID_ARG_TYPE',
    ]);
  });

  it('exit of an object is refused in the child of its child', async () => {
    expect(await resultOf(EXEC, ['exitInAGrandchild'])).to.equal(7);
  });

  it('name shows in /proc/<pid>/cmdline of the child only (name)', async () => {
    expect(await resultOf(EXEC, ['title'])).to.deep.equal({
      inChild: 'prefork: a worker',
      seen: 'prefork: a worker',
      own: false,
    });
  });
});
