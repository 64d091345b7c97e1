/** What the kernel tells of processes. See proc(5). */
import { readFileSync } from 'node:fs';

/** R, S, T, Z …; null when there is no such process. */
export function stateOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
    return stat.charAt(stat.lastIndexOf(')') + 2);
  } catch {
    return null;
  }
}

/** Whether it is gone, or a zombie that nobody has reaped. */
export function hasEnded(pid: number): boolean {
  const state = stateOf(pid);
  return state === null || state === 'Z';
}
