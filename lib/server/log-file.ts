/** The log of a server. Of a daemon also stdout and stderr. Opened again for log rotation: after a rename, say. */
import { closeSync, fstatSync, openSync, statSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { binding } from '../binding';

/** Only its owner may read it. */
const MODE = 0o600;
const STANDARD_OUTPUTS = [1, 2];
const CLOSED = -1;

export class LogFile {
  readonly #path: string;
  #fd: number;
  #attached = false;

  /** @throws EACCES, ENOENT and others of open(2), with the path */
  constructor(path: string) {
    this.#path = resolve(path);
    this.#fd = openSync(this.#path, 'a', MODE);
  }

  /** Makes it stdout and stderr of this process, and of those that it starts. */
  attach(): void {
    this.#attached = true;
    for (const output of STANDARD_OUTPUTS) binding.dup2(this.#fd, output);
  }

  /** One call: lines of several processes stay whole. */
  write(line: string): void {
    try {
      writeSync(this.#fd, `${line}\n`);
    } catch {
      // The disk is full, say: there is no other place to tell.
    }
  }

  /** Goes on with a new file of the old name. What cannot be opened leaves the old one. */
  reopen(): void {
    try {
      const fd = openSync(this.#path, 'a', MODE);
      closeSync(this.#fd);
      this.#fd = fd;
      if (this.#attached) this.attach();
    } catch (error) {
      warnOfLog(error as Error);
    }
  }

  /** Whether a file of this name is there, and is another one. */
  get isRotated(): boolean {
    return isRotated(this.#path, this.#fd);
  }

  close(): void {
    if (this.#fd !== CLOSED) closeSync(this.#fd);
    this.#fd = CLOSED;
  }
}

export function isRotated(path: string, fd: number): boolean {
  const now = statSync(path, { throwIfNoEntry: false });
  return now !== undefined && now.ino !== fstatSync(fd).ino;
}

export function warnOfLog(error: Error): void {
  process.emitWarning(`a log was not opened again: ${error.message}`, {
    type: 'PreforkWarning',
    code: 'PREFORK_LOG_REOPEN',
  });
}
