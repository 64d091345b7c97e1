/** What control knows of its owner, a pool or a server. */
import type { ProcessMemory } from '../process/memory';
import type { ReloadSummary, SourceState } from './snapshot';

export interface ControlSource {
  /** All processes, for which memory is wanted. Cheap. */
  pids(): number[];
  describe(memory: (pid: number | null) => ProcessMemory): SourceState;
  /** @returns what was done; null where it was only asked for */
  reload(onlyTasks: boolean): Promise<ReloadSummary | null>;
  /** Ends the owner in good order. */
  stop(): void;
  /** Ends one worker in good order; another takes its place. @throws when there is no such worker */
  stopWorker(workerId: number): void;
  /** The newest part of the slow log; null when there is none. */
  slowLog(): string | null;
}
