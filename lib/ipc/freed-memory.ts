import { binding } from '../binding';

/**
 * From now on malloc(3) keeps up to 64 MiB of what is freed, unless the user has said what it shall do.
 * Otherwise large buffers that come and go are made of new pages each time, and these cost more than the
 * copy into them. For this process and the children that it forks.
 */
export function keepFreedMemory(): void {
  const { MALLOC_TRIM_THRESHOLD_, MALLOC_MMAP_THRESHOLD_ } = process.env;
  if (MALLOC_TRIM_THRESHOLD_ === undefined && MALLOC_MMAP_THRESHOLD_ === undefined)
    binding.keepFreedMemory();
}
