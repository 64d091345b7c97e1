/**
 * Turns this process into a daemon.  See daemon(3), setsid(2); Swoole\Process::daemon.
 */
import { closeSync, openSync } from 'node:fs';
import { binding } from '../binding';
import { checkInteger, checkObject, invalidType } from '../validate';
import { forkDaemon } from './fork';

/** What {@link Process.daemon} changes besides.  daemon(3). */
export interface DaemonOptions {
  /** Change to the root directory, so that no file system is kept busy. Default false. */
  chdir?: boolean;
  /** Point stdin, stdout and stderr at /dev/null. Default false. */
  close?: boolean;
  /** File descriptors to take as stdin, stdout and stderr; null leaves one as it is. */
  stdio?: readonly (number | null)[];
}

const STANDARD_FDS = 3;

export function daemonize(options: DaemonOptions): void {
  checkObject('options', options);
  const { chdir = false, close = false, stdio = [] } = options;
  checkStdio(stdio);
  forkDaemon();
  if (chdir) process.chdir('/');
  if (close) closeStandardFds();
  stdio.forEach((fd, target) => {
    if (fd !== null) binding.dup2(fd, target);
  });
}

function checkStdio(stdio: readonly (number | null)[]): void {
  if (!Array.isArray(stdio)) throw invalidType('stdio', 'an array', stdio);
  checkInteger('stdio.length', stdio.length, 0, STANDARD_FDS);
  for (const fd of stdio) if (fd !== null) checkInteger('stdio', fd, 0, 0x7fffffff);
}

function closeStandardFds(): void {
  const nothing = openSync('/dev/null', 'r+');
  for (let fd = 0; fd < STANDARD_FDS; fd++) binding.dup2(nothing, fd);
  closeSync(nothing);
}
