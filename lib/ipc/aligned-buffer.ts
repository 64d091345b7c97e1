/**
 * Memory that the kernel shall copy to. It copies by `rep movsb`, which is much slower where the place does
 * not begin a cache line; large blocks of malloc(3) begin 16 bytes behind one.
 */
import { binding } from '../binding';

const CACHE_LINE_BYTES = 64;

/** The next multiple of `step`, a power of two. */
export function alignUp(at: number, step = CACHE_LINE_BYTES): number {
  return (at + step - 1) & -step;
}

/** Not filled, as of Buffer.allocUnsafeSlow(). Its `buffer` is a little larger, and it does not begin at 0. */
export function alignedBuffer(bytes: number): Buffer {
  const memory = Buffer.allocUnsafeSlow(bytes + CACHE_LINE_BYTES);
  const begin = binding.bytesToAlignment(memory, CACHE_LINE_BYTES);
  return memory.subarray(begin, begin + bytes);
}
