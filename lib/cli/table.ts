/** The table of workers: as many columns as the width has room for, the least important ones go first. */
import type { Snapshot, WorkerSnapshot } from '../control/snapshot';
import type { WorkerRates } from './rates';
import { age, bytes, count, fit, percent, rate } from './text';

export interface Row {
  worker: WorkerSnapshot;
  rates: WorkerRates;
}

interface Column {
  title: string;
  width: number;
  align: 'left' | 'right';
  /** Columns with a high one go first when there is no room. */
  rank: number;
  text: (row: Row) => string;
  /** What two snapshots are needed for. */
  isRate: boolean;
}

const right = (title: string, width: number, rank: number, text: (row: Row) => string): Column => ({
  title,
  width,
  align: 'right',
  rank,
  text,
  isRate: false,
});

const left = (title: string, width: number, rank: number, text: (row: Row) => string): Column => ({
  ...right(title, width, rank, text),
  align: 'left',
});

const mean = (title: string, width: number, rank: number, text: (row: Row) => string): Column => ({
  ...right(title, width, rank, text),
  isRate: true,
});

const COLUMNS: readonly Column[] = [
  right('ID', 4, 0, ({ worker }) => String(worker.id)),
  left('KIND', 6, 5, ({ worker }) => worker.kind),
  right('PID', 7, 0, ({ worker }) => (worker.pid === null ? '-' : String(worker.pid))),
  left('STAGE', 8, 0, ({ worker }) => (worker.stage === 'none' ? 'down' : worker.stage)),
  right('UP', 6, 4, ({ worker }) => (worker.pid === null ? '-' : age(worker.uptimeMs))),
  right('RST', 4, 6, ({ worker }) => count(worker.restarts)),
  mean('REQ/S', 6, 1, ({ rates }) => rate(rates.requestsPerSecond)),
  mean('BUSY', 4, 1, ({ rates }) => percent(rates.busy)),
  mean('MS/REQ', 6, 7, ({ rates }) => rate(rates.msPerRequest)),
  right('QUEUE', 5, 2, ({ worker }) => count(worker.queued)),
  right('RUN', 4, 8, ({ worker }) => count(worker.running)),
  right('TOTAL', 6, 9, ({ worker }) => count(worker.requests)),
  right('GEN', 3, 10, ({ worker }) => count(worker.generation)),
  right('RSS', 5, 3, ({ worker }) => bytes(worker.rssBytes)),
  right('PSS', 5, 3, ({ worker }) => bytes(worker.pssBytes)),
];

export class Table {
  readonly #columns: readonly Column[];
  readonly width: number;

  /** @param hasRates - false: there is one snapshot only */
  constructor(maxWidth: number, snapshot: Snapshot, hasRates = true) {
    // One kind need not be told in each line.
    const kinds = new Set(snapshot.workers.map(({ kind }) => kind));
    let columns = COLUMNS.filter(
      ({ title, isRate }) => (title !== 'KIND' || kinds.size > 1) && (hasRates || !isRate),
    );
    while (columns.length > 1 && widthOfAll(columns) > maxWidth) columns = withoutLeast(columns);
    this.#columns = columns;
    this.width = widthOfAll(columns);
  }

  get head(): string {
    return this.#columns.map(({ title, width, align }) => fit(title, width, align)).join(' ');
  }

  line(row: Row): string {
    return this.#columns.map(({ width, align, text }) => fit(text(row), width, align)).join(' ');
  }
}

function widthOfAll(columns: readonly Column[]): number {
  return columns.reduce((sum, { width }) => sum + width + 1, -1);
}

function withoutLeast(columns: readonly Column[]): Column[] {
  const highest = Math.max(...columns.map(({ rank }) => rank));
  const last = columns.map(({ rank }) => rank).lastIndexOf(highest);
  return columns.filter((_, index) => index !== last);
}
