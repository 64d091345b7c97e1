/**
 * Keeps groups of worker processes as they shall be. Signals, exits and messages of workers only change
 * the state and ask for a tick; one tick compares, acts and sets the timer for the next deadline:
 *
 *   event -> state -> tick: reconcile() -> start / terminate / kill -> timer
 *
 * The parent owns termination: SIGTERM, then `maxWaitTime`, then SIGKILL. It never relies on an answer.
 */
import type { ExitStatus } from '../process/children';
import { sendSignal } from '../process/signals';
import {
  instancesOf,
  isEmpty,
  reconcile,
  type Action,
  type GroupState,
  type Instance,
  type Slot,
} from './reconcile';
import { Reload, type ReloadReport } from './reload';
import { cannotStart, decideRestart, type RestartPolicy, type WorkerEnd } from './restart-policy';
import { callUser } from './unhandled';
import {
  findWorker,
  retireCurrent,
  supervise,
  type StartedWorker,
  type Supervised,
  type WorkerGroup,
} from './worker-group';

/** Of a longer one Node makes one of 1 ms. */
const LONGEST_TIMER_MS = 0x7fffffff;

export interface SupervisorOptions {
  /** From SIGTERM to SIGKILL, in ms; 0: no SIGKILL. */
  maxWaitTime: number;
  restart: RestartPolicy;
  /** Reload by starting the successor first. */
  startFirst: boolean;
}

