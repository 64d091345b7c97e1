/** The memory of a process, as the kernel counts it. See proc_pid_smaps(5). */
import { readFileSync } from 'node:fs';

/** The memory of a process, in bytes, as the kernel counts it.  proc_pid_smaps(5). */
export interface ProcessMemory {
  /** Resident memory: all of it. */
  rssBytes: number;
  /** Proportional: a page that n processes share counts as 1/n, so that sums are true. */
  pssBytes: number;
}

export type ReadMemory = (pid: number | null) => ProcessMemory;

/** Takes about 1 ms for each 100 MB. Zeros for a process that is gone, or another user's. */
export function memoryOf(pid: number | null): ProcessMemory {
  try {
    const text = pid === null ? '' : readFileSync(`/proc/${String(pid)}/smaps_rollup`, 'utf8');
    return { rssBytes: kilobytes(text, 'Rss') * 1024, pssBytes: kilobytes(text, 'Pss') * 1024 };
  } catch {
    // It has ended meanwhile, or belongs to another user now.
    return { rssBytes: 0, pssBytes: 0 };
  }
}

/** A line is "Rss: 1234 kB". */
function kilobytes(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0);
}
