/** One reload of a group of workers: what has been done so far, and whether it is over. */
import { isEmpty, isReplaced, type GroupState, type Instance } from './reconcile';

/** What a reload did. */
export interface ReloadReport {
  /** Reloads so far, with this one. */
  generation: number;
  /** Workers that were replaced. */
  replaced: number;
  /** Of these, workers that had to be killed after `maxWaitTime`. */
  killed: number;
  /**
   * The id of a worker whose successor ended before it served. The reload has stopped there: the others run
   * on in their old generation. Missing when all went well.
   */
  failed?: number;
  /** How long it took. */
  durationMs: number;
}

export class Reload {
  readonly done: Promise<ReloadReport>;
  readonly #state: GroupState;
  readonly #startedAt: number;
  #resolve!: (report: ReloadReport) => void;
  #replaced = 0;
  #killed = 0;
  #failed: number | null = null;

  /** Begins it: every worker there is belongs to an old generation from now on. */
  constructor(state: GroupState, now: number) {
    this.#state = state;
    this.#startedAt = now;
    this.done = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    state.reloadFailed = false;
    state.generation++;
  }

  /** A worker has ended, or has left the group. */
  countGone({ generation }: Instance): void {
    if (generation < this.#state.generation) this.#replaced++;
  }

  countKilled(): void {
    this.#killed++;
  }

  /** Start-first needs not stop: there the old worker serves until a successor does. */
  fail(slotId: number): void {
    if (this.#state.startFirst) return;
    this.#state.reloadFailed = true;
    this.#failed ??= slotId;
  }

  isOver(now: number): boolean {
    if (this.#state.stopping) return isEmpty(this.#state);
    return this.#failed !== null || isReplaced(this.#state, now);
  }

  settle(now: number): void {
    this.#resolve({
      generation: this.#state.generation,
      replaced: this.#replaced,
      killed: this.#killed,
      ...(this.#failed === null ? {} : { failed: this.#failed }),
      durationMs: now - this.#startedAt,
    });
  }
}
