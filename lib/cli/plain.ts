/** What is shown where no screen can be drawn: lines, tables, JSON. */
import type { Snapshot } from '../control/snapshot';
import { ratesBetween, type Rates } from './rates';
import { Table } from './table';
import { age, bytes, count, harmless, percent, rate } from './text';

/** One line for each snapshot. */
export function summaryLine(now: Snapshot, rates: Rates): string {
  const { total, connections, tasks, master, manager, workers } = now;
  const parts = [
    new Date(now.time).toTimeString().slice(0, 8),
    `workers ${total.workers}/${workers.length}`,
    `busy ${percent(rates.busy)}`,
    `req/s ${rate(rates.requestsPerSecond)}`,
    `ms/req ${rate(rates.msPerRequest)}`,
    `queue ${count(total.queued)}`,
  ];
  if (connections !== null) parts.push(`conns ${count(connections.open)}`);
  if (tasks !== null) {
    parts.push(`tasks/s ${rate(rates.tasksPerSecond)}`, `tasks ${count(tasks.inFlight)}`);
  }
  parts.push(`pss ${bytes(total.pssBytes + master.pssBytes + (manager?.pssBytes ?? 0))}`);
  return parts.join('  ');
}

/** A snapshot as text. */
export function statusText(now: Snapshot): string {
  const rates = ratesBetween(null, now);
  const table = new Table(Infinity, now, false);
  const lines = [...headLines(now), '', table.head];
  now.workers.forEach((worker, index) => {
    const own = rates.workers[index];
    if (own !== undefined) lines.push(table.line({ worker, rates: own }).trimEnd());
  });
  return `${lines.join('\n')}\n`;
}

function headLines(now: Snapshot): string[] {
  const { master, manager, connections, requests, tasks, total, controlSocket, statusPage } = now;
  const mode = now.mode === null ? '' : `, ${now.mode} mode`;
  const fields: [string, string | null][] = [
    ['script', harmless(now.script)],
    ['kind', `${now.kind}${mode}${now.stopping ? ', stopping' : ''}`],
    ['up', `${age(now.time - now.startedAt)}, generation ${now.generation}, Node ${now.node}`],
    ['master', `pid ${master.pid}, PSS ${bytes(master.pssBytes)}`],
    ['manager', manager === null ? null : `pid ${manager.pid}, PSS ${bytes(manager.pssBytes)}`],
    ['workers', `${total.workers}, ${total.idle} idle, ${total.busy} busy, ${total.queued} queued`],
    ['connections', connections === null ? null : `${connections.open} of ${connections.accepted}`],
    ['requests', requests === null ? null : `${requests.received}, ${requests.answered} answered`],
    ['tasks', tasks === null ? null : `${tasks.submitted}, ${tasks.inFlight} in flight`],
    ['control', controlSocket],
    ['status page', statusPage],
  ];
  return fields.flatMap(([name, value]) => (value === null ? [] : [`${name.padEnd(12)} ${value}`]));
}
