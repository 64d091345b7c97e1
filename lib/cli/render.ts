/**
 * Draws the screen of `prefork top`: a pure function of what is known to lines of exactly the width and
 * height of the terminal, so that nothing wraps or scrolls.
 */
import { basename } from 'node:path';
import type { Snapshot } from '../control/snapshot';
import type { History } from './history';
import type { Rates } from './rates';
import { Table } from './table';
import {
  age,
  bytes,
  count,
  cut,
  fit,
  harmless,
  partsThatFit,
  percent,
  rate,
  sparkline,
  widthOf,
  type Part,
} from './text';

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
  /** For how long no snapshot has come, in ms; 0: as long as it should take. */
  silentMs: number;
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
  const body = now === null ? [connecting(view, screen)] : bodyOf(view, now, rates, screen);
  const lines = body.slice(0, Math.max(0, screen.height - 1));
  while (lines.length < screen.height - 1) lines.push('');
  return [...lines, footer(view, screen)];
}

function connecting({ silentMs }: View, screen: Screen): string {
  const text = silentMs === 0 ? 'connecting …' : `connecting …  ${silenceText(silentMs)}`;
  return cut(plain(text, screen), screen.width);
}

function silenceText(ms: number): string {
  return `NO ANSWER for ${age(ms)}`;
}

function bodyOf(view: View, now: Snapshot, rates: Rates, screen: Screen): string[] {
  const head = [titleLine(view, now, screen), totalsLine(view, now, rates, screen)];
  const top = [...head, processLine(now, rates, screen), ''];
  if (view.slowLog !== null) return [...top, ...logLines(view, view.slowLog, screen)];
  return [...top, ...tableLines(view, now, rates, screen)];
}

function titleLine({ silentMs }: View, now: Snapshot, screen: Screen): string {
  const clock = new Date(now.time).toTimeString().slice(0, 8);
  const state = silentMs > 0 ? silenceText(silentMs) : now.stopping ? 'STOPPING' : '';
  const right = state === '' ? clock : `${state}  ${clock}`;
  const parts = [
    { text: harmless(basename(now.script)), rank: 0 },
    { text: now.mode === null ? now.kind : `${now.kind} (${now.mode})`, rank: 2 },
    { text: `up ${age(now.time - now.startedAt)}`, rank: 1 },
    { text: `generation ${now.generation}`, rank: 3 },
    { text: `Node ${harmless(now.node)}`, rank: 4 },
  ];
  const text = partsThatFit(parts, ' · ', screen.width - widthOf(right) - 1);
  return styled('bold', sides(plain(text, screen), right, screen.width), screen);
}

function totalsLine({ history }: View, now: Snapshot, rates: Rates, screen: Screen): string {
  const text = partsThatFit(totals(now, rates), '  ', screen.width);
  const room = Math.min(SPARK_IN_TOTALS, screen.width - widthOf(text) - GAP);
  if (room < LEAST_SPARK) return text;
  const highest = Math.max(...history.requests.slice(-room), 0);
  const spark = sparkline(history.requests, room, highest, screen.unicode);
  return `${fit(text, screen.width - room)}${styled('green', spark, screen)}`;
}

function totals({ total, connections, tasks, master, manager }: Snapshot, rates: Rates): Part[] {
  const pss = total.pssBytes + master.pssBytes + (manager?.pssBytes ?? 0);
  return [
    { text: `${rate(rates.requestsPerSecond)} req/s`, rank: 0 },
    ...(tasks === null ? [] : [{ text: `${rate(rates.tasksPerSecond)} tasks/s`, rank: 4 }]),
    { text: `busy ${percent(rates.busy)}`, rank: 1 },
    { text: `${rate(rates.msPerRequest)} ms/req`, rank: 7 },
    { text: `queue ${count(total.queued)}`, rank: 2 },
    ...(connections === null ? [] : [{ text: `conns ${count(connections.open)}`, rank: 5 }]),
    ...(tasks === null ? [] : [{ text: `tasks ${count(tasks.inFlight)}`, rank: 6 }]),
    { text: `mem ${bytes(pss)}`, rank: 3 },
  ];
}

function processLine(now: Snapshot, rates: Rates, screen: Screen): string {
  const { master, manager, total, workers } = now;
  const busy = percent(rates.masterBusy);
  const parts = [
    { text: `master ${master.pid}: busy ${busy}, ${bytes(master.pssBytes)}`, rank: 0 },
    ...(manager === null
      ? []
      : [{ text: `manager ${manager.pid}: ${bytes(manager.pssBytes)}`, rank: 2 }]),
    {
      text: `workers ${total.workers}/${workers.length}, ${total.idle} idle, ${total.busy} busy`,
      rank: 1,
    },
  ];
  return styled('dim', partsThatFit(parts, '   ', screen.width), screen);
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
