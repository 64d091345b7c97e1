/** Where stdout and stderr of a daemon go. Opened again for log rotation: after a rename, say. */
import { closeSync, openSync } from 'node:fs';
import { resolve } from 'node:path';
import { binding } from '../binding';

/** Only its owner may read it. */
const MODE = 0o600;
const STANDARD_OUTPUTS = [1, 2];

export class LogFile {
  readonly #path: string;

  /** @throws EACCES, ENOENT and others of open(2), with the path */
  constructor(path: string) {
    this.#path = resolve(path);
    closeSync(openSync(this.#path, 'a', MODE));
  }

  /** Makes it stdout and stderr of this process, and of those that it starts. */
  attach(): void {
    const fd = openSync(this.#path, 'a', MODE);
    for (const output of STANDARD_OUTPUTS) binding.dup2(fd, output);
    closeSync(fd);
  }

  /** Goes on with a new file of the old name. What cannot be opened leaves the old one. */
  reopen(): void {
    try {
      this.attach();
    } catch (error) {
      warnOfLog(error as Error);
    }
  }
}

export function warnOfLog(error: Error): void {
  process.emitWarning(`a log was not opened again: ${error.message}`, {
    type: 'PreforkWarning',
    code: 'PREFORK_LOG_REOPEN',
  });
}
