import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { resultOf } from '../fixtures/process/result';
import { runFixture } from '../support/fixture';
import { assertNothingLeaks, eventually } from '../support/leaks';

const DAEMON = 'daemon/daemon.js';

// A fixture counts as ended when its stdout is closed, which the daemon holds open: so the daemon has
// ended as well.
describe('daemon', () => {
  assertNothingLeaks();

  let folder: string;
  before(() => (folder = mkdtempSync(join(tmpdir(), 'prefork-daemon-'))));
  after(() => rmSync(folder, { recursive: true }));

  it('goes on under another pid in a session of its own, and the first process ends', async () => {
    expect(await resultOf(DAEMON, ['pid'])).to.deep.equal({
      differs: true,
      session: true,
      kernel: true,
    });
  });

  it("a child's daemon has not the pid that start() told (deamon)", async () => {
    expect(await resultOf(DAEMON, ['ofAChild'])).to.deep.equal({
      child: true,
      differs: true,
      code: 0,
    });
  });

  it('survives the child that made it and the parent of that', async () => {
    const { signal, stdout, stderr } = await runFixture(DAEMON, { args: ['survives'] });
    expect({ signal, stdout, stderr }).to.deep.equal({
      signal: 'SIGKILL',
      stdout: '"survived"\n',
      stderr: '',
    });
  });

  it('keeps timers, immediates and ticks', async () => {
    expect(await resultOf(DAEMON, ['timers'])).to.deep.equal([
      'immediate',
      'interval',
      'tick',
      'timeout',
    ]);
  });

  it('keeps a listening server', async () => {
    expect(await resultOf(DAEMON, ['server'])).to.deep.equal({ text: true, differs: true });
  });

  it('reads files by the thread pool, used before', async () => {
    expect(await resultOf(DAEMON, ['files'])).to.equal('before');
  });

  it('starts children, by this library and by child_process', async () => {
    expect(await resultOf(DAEMON, ['children'])).to.deep.equal({
      right: true,
      code: 0,
      exit: 3,
      sync: 'x\n',
    });
  });

  it('keeps signal callbacks and listeners', async () => {
    expect(await resultOf(DAEMON, ['signals'])).to.deep.equal(['signal', 'on']);
  });

  it('stays in its folder, or goes to the root with chdir', async () => {
    expect(await resultOf(DAEMON, ['chdir'])).to.deep.equal({
      stays: true,
      cwd: '/',
      kernel: '/',
    });
  });

  it('points stdio at /dev/null with close', async () => {
    const file = join(folder, 'close');
    const { code, stdout } = await runFixture(DAEMON, { args: ['close', file] });
    expect({ code, stdout }).to.deep.equal({ code: 0, stdout: '' });
    await eventually(() => {
      expect(JSON.parse(readFileSync(file, 'utf8'))).to.deep.equal({
        stdio: ['/dev/null', '/dev/null', '/dev/null'],
        differs: true,
      });
    });
  });

  it('takes fds as stdio, null leaves one: lines arrive in order (daemon)', async () => {
    expect(await resultOf(DAEMON, ['stdio'])).to.equal(
      'line 0\nline 1\nline 2\nline 3\nline 4\nEND\n',
    );
  });

  it('prints by console to a file taken as stdio', async () => {
    const file = join(folder, 'console');
    const { code } = await runFixture(DAEMON, { args: ['console', file] });
    expect(code).to.equal(0);
    await eventually(() => {
      expect(readFileSync(file, 'utf8')).to.equal('out\nerr\n');
    });
  });

  it('ends by itself, with its listeners of beforeExit and exit', async () => {
    expect(await resultOf(DAEMON, ['end'])).to.deep.equal({
      seen: ['beforeExit', 'exit 3'],
      daemon: true,
    });
  });

  it('is ERR_UNSAFE_FORK while requests are in flight, and works after them', async () => {
    const { message, same, later } = (await resultOf(DAEMON, ['inFlight'])) as {
      message: string;
      same: boolean;
      later: boolean;
    };
    expect(message).to.match(/^ERR_UNSAFE_FORK .*\d+ requests/);
    expect({ same, later }).to.deep.equal({ same: true, later: true });
  });

  it('refuses wrong stdio and stays the same process', async () => {
    expect(await resultOf(DAEMON, ['errors'])).to.deep.equal({
      codes: [
        'ERR_INVALID_ARG_TYPE',
        'ERR_OUT_OF_RANGE',
        'ERR_OUT_OF_RANGE',
        'ERR_INVALID_ARG_TYPE',
      ],
      same: true,
    });
  });

  it('may be called again and again', async () => {
    expect(await resultOf(DAEMON, ['twice'])).to.equal(4);
  });

  it('has no children of before: they ended with the process that started them', async () => {
    expect(await resultOf(DAEMON, ['childrenOfBefore'])).to.deep.equal([null, null]);
  });
});
