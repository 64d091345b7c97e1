/**
 * Pages that a process shares with every child it forks afterwards. `Atomics` on a view of them work
 * across all these processes; plain reads and writes work too and may tear.
 *
 *   parent   |--- buffer ---|      one physical copy, from mmap(MAP_SHARED | MAP_ANONYMOUS)
 *   child    |--- buffer ---|      inherited by fork(2)
 *
 * Each process unmaps its own view when the buffer is collected there; the pages go with the last one.
 */
import { constants } from 'node:buffer';
import { binding } from '../binding';
import { PreforkError } from '../errors';
import { checkInteger } from '../validate';

export class SharedMemory {
  /** All zero at first. Keep this object or a view of it: the pages live as long as one of them. */
  readonly buffer: ArrayBuffer;

  /**
   * Make it before the first fork of a process that shall see it.
   *
   * @param bytes - size; the kernel rounds up to whole pages and gives them when they are first used
   * @throws PreforkError ERR_OUT_OF_RANGE; ERR_UNSUPPORTED_NODE in a Node built with V8's sandbox, which
   * allows no memory from outside. ENOMEM when the kernel has none. mmap(2)
   */
  constructor(bytes: number) {
    checkInteger('bytes', bytes, 1, constants.MAX_LENGTH);
    const buffer = hasSandbox() ? undefined : binding.mapShared(bytes);
    if (buffer === undefined) {
      throw new PreforkError(
        'ERR_UNSUPPORTED_NODE',
        `shared memory needs a Node without V8's sandbox: ${process.version} here was built with it`,
      );
    }
    this.buffer = buffer;
  }
}

/** The addon may have been compiled for another build of this Node. */
function hasSandbox(): boolean {
  const { variables } = process.config as { variables: Record<string, unknown> };
  return Number(variables['v8_enable_sandbox'] ?? 0) !== 0;
}