/** In ms. It is monotonic: who sets the time of day moves no deadline. */
const clock = (): number => Math.floor(performance.now());

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #groups: Supervised[];
  #timer: NodeJS.Timeout | null = null;
  #tickQueued = false;
  #whenStopped: (() => void) | null = null;
  #stopping = false;
  #starting = false;

  constructor(groups: WorkerGroup[], options: SupervisorOptions) {
    this.#options = options;
    this.#groups = groups.map((group) => supervise(group, group.startFirst ?? options.startFirst));
  }

  /** @throws what the first forks throw: later failures are retried and told by `degraded` */
  start(): void {
    this.#starting = true;
    this.#tick();
    this.#starting = false;
  }

  /** Terminates the groups one after the other, in their order. Resolves when all processes are gone. */
  stop(): Promise<void> {
    this.#stopping = true;
    const stopped = new Promise<void>((resolve) => {
      this.#whenStopped = resolve;
    });
    this.#requestTick();
    return stopped;
  }

  /** Replaces every worker of a group. A second call during a reload joins it. */
  reload(name: string): Promise<ReloadReport> {
    const supervised = this.#named(name);
    if (supervised.reload !== null) return supervised.reload.done;
    supervised.reload = new Reload(supervised.state, clock());
    this.#requestTick();
    return supervised.reload.done;
  }

  /** The worker with this pid serves. */
  markReady(pid: number): void {
    const found = findWorker(this.#groups, pid);
    if (found?.instance.stage !== 'starting') return;
    found.instance.stage = 'ready';
    this.#requestTick();
  }

  /** The worker with this pid goes on by itself; its slot gets a new one. */
  detach(pid: number): void {
    const found = findWorker(this.#groups, pid);
    if (found === null || found.instance.detached) return;
    const { slot, instance, supervised } = found;
    supervised.reload?.countGone(instance);
    instance.detached = true;
    instance.killAt = Infinity;
    if (slot.current === instance) retireCurrent(slot);
    this.#requestTick();
  }

  /** Starts a successor for the worker with this pid at once, and ends that one in good order. */
  replace(pid: number): void {
    const found = findWorker(this.#groups, pid);
    if (found === null || found.slot.current !== found.instance) return;
    retireCurrent(found.slot);
    if (found.instance.stage !== 'draining') this.#terminate(found.instance, clock());
    this.#requestTick();
  }

  /** Ends the worker with this pid in good order; its slot gets a new one then. */
  terminate(pid: number): void {
    const found = findWorker(this.#groups, pid);
    if (found === null || found.instance.stage === 'draining') return;
    this.#terminate(found.instance, clock());
    this.#requestTick();
  }

  /** What is known of a group's processes, for statistics. */
  state(name: string): GroupState {
    return this.#named(name).state;
  }

  /** Ends in a row that made a slot wait. */
  failures(name: string, slotId: number): number {
    return this.#named(name).failures[slotId] ?? 0;
  }

  #requestTick(): void {
    if (this.#tickQueued) return;
    this.#tickQueued = true;
    queueMicrotask(() => {
      this.#tickQueued = false;
      this.#tick();
    });
  }

  #tick(): void {
    const now = clock();
    if (this.#stopping) this.#stopNextGroup();
    let wakeAt = Infinity;
    for (const supervised of this.#groups) {
      const decision = reconcile(supervised.state, now);
      for (const action of decision.actions) this.#act(supervised, action, now);
      this.#settleReload(supervised, now);
      wakeAt = Math.min(wakeAt, reconcile(supervised.state, now).wakeAt);
    }
    this.#setTimer(wakeAt, now);
    if (this.#stopping && this.#groups.every(({ state }) => isEmpty(state))) this.#finish();
  }

  #stopNextGroup(): void {
    for (const { state } of this.#groups) {
      state.stopping = true;
      if (!isEmpty(state)) return;
    }
  }

  #finish(): void {
    this.#setTimer(Infinity, 0);
    this.#whenStopped?.();
    this.#whenStopped = null;
  }

  #setTimer(wakeAt: number, now: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (wakeAt === Infinity) return;
    const delay = Math.min(wakeAt - now, LONGEST_TIMER_MS);
    this.#timer = setTimeout(() => {
      this.#tick();
    }, delay);
  }

  #act(supervised: Supervised, action: Action, now: number): void {
    switch (action.kind) {
      case 'start':
        this.#start(supervised, action.slot, now);
        return;
      case 'succeed':
        retireCurrent(action.slot);
        this.#start(supervised, action.slot, now);
        return;
      case 'terminate':
        this.#terminate(action.instance, now);
        return;
      case 'kill':
        action.instance.killAt = Infinity;
        supervised.reload?.countKilled();
        sendSignal(action.instance.pid, 'SIGKILL');
    }
  }

  #start(supervised: Supervised, slot: Slot, now: number): void {
    const { group, state } = supervised;
    let worker: StartedWorker;
    try {
      worker = group.start(slot.id, state.generation);
    } catch (error) {
      if (this.#starting) throw error;
      // The machine is short of something, or a Worker thread runs: try again later.
      const failure = { code: 1, signal: 0, uptimeMs: 0, served: false, provedItself: false };
      this.#putOff(supervised, slot, failure, state.generation, error as Error);
      this.#requestTick();
      return;
    }
    slot.current = {
      pid: worker.pid,
      generation: state.generation,
      stage: 'starting',
      startedAt: now,
      killAt: Infinity,
      detached: false,
    };
    void worker.ended.then((status) => {
      this.#onEnd(supervised, slot, status);
    });
  }

  #terminate(instance: Instance, now: number): void {
    instance.stage = 'draining';
    if (this.#options.maxWaitTime > 0) instance.killAt = now + this.#options.maxWaitTime;
    sendSignal(instance.pid, 'SIGTERM');
  }

  #onEnd(supervised: Supervised, slot: Slot, status: ExitStatus): void {
    const instance = instancesOf(slot).find(({ pid }) => pid === status.pid);
    if (instance === undefined) return;
    const expected = instance.stage === 'draining' || instance.detached;
    if (slot.current === instance) {
      slot.current = null;
      slot.startAt = 0;
      if (!expected) {
        const end = this.#endOf(supervised, instance, status);
        this.#putOff(supervised, slot, end, instance.generation);
      }
    } else {
      slot.retired = slot.retired.filter((other) => other !== instance);
    }
    if (!instance.detached) supervised.reload?.countGone(instance);
    this.#requestTick();
    callUser(() => {
      supervised.group.ended(slot.id, status.pid, status, expected);
    });
  }

  #endOf(supervised: Supervised, instance: Instance, status: ExitStatus) {
    return {
      code: status.code,
      signal: status.signal,
      uptimeMs: clock() - instance.startedAt,
      served: instance.stage !== 'starting',
      provedItself: supervised.group.provedItself(instance.pid),
    };
  }

  /** @param why - it could not even be forked: told each time */
  #putOff(
    supervised: Supervised,
    slot: Slot,
    end: WorkerEnd,
    generation: number,
    why?: Error,
  ): void {
    const before = supervised.failures[slot.id] ?? 0;
    const decision = decideRestart(this.#options.restart, before, end, Math.random);
    supervised.failures[slot.id] = decision.failures;
    slot.startAt = decision.delay === 0 ? 0 : clock() + decision.delay;
    if (generation === supervised.state.generation && cannotStart(decision, end)) {
      supervised.reload?.fail(slot.id);
    }
    if (!decision.degraded && why === undefined) return;
    callUser(() => {
      supervised.group.degraded(slot.id, decision.failures, why);
    });
  }

  #settleReload(supervised: Supervised, now: number): void {
    const { reload } = supervised;
    if (reload === null || !reload.isOver(now)) return;
    supervised.reload = null;
    reload.settle(now);
  }

  #named(name: string): Supervised {
    const found = this.#groups.find(({ group }) => group.name === name);
    if (found === undefined) throw new RangeError(`no worker group is called ${name}`);
    return found;
  }
}
