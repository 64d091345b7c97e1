/** Holds the pid of the master while the server runs. */
import { readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';

export class PidFile {
  readonly #path: string;

  /** @throws EACCES, ENOENT and others of open(2), with the path */
  constructor(path: string) {
    this.#path = resolve(path);
    writeFileSync(this.#path, `${process.pid}\n`);
  }

  /** Unless another server has taken it meanwhile. */
  remove(): void {
    try {
      if (Number(readFileSync(this.#path, 'utf8')) === process.pid) unlinkSync(this.#path);
    } catch {
      // Somebody was faster.
    }
  }
}
