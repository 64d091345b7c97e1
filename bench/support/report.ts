/** Tables for people, the same data for programs. */
import { cpus, release } from 'node:os';
import { summarize, type Summary } from './statistics';

export interface Row extends Summary {
  name: string;
  /** How many times as fast as this peer prefork is. Higher is better. */
  ratio: number | null;
  /** The least ratio wanted. */
  target: number | null;
  /** Of prefork itself: the most, or where higher is better the least, that is wanted. */
  limit: number | null;
}

export interface Section {
  title: string;
  unit: string;
  better: 'lower' | 'higher';
  rows: Row[];
  /** Peers that were left out, and why. */
  skipped: string[];
}

export interface Sampled {
  name: string;
  samples: number[];
  target?: number | undefined;
  limit?: number | undefined;
  /** Another way of prefork itself, listed without a ratio. */
  own?: boolean | undefined;
}

/** `peers[0]` is prefork: the others are compared with it. */
export function compare(
  heading: Pick<Section, 'title' | 'unit' | 'better'>,
  [first, ...peers]: [Sampled, ...Sampled[]],
  skipped: string[] = [],
): Section {
  const ours = summarize(first.samples);
  const { name: own, limit = null } = first;
  const rows: Row[] = [{ name: own, ...ours, ratio: null, target: null, limit }];
  for (const { name, samples, target, own } of peers) {
    const theirs = summarize(samples);
    const [fast, slow] = heading.better === 'lower' ? [theirs, ours] : [ours, theirs];
    const ratio = own ? null : fast.median / slow.median;
    rows.push({ name, ...theirs, ratio, target: target ?? null, limit: null });
  }
  const { title, unit, better } = heading;
  return { title, unit, better, rows, skipped };
}

function format(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en-US');
  return value.toPrecision(3);
}

function verdict({ ratio, target, limit, median }: Row, better: Section['better']): string {
  if (limit !== null) {
    const reached = better === 'lower' ? median <= limit : median >= limit;
    return `${reached ? 'reached' : 'MISSED'}, wanted ${format(limit)}`;
  }
  if (ratio === null || target === null) return '';
  return `${ratio >= target ? 'reached' : 'MISSED'}, wanted ${target.toFixed(2)}×`;
}

function cells(row: Row, better: Section['better']): string[] {
  return [
    row.ratio === null ? '–' : `${row.ratio.toFixed(2)}×`,
    format(row.median),
    `${format(row.min)} – ${format(row.max)}`,
    row.name,
    verdict(row, better),
  ];
}

export function printSection(section: Section): void {
  const { title, unit, better, rows, skipped } = section;
  console.log(`\n  ${title} (${unit}: ${better} is better)`);
  const table = [
    ['ratio', 'median', 'min – max', '', ''],
    ...rows.map((row) => cells(row, better)),
  ];
  const widths = [0, 1, 2, 3].map((column) =>
    Math.max(...table.map((line) => line[column]?.length ?? 0)),
  );
  for (const line of table) {
    const numbers = line.slice(0, 3).map((cell, i) => cell.padStart(widths[i] ?? 0));
    console.log(
      `    ${[...numbers, line[3]?.padEnd(widths[3] ?? 0), line[4]].join('  ').trimEnd()}`,
    );
  }
  for (const reason of skipped) console.log(`    skipped: ${reason}`);
}

export function describeMachine(): Record<string, string> {
  const processors = cpus();
  return {
    node: `Node ${process.versions.node}`,
    system: `${process.platform} ${release()} ${process.arch}`,
    cpu: `${String(processors.length)} × ${processors[0]?.model.trim() ?? 'unknown CPU'}`,
    date: new Date().toISOString(),
  };
}
