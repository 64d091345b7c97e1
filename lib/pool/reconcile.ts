/**
 * The supervisor's decision: what is, against what shall be. A pure function over the state of one
 * group of workers; the supervisor carries out the actions and calls it again after every event.
 *
 *   slot      a worker id; it has at most one current instance, and older ones on their way out
 *   instance  one process:  starting -> ready -> draining -> gone
 *   reload    the group's generation is raised; every current instance below it is replaced, one slot
 *             at a time, by stopping it first or by starting its successor first
 */

export type Stage = 'starting' | 'ready' | 'draining';

export interface Instance {
  pid: number;
  generation: number;
  stage: Stage;
  startedAt: number;
  /** When SIGKILL is due, in ms; Infinity: not. */
  killAt: number;
  /** Left the group by itself: only reaped. */
  detached: boolean;
}

export interface Slot {
  id: number;
  current: Instance | null;
  /** Instances that were replaced, or are being, and have not ended yet. */
  retired: Instance[];
  /** No start before this time, in ms; Infinity: never again. */
  startAt: number;
}

export interface GroupState {
  slots: Slot[];
  generation: number;
  stopping: boolean;
  /** Replace by starting the new one before stopping the old one. */
  startFirst: boolean;
  /** A successor could not start: those that run stay, whatever their generation. */
  reloadFailed: boolean;
}

export type Action =
  | { kind: 'start'; slot: Slot }
  /** Starts the successor; the current instance is retired, and terminated once that is ready. */
  | { kind: 'succeed'; slot: Slot }
  | { kind: 'terminate'; instance: Instance }
  | { kind: 'kill'; instance: Instance };

export interface Decision {
  actions: Action[];
  /** When to decide again if nothing happens, in ms; Infinity: never. */
  wakeAt: number;
}

export function reconcile(group: GroupState, now: number): Decision {
  const actions = [
    ...group.slots.flatMap((slot) => overdueKills(slot, now)),
    ...(group.stopping
      ? stopAll(group)
      : [...startMissing(group, now), ...rollingReplace(group, now)]),
  ];
  return { actions, wakeAt: nextDeadline(group, now) };
}

/** True when no process of the group is left that it has to wait for. */
export function isEmpty(group: GroupState): boolean {
  return group.slots.every((slot) => instancesOf(slot).every((instance) => instance.detached));
}

/** True when a reload is over: nothing below the newest generation is left, and nothing is starting. */
export function isReplaced(group: GroupState, now: number): boolean {
  return group.slots.every(
    (slot) =>
      !inTransition(slot, now) &&
      !waitsForSuccessor(slot) &&
      (slot.current === null || slot.current.generation === group.generation),
  );
}

/** Start-first, and its successors die young: it serves on until one of them does not. */
function waitsForSuccessor(slot: Slot): boolean {
  return slot.startAt !== Infinity && slot.retired.some((instance) => !instance.detached);
}

export function instancesOf(slot: Slot): Instance[] {
  return slot.current === null ? slot.retired : [slot.current, ...slot.retired];
}

function overdueKills(slot: Slot, now: number): Action[] {
  return instancesOf(slot)
    .filter((instance) => instance.killAt <= now)
    .map((instance) => ({ kind: 'kill', instance }));
}

function stopAll(group: GroupState): Action[] {
  return group.slots
    .flatMap(instancesOf)
    .filter((instance) => instance.stage !== 'draining' && !instance.detached)
    .map((instance) => ({ kind: 'terminate', instance }));
}

function startMissing(group: GroupState, now: number): Action[] {
  return group.slots
    .filter((slot) => slot.current === null && slot.startAt <= now)
    .map((slot) => ({ kind: 'start', slot }));
}

/** The next slot is touched only when all others serve. */
function rollingReplace(group: GroupState, now: number): Action[] {
  const handedOver = group.slots.flatMap(handOver);
  if (handedOver.length > 0 || group.slots.some((slot) => inTransition(slot, now)))
    return handedOver;
  if (group.reloadFailed) return [];
  const slot = group.slots.find(
    ({ current }) => current !== null && current.generation < group.generation,
  );
  if (slot === undefined || slot.current === null) return [];
  if (group.startFirst) return [{ kind: 'succeed', slot }];
  return [{ kind: 'terminate', instance: slot.current }];
}

/** A successor that is ready lets its predecessor go. */
function handOver(slot: Slot): Action[] {
  if (slot.current?.stage !== 'ready') return [];
  return slot.retired
    .filter((instance) => instance.stage !== 'draining' && !instance.detached)
    .map((instance) => ({ kind: 'terminate', instance }));
}

/** A slot that waits for its restart delay stops nobody: it comes back with the newest generation. */
function inTransition(slot: Slot, now: number): boolean {
  if (slot.current === null) return slot.startAt <= now;
  return slot.current.stage !== 'ready' || slot.retired.some((instance) => !instance.detached);
}

function nextDeadline(group: GroupState, now: number): number {
  const deadlines = group.slots.flatMap((slot) => [
    ...(slot.current === null && !group.stopping ? [slot.startAt] : []),
    ...instancesOf(slot).map((instance) => instance.killAt),
  ]);
  return Math.min(Infinity, ...deadlines.filter((deadline) => deadline > now));
}
