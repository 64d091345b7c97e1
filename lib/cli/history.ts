/** The rates of the last minutes, for sparklines. */
import type { Snapshot } from '../control/snapshot';
import { ratesBetween, type Rates } from './rates';

const KEPT = 240;

const NONE: Rates = {
  ...{ workers: [], requestsPerSecond: 0, tasksPerSecond: 0 },
  ...{ busy: 0, masterBusy: 0, msPerRequest: null },
};

export class History {
  #now: Snapshot | null = null;
  #rates: Rates = NONE;
  readonly requests: number[] = [];
  readonly busy: number[] = [];
  readonly #workers = new Map<number, number[]>();

  /** The newest snapshot. */
  get now(): Snapshot | null {
    return this.#now;
  }

  get rates(): Rates {
    return this.#rates;
  }

  add(snapshot: Snapshot): void {
    const before = this.#now;
    this.#now = snapshot;
    const rates = ratesBetween(before, snapshot);
    this.#rates = rates;
    if (before === null) return;
    keep(this.requests, rates.requestsPerSecond + rates.tasksPerSecond);
    keep(this.busy, rates.busy);
    snapshot.workers.forEach(({ id }, index) => {
      const values = this.#workers.get(id) ?? [];
      this.#workers.set(id, values);
      keep(values, rates.workers[index]?.busy ?? 0);
    });
  }

  /** How busy a worker was. */
  of(workerId: number): readonly number[] {
    return this.#workers.get(workerId) ?? [];
  }
}

function keep(values: number[], value: number): void {
  values.push(value);
  if (values.length > KEPT) values.shift();
}
