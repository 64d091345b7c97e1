/**
 * Draws the screen of `prefork top`: a pure function of what is known to lines of exactly the width and
 * height of the terminal, so that nothing wraps or scrolls.
 */
import { basename } from 'node:path';
import type { Snapshot } from '../control/snapshot';
import type { History } from './history';
import type { Rates } from './rates';
import { Table } from './table';
import { age, bytes, count, cut, fit, harmless, percent, rate, sparkline, widthOf } from './text';

export interface Screen {
  width: number;
  height: number;
  color: boolean;
  unicode: boolean;
}

export interface View {
  history: History;
  /** Index of the selected worker. */
  selected: number;
  /** The first worker shown. */
  scroll: number;
  /** What was done last, or went wrong. */
  notice: string;
  /** Waits for a key: "y" does it. */
  question: string;
  /** Lines of the slow log; null: workers are shown. */
  slowLog: readonly string[] | null;
}

export type Style = 'bold' | 'dim' | 'reverse' | 'green' | 'blue' | 'yellow' | 'red';

const CODES: Record<Style, string> = {
  bold: '1',
  dim: '2',
  reverse: '7',
  green: '32',
  blue: '36',
  yellow: '33',
  red: '31',
};

/** Lines above and below the table: title, totals, processes, gap, head; keys. */
export const FRAME_LINES = 6;
const GAP = 2;
const LEAST_SPARK = 8;
/** Numbers come before pictures here. */
const NARROW = 60;
const SPARK_IN_TOTALS = 20;

const POOL_KEYS = 'q quit  r reload  k stop worker  ↑↓ select';
const SERVER_KEYS = 'q quit  r reload  t reload tasks  k stop worker  s slow log  ↑↓ select';
const LOG_KEYS = 'q quit  s or Esc back to the workers  ↑↓ scroll';

export function render(view: View, screen: Screen): string[] {
  const { now, rates } = view.history;
  const body = now === null ? [plain('connecting …', screen)] : bodyOf(view, now, rates, screen);
  const lines = body.slice(0, Math.max(0, screen.height - 1));
  while (lines.length < screen.height - 1) lines.push('');
  return [...lines, footer(view, screen)];
}

function bodyOf(view: View, now: Snapshot, rates: Rates, screen: Screen): string[] {
  const head = [titleLine(now, screen), totalsLine(view, now, rates, screen)];
  const top = [...head, processLine(now, rates, screen), ''];
  if (view.slowLog !== null) return [...top, ...logLines(view, view.slowLog, screen)];
  return [...top, ...tableLines(view, now, rates, screen)];
}

function titleLine(now: Snapshot, screen: Screen): string {
  const kind = now.mode === null ? now.kind : `${now.kind} (${now.mode})`;
  const parts = [harmless(basename(now.script)), kind, `up ${age(now.time - now.startedAt)}`];
  const rest = [`generation ${now.generation}`, `Node ${harmless(now.node)}`];
  const text = [...parts, ...rest, ...(now.stopping ? ['STOPPING'] : [])].join(' · ');
  const clock = new Date(now.time).toTimeString().slice(0, 8);
  return styled('bold', sides(plain(text, screen), clock, screen.width), screen);
}

function totalsLine({ history }: View, now: Snapshot, rates: Rates, screen: Screen): string {
  const { total, connections, tasks, master, manager } = now;
  const pss = total.pssBytes + master.pssBytes + (manager?.pssBytes ?? 0);
  const parts = [
    `${rate(rates.requestsPerSecond)} req/s`,
    ...(tasks === null ? [] : [`${rate(rates.tasksPerSecond)} tasks/s`]),
    `busy ${percent(rates.busy)}`,
    `${rate(rates.msPerRequest)} ms/req`,
    `queue ${count(total.queued)}`,
    ...(connections === null ? [] : [`conns ${count(connections.open)}`]),
    ...(tasks === null ? [] : [`tasks ${count(tasks.inFlight)}`]),
    `mem ${bytes(pss)}`,
  ];
  const text = parts.join('  ');
  const room = Math.min(SPARK_IN_TOTALS, screen.width - widthOf(text) - GAP);
  if (room < LEAST_SPARK) return cut(text, screen.width);
  const highest = Math.max(...history.requests.slice(-room), 0);
  const spark = sparkline(history.requests, room, highest, screen.unicode);
  return `${fit(text, screen.width - room)}${styled('green', spark, screen)}`;
}

