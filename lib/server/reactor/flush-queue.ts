/** Connections that have something to send, until the end of the turn: then each sends once. */
import type { Connection } from './connection';

export class FlushQueue {
  readonly #flushOne: (connection: Connection) => void;
  #dirty: Connection[] = [];
  #corks = 0;

  constructor(flushOne: (connection: Connection) => void) {
    this.#flushOne = flushOne;
  }

  /** Sends at the end of the turn; at once outside one. */
  add(connection: Connection): void {
    if (connection.dirty) return;
    connection.dirty = true;
    this.#dirty.push(connection);
    if (this.#corks === 0) this.flush();
  }

  /** A turn begins. Turns may be nested. */
  cork(): void {
    this.#corks++;
  }

  uncork(): void {
    if (--this.#corks === 0) this.flush();
  }

  /** Those that are added meanwhile, too. */
  flush(): void {
    while (this.#dirty.length > 0) {
      const dirty = this.#dirty;
      this.#dirty = [];
      for (const connection of dirty) {
        connection.dirty = false;
        this.#flushOne(connection);
      }
    }
  }
}
