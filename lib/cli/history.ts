/** The rates of the last minutes, for sparklines. */
import type { Snapshot } from '../control/snapshot';
import { ratesBetween, type Rates } from './rates';

const KEPT = 240;

export class History {
  #now: Snapshot | null = null;
  #rates: Rates | null = null;
  readonly requests: number[] = [];
  readonly busy: number[] = [];
  readonly #workers = new Map<number, number[]>();

  /** The newest snapshot. */
  get now(): Snapshot | null {
    return this.#now;
  }

  get rates(): Rates | null {
    return this.#rates;
  }

  add(snapshot: Snapshot): void {
    const before = this.#now;
    this.#now = snapshot;
    this.#rates = ratesBetween(before, snapshot);
    if (before === null) return;
    keep(this.requests, this.#rates.requestsPerSecond + this.#rates.tasksPerSecond);
    keep(this.busy, this.#rates.busy);
    snapshot.workers.forEach(({ id }, index) => {
      const values = this.#workers.get(id) ?? [];
      this.#workers.set(id, values);
      keep(values, this.#rates?.workers[index]?.busy ?? 0);
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
