/**
 * A process that inherits orphans, as PID 1 of a container does: their zombies are reaped here.
 * Children of this library and of child_process are left to those who started them.
 *
 * See pid_namespaces(7), PR_SET_CHILD_SUBREAPER in prctl(2).
 */
import { readFileSync } from 'node:fs';
import { binding } from '../binding';
import { PreforkError } from '../errors';
import { onChildReset } from './child-reset';
import { children } from './children';

let reaping = false;

onChildReset(() => {
  reaping = false;
});

/**
 * @throws PreforkError ERR_UNSUPPORTED_PLATFORM when no orphan ever comes to this process: it is
 * neither PID 1 nor a child subreaper
 */
export function reapOrphans(on: boolean): void {
  if (on === reaping) return;
  if (on && process.pid !== 1 && !binding.isSubreaper()) {
    throw new PreforkError(
      'ERR_UNSUPPORTED_PLATFORM',
      `orphans come to PID 1 or to a child subreaper; this is process ${String(process.pid)}`,
    );
  }
  reaping = on;
  if (on) {
    process.on('SIGCHLD', reapZombies);
    reapZombies();
  } else {
    process.off('SIGCHLD', reapZombies);
  }
}

function reapZombies(): void {
  const libuv = new Set(binding.libuvChildren());
  for (const pid of childPids()) {
    if (!children.has(pid) && !libuv.has(pid) && isZombie(pid)) binding.reap(pid);
  }
}

/** Orphans are given to the main thread. */
function childPids(): number[] {
  const path = `/proc/self/task/${String(process.pid)}/children`;
  return readFileSync(path, 'utf8').split(' ').filter(Boolean).map(Number);
}

/** The state stands after the name, which may itself hold spaces and brackets. */
function isZombie(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
    return stat.charAt(stat.lastIndexOf(')') + 2) === 'Z';
  } catch {
    return false;
  }
}
