/**
 * Fds of the master that are none of its workers' business. A fork copies them: each child closes its
 * copies first, by their numbers. Node's objects for them stay silent there and must not be used: closing
 * such an object would remove the file of a unix socket, which is the master's.
 */
import { binding } from '../binding';
import { onChildReset } from '../process/child-reset';

export interface Inherited {
  /** Fds that are open now. */
  fds(): number[];
}

const holders = new Set<Inherited>();

onChildReset(() => {
  for (const holder of holders) {
    for (const fd of holder.fds()) close(fd);
  }
  holders.clear();
});

/** @returns takes it back, when they are closed */
export function closeInChildren(holder: Inherited): () => void {
  holders.add(holder);
  return () => {
    holders.delete(holder);
  };
}

function close(fd: number): void {
  try {
    binding.closeFd(fd);
  } catch {
    // Nothing is open there: the child has one fd less to close.
  }
}
