import { cpus } from 'node:os';
import { expect } from 'chai';
import { resultOf } from '../fixtures/process/result';
import { runFixture } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

const PRIVILEGES = 'pool/privileges.js';
const STATS = 'pool/stats.js';
const isRoot = process.getuid?.() === 0;
const NOBODY = 65534;

const four = (id: number): number[] => [id, id, id, id];

/** Why start() has refused these options. Nothing was started. */
async function refusal(options: object, ...more: string[]): Promise<string> {
  const { message, ...rest } = (await resultOf(PRIVILEGES, [
    ...['refused', JSON.stringify(options)],
    ...more,
  ])) as { message: string };
  expect(rest).to.deep.equal({ code: 'ERR_PRIVILEGES', pid: -1, children: null });
  return message;
}

describe('pool: user, group and chroot of workers', () => {
  assertNothingLeaks();

  before(function () {
    if (!isRoot) this.skip();
  });

  for (const [what, options, uid, gid] of [
    ["a user, with the user's own group", { user: 'nobody' }, NOBODY, NOBODY],
    ['a user and a group by name', { user: 'nobody', group: 'daemon' }, NOBODY, 1],
    ['numbers of accounts', { user: 1, group: NOBODY }, 1, NOBODY],
    ['a uid without an account', { user: 54321, group: 54322 }, 54321, 54322],
    ['a group alone', { group: 1 }, 0, 1],
  ] as const) {
    it(`${what}: all four uids and gids, no other groups, and messages still arrive`, async () => {
      const { uids, gids, groups, capabilities } = (await resultOf(PRIVILEGES, [
        'identity',
        JSON.stringify(options),
      ])) as { uids: number[]; gids: number[]; groups: number[]; capabilities: string };
      expect({ uids, gids, groups }).to.deep.equal({
        uids: four(uid),
        gids: four(gid),
        groups: [gid],
      });
      if (uid !== 0) expect(Number(`0x${capabilities}`), 'capabilities').to.equal(0);
    });
  }

  it('the master stays root, and replaced workers are the user again', async () => {
    expect(await resultOf(PRIVILEGES, ['masterAndReload'])).to.deep.equal({
      uids: [NOBODY, NOBODY],
      master: 0,
    });
  });

  it('chroot: the worker sees the folder as /, works in it, and is the user', async () => {
    expect(await resultOf(PRIVILEGES, ['chroot'])).to.deep.equal([['inside'], '/', false]);
  });

  it('chroot: messages of every size arrive, of the master and of a sibling', async () => {
    const sizes = [20_000, 300_000, 1, 300_001];
    expect(await resultOf(PRIVILEGES, ['chrootMessages'])).to.deep.equal(sizes);
  });

  for (const [options, text] of [
    [{ user: 'no-such-user' }, 'no user is called no-such-user'],
    [{ user: 'nobody', group: 'no-such-group' }, 'no group is called no-such-group'],
    [{ chroot: '/no/such/folder' }, 'chroot to /no/such/folder failed: ENOENT'],
    [{ user: 54321 }, 'uid 54321 has no account: give a group as well'],
  ] as const) {
    it(`${JSON.stringify(options)}: start() rejects and says why`, async () => {
      expect(await refusal(options)).to.include(text);
    });
  }

  it('a folder that goes later: no worker runs, stderr says why, the pool is degraded', async () => {
    const { code, stdout, stderr } = await runFixture(PRIVILEGES, { args: ['degraded'] });
    expect(code, stderr).to.equal(0);
    // The one that was killed, and two that had no folder.
    expect(JSON.parse(stdout)).to.deep.equal({ started: 1, degraded: [[3]], codes: [0, 1, 1] });
    expect(stderr).to.include('chroot to /').and.include("code: 'ERR_PRIVILEGES'");
  });
});

describe('pool: worker options of everybody', () => {
  assertNothingLeaks();

  it('user without root: start() rejects and says why', async () => {
    const message = await refusal({ user: 'nobody' }, 'without root');
    expect(message).to.include('user, group and chroot need root');
  });

  it('cpuAffinity true: one CPU for each worker, in turn', async () => {
    const { lists, all } = (await resultOf(PRIVILEGES, ['affinity', 'true'])) as {
      lists: string[];
      all: number[];
    };
    expect(lists).to.deep.equal([0, 1, 2].map((id) => String(all[id % all.length])));
  });

  it('cpuAffinity with a list: these CPUs in turn', async function () {
    if (cpus().length < 2) this.skip();
    const { lists } = (await resultOf(PRIVILEGES, ['affinity', '[1,0]'])) as { lists: string[] };
    expect(lists).to.deep.equal(['1', '0', '1']);
  });

  it('title: followed by the id, of new workers too; not of the master', async () => {
    expect(await resultOf(PRIVILEGES, ['title'])).to.deep.equal({
      lines: ['a pool worker 0', 'a pool worker 1'],
      master: false,
    });
  });
});

describe('pool: stats', () => {
  assertNothingLeaks();

  const idle = {
    id: 1,
    stage: 'idle',
    generation: 0,
    restarts: 0,
    requests: 0,
    running: 0,
    queued: 0,
  };

  it('tells stage, requests, running handlers, queue and busy time of each worker, and the sums', async () => {
    expect(await resultOf(STATS, ['counts'])).to.deep.equal({
      masterPid: true,
      busy: [{ ...idle, id: 0, stage: 'busy', running: 1, queued: 2 }, idle],
      total: { workers: 2, idle: 1, requests: 0, restarts: 0, queued: 2, rssBytes: 0, pssBytes: 0 },
      timeRuns: true,
      idle: { ...idle, id: 0, requests: 3 },
      busyTime: true,
      notLonger: true,
    });
  });

  it('is the same in a worker, without a message', async () => {
    expect(await resultOf(STATS, ['inWorker'])).to.deep.equal({
      right: [true, true],
      generations: [0, 1],
      pid: true,
      restarts: [1, 2],
      stages: ['busy', 'busy'],
    });
  });

  it('names the stages of a life: starting, idle, busy, draining; a new worker begins at 0', async () => {
    expect(await resultOf(STATS, ['stages'])).to.deep.equal([
      'starting',
      'idle',
      'busy',
      'draining',
      'idle',
      1,
      0,
    ]);
  });

  it('tells memory with and without what is shared', async () => {
    expect(await resultOf(STATS, ['memory'])).to.deep.equal({
      rss: true,
      shared: true,
      sums: true,
    });
  });

  it('queued is never negative, and 0 when the workers of many kills have nothing left', async () => {
    expect(await resultOf(STATS, ['queuedAfterKills'])).to.deep.equal({ least: 0, most: true });
  });

  it('queued: where workers share a queue only the pool has some', async () => {
    expect(await resultOf(STATS, ['sharedQueue'])).to.deep.equal([0, 0, 0]);
  });

  it('stays right when a worker is killed in the middle of a message (425, 602, 657)', async () => {
    expect(await resultOf(STATS, ['afterKill'])).to.deep.equal({
      before: { queued: 5, running: 1 },
      after: { ...idle, id: 0, restarts: 1, requests: 5 },
    });
  });
});
