/** A group of workers: what its owner does with them, and what the supervisor keeps of them. */
import type { ExitStatus } from '../process/children';
import { instancesOf, type GroupState, type Instance, type Slot } from './reconcile';
import type { Reload } from './reload';

/** What a group does with its workers; the supervisor decides when. */
export interface WorkerGroup {
  readonly name: string;
  readonly size: number;
  /** Reload by starting the successor first; default: as the supervisor's option says. */
  readonly startFirst?: boolean;
  /** Forks the worker of a slot. Never returns in the child. */
  start(slotId: number, generation: number): StartedWorker;
  /** A worker has ended: `expected` when the supervisor had asked for it. */
  ended(slotId: number, pid: number, status: ExitStatus, expected: boolean): void;
  /** Whether the worker with this pid has done work. */
  provedItself(pid: number): boolean;
  /** A slot's workers die young again and again; or, with `why`, cannot be forked. */
  degraded(slotId: number, failures: number, why?: Error): void;
}

export interface StartedWorker {
  pid: number;
  ended: Promise<ExitStatus>;
}

/** A group in the hands of the supervisor. */
export interface Supervised {
  group: WorkerGroup;
  state: GroupState;
  /** By slot: ends in a row that made it wait. */
  failures: number[];
  reload: Reload | null;
}

export function supervise(group: WorkerGroup, startFirst: boolean): Supervised {
  const slots = Array.from({ length: group.size }, (_, id): Slot => {
    return { id, current: null, retired: [], startAt: 0 };
  });
  const state = { slots, generation: 0, stopping: false, startFirst, reloadFailed: false };
  return { group, state, failures: slots.map(() => 0), reload: null };
}

/** Where the worker with this pid belongs. */
export function findWorker(
  groups: Supervised[],
  pid: number,
): { supervised: Supervised; slot: Slot; instance: Instance } | null {
  for (const supervised of groups) {
    for (const slot of supervised.state.slots) {
      const instance = instancesOf(slot).find((other) => other.pid === pid);
      if (instance !== undefined) return { supervised, slot, instance };
    }
  }
  return null;
}

/** The slot is free for a successor. */
export function retireCurrent(slot: Slot): void {
  if (slot.current === null) return;
  slot.retired.push(slot.current);
  slot.current = null;
  slot.startAt = 0;
}
