/**
 * How many memfds are on their way in a packet socket, told to all its processes. A reader then knows when it
 * need not make sure of a free fd.
 */
import { SharedMemory } from './shared-memory';

export class MemfdCount {
  readonly #count = new Int32Array(new SharedMemory(Int32Array.BYTES_PER_ELEMENT).buffer);

  /** True also for a while, or for ever, when a process was killed that had counted one up. */
  get some(): boolean {
    return Atomics.load(this.#count, 0) !== 0;
  }

  /** Up before a memfd is sent, down after it was received. */
  add(by: 1 | -1): void {
    Atomics.add(this.#count, 0, by);
  }
}