function processLine(now: Snapshot, rates: Rates, screen: Screen): string {
  const { master, manager, total, workers } = now;
  const parts = [
    `master ${master.pid}: busy ${percent(rates.masterBusy)}, ${bytes(master.pssBytes)}`,
    ...(manager === null ? [] : [`manager ${manager.pid}: ${bytes(manager.pssBytes)}`]),
    `workers ${total.workers}/${workers.length}, ${total.idle} idle, ${total.busy} busy`,
  ];
  return styled('dim', cut(parts.join('   '), screen.width), screen);
}

function tableLines(view: View, now: Snapshot, rates: Rates, screen: Screen): string[] {
  const wanted = screen.width < NARROW ? 0 : LEAST_SPARK + GAP;
  const table = new Table(screen.width - wanted, now);
  const room = screen.width - table.width - GAP;
  const hasSpark = room >= LEAST_SPARK;
  const head = hasSpark ? `${table.head}${' '.repeat(GAP)}TREND` : table.head;
  const lines = [styled('reverse', fit(head, screen.width), screen)];
  const shown = now.workers.slice(view.scroll, view.scroll + tableHeight(screen));
  for (const [offset, worker] of shown.entries()) {
    const index = view.scroll + offset;
    const own = rates.workers[index];
    if (own === undefined) continue;
    const cells = fit(table.line({ worker, rates: own }), screen.width - (hasSpark ? room : 0));
    const values = view.history.of(worker.id);
    const spark = hasSpark ? sparkline(values, room, 1, screen.unicode) : '';
    lines.push(workerLine(cells, spark, worker.stage, index === view.selected, screen));
  }
  return lines;
}

function workerLine(
  cells: string,
  spark: string,
  stage: string,
  selected: boolean,
  screen: Screen,
): string {
  if (selected) return selectedLine(cells + spark, screen);
  const style = styleOf(stage);
  const text = style === null ? cells : styled(style, cells, screen);
  return spark === '' ? text : text + styled('green', spark, screen);
}

/** Without colours the mark is a sign. */
function selectedLine(text: string, screen: Screen): string {
  if (screen.color) return styled('reverse', text, screen);
  return `>${text.slice(1)}`;
}

function styleOf(stage: string): Style | null {
  if (stage === 'busy') return 'blue';
  if (stage === 'starting' || stage === 'draining') return 'yellow';
  return stage === 'none' ? 'red' : null;
}

function logLines(view: View, lines: readonly string[], screen: Screen): string[] {
  const head = styled('reverse', fit('SLOW LOG', screen.width), screen);
  if (lines.length === 0) return [head, 'no request was slow'];
  const shown = lines.slice(view.scroll, view.scroll + tableHeight(screen));
  return [head, ...shown.map((line) => cut(harmless(line), screen.width))];
}

function footer(view: View, screen: Screen): string {
  const { question, notice, slowLog } = view;
  if (question !== '')
    return styled('yellow', cut(`${harmless(question)} [y/n]`, screen.width), screen);
  const ofTable = view.history.now?.kind === 'server' ? SERVER_KEYS : POOL_KEYS;
  const keys = plain(slowLog === null ? ofTable : LOG_KEYS, screen);
  if (notice === '') return styled('dim', cut(keys, screen.width), screen);
  return styled('yellow', cut(harmless(notice), screen.width), screen);
}

/** Lines of workers, or of the slow log, that a screen has room for. */
export function tableHeight({ height }: Pick<Screen, 'height'>): number {
  return Math.max(0, height - FRAME_LINES);
}

function sides(left: string, rightText: string, width: number): string {
  const room = width - widthOf(rightText) - 1;
  if (room < 1) return cut(left, width);
  return `${fit(left, room)} ${rightText}`;
}

function styled(style: Style, text: string, { color }: Screen): string {
  return color ? `\x1b[${CODES[style]}m${text}\x1b[0m` : text;
}

/** For terminals that know ASCII only. */
function plain(text: string, { unicode }: Screen): string {
  return unicode
    ? text
    : text.replaceAll('·', '-').replaceAll('↑↓', 'arrows').replaceAll('…', '...');
}
