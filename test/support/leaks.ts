/**
 * `assertNothingLeaks()` at the top of an integration file: after its last test no process, fd, message
 * queue or file of its fixtures is left.
 */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { RUN_MARK, runId } from './fixture';

export function assertNothingLeaks(): void {
  let fdsBefore: string[];
  let queuesBefore: string[];

  before(() => {
    fdsBefore = openFds();
    queuesBefore = messageQueues();
  });

  after(async () => {
    await eventually(() => {
      expect(leftProcesses(), 'processes left').to.deep.equal([]);
    });
    await eventually(() => {
      expect(openFds().length, 'fds left').to.be.at.most(fdsBefore.length);
    });
    // All of this system are listed, so that those of a program that runs beside the tests may come and go.
    await eventually(() => {
      expect(messageQueues(), 'message queues left').to.deep.equal(queuesBefore);
    });
  });
}

/** Repeats `check` until it passes, for 5 s at most: for what ends by itself a moment later. */
export async function eventually(check: () => void): Promise<void> {
  const end = Date.now() + 5000;
  for (;;) {
    try {
      check();
      return;
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Processes of this test run, but the runner: they carry its mark in their environment. */
export function leftProcesses(): string[] {
  const found: string[] = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    if (Number(pid) === process.pid) continue;
    try {
      if (!readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`${RUN_MARK}=${runId}`))
        continue;
      found.push(`${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')}`);
    } catch {
      // Ended meanwhile, or not ours to see.
    }
  }
  return found;
}

function openFds(): string[] {
  const found: string[] = [];
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      // Node keeps one open from the first spawn on.
      if (target !== '/dev/null') found.push(target);
    } catch {
      // The one that listed the folder.
    }
  }
  return found;
}

/** The kernel lists queues in a file system only; where none is mounted, root mounts one for a moment. */
export function messageQueues(): string[] {
  if (existsSync('/dev/mqueue')) return readdirSync('/dev/mqueue').sort();
  if (process.getuid?.() !== 0) return [];
  const folder = mkdtempSync(join(tmpdir(), 'prefork-mq-'));
  try {
    execFileSync('mount', ['-t', 'mqueue', 'none', folder]);
  } catch {
    rmdirSync(folder);
    return [];
  }
  const names = readdirSync(folder).sort();
  execFileSync('umount', [folder]);
  rmdirSync(folder);
  return names;
}
