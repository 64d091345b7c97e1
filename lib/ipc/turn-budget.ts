/**
 * Who finds something to read each time it asks never lets go of the event loop: after so many reads in a
 * row the others have a turn.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';

const READS_PER_TURN = 64;

export class TurnBudget {
  #spent = 0;

  /** After each read that did not have to wait. */
  async spend(): Promise<void> {
    if (++this.#spent < READS_PER_TURN) return;
    this.#spent = 0;
    await nextTurn();
  }

  /** After a wait: the loop has turned. */
  renew(): void {
    this.#spent = 0;
  }
}
