/**
 * One fd that a process keeps, so that it can receive a memfd or read a file when all others are taken, as a
 * rule by clients. It is freed for the moment in which that has its place. Forks inherit it.
 */
import { closeSync, openSync } from 'node:fs';
import { binding } from '../binding';
import { isSystemError } from '../errors';

const NONE = -1;

/** What looks first for a free fd: nothing has been taken when these fail. */
const LOOKS_FIRST: readonly string[] = ['fcntl', 'open'];

/** The spare is a copy of it: after a chroot(2) it could not be opened again. */
let original = NONE;
let spare = NONE;

/** From now on in this process and its forks. Not having one is no error. */
export function keepSpareFd(): void {
  try {
    if (original === NONE) original = openSync('/dev/null', 'r');
    if (spare === NONE) spare = binding.dup(original);
  } catch {
    // Tried again when it is needed.
  }
}

export function releaseSpareFd(): void {
  if (spare !== NONE) binding.closeFd(spare);
  if (original !== NONE) closeSync(original);
  original = spare = NONE;
}

/**
 * Calls `read`, and once more with the spare fd freed when it fails for want of fds.
 *
 * @param read - closes what it opens. `isTight`: there is one fd, no more
 */
export function withFdToSpare<T>(read: (isTight: boolean) => T): T {
  if (original !== NONE) keepSpareFd();
  try {
    return read(false);
  } catch (error) {
    if (spare === NONE || !isSystemError(error) || error.code !== 'EMFILE') throw error;
    if (!LOOKS_FIRST.includes(error.syscall)) throw error;
  }
  binding.closeFd(spare);
  spare = NONE;
  try {
    return read(true);
  } finally {
    keepSpareFd();
  }
}
