/**
 * The program of the status page. It computes rates from successive snapshots, as lib/cli/rates.ts does,
 * and sets texts only as text: nothing that a process calls itself becomes markup.
 */
export const PAGE_SCRIPT = String.raw`
'use strict';
const KEPT = 180, SILENCE_MS = 5000;
const WIDTH = 400, HEIGHT = 150, LEFT = 38, BOTTOM = 18, TOP = 6;
const SVG = 'http://www.w3.org/2000/svg';
const byId = (id) => document.getElementById(id);
const points = [];
const busyOf = new Map();
let last = null;

function make(name, parent, attributes, text) {
  const node = name.startsWith('svg:') ? document.createElementNS(SVG, name.slice(4)) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

const short = (value) => {
  if (value === null || value === undefined) return '–';
  if (value >= 1e6) return (value / 1e6).toFixed(1) + 'M';
  if (value >= 1e4) return (value / 1e3).toFixed(1) + 'k';
  if (value >= 100 || Number.isInteger(value)) return String(Math.round(value));
  return value.toFixed(value < 10 ? 2 : 1);
};
const percent = (value) => (value === null ? '–' : Math.round(value * 100) + ' %');
const bytes = (value) => {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  while (value >= 1000 && unit < 4) { value /= 1024; unit++; }
  return (value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)) + ' ' + units[unit];
};
const age = (ms) => {
  const s = Math.floor(ms / 1000), d = Math.floor(s / 86400), h = Math.floor(s / 3600) % 24, m = Math.floor(s / 60) % 60;
  if (d > 0) return d + 'd ' + h + 'h';
  if (h > 0) return h + 'h ' + m + 'm';
  return m > 0 ? m + 'm ' + (s % 60) + 's' : s + 's';
};

function workerRates(before, worker, ms) {
  const old = before.workers[worker.id];
  const same = old && old.pid === worker.pid;
  const requests = worker.requests - (same ? old.requests : 0);
  const busyMs = worker.busyTimeMs - (same ? old.busyTimeMs : 0);
  return {
    requests: Math.max(0, requests) / ms * 1000,
    count: Math.max(0, requests),
    busyMs: Math.min(Math.max(0, busyMs), ms),
    busy: Math.min(1, Math.max(0, busyMs) / ms),
    perRequest: requests > 0 ? Math.max(0, busyMs) / requests : null,
  };
}

function rates(before, now) {
  const ms = Math.max(1, now.time - before.time);
  const workers = now.workers.map((worker) => workerRates(before, worker, ms));
  const alive = now.workers.filter((worker) => worker.pid !== null && worker.kind !== 'user').length;
  const sum = (list, pick) => list.reduce((all, item) => all + pick(item), 0);
  const ofKind = (kinds) => workers.filter((_, i) => kinds.includes(now.workers[i].kind));
  const count = sum(workers, (r) => r.count), busyMs = sum(workers, (r) => r.busyMs);
  return {
    workers,
    served: sum(ofKind(['worker', 'event']), (r) => r.requests),
    tasks: sum(ofKind(['task']), (r) => r.requests),
    alive,
    busy: alive > 0 ? busyMs / ms / alive : 0,
    master: Math.min(1, Math.max(0, now.master.busyTimeMs - before.master.busyTimeMs) / ms),
    perRequest: count > 0 ? busyMs / count : null,
  };
}

const isServer = (snapshot) => snapshot.kind === 'server';
const stages = (snapshot, names) => snapshot.workers.filter((worker) => names.includes(worker.stage)).length;

const CHARTS = [
  { title: 'Throughput, per second', format: short, series: [
    { name: 'requests', pick: (p) => p.rates.served },
    { name: 'tasks', pick: (p) => p.rates.tasks, when: (s) => s.tasks !== null },
  ] },
  { title: 'Mean time of a request, ms', format: short, series: [{ name: 'busy time per request', pick: (p) => p.rates.perRequest }] },
  { title: 'Busy', format: percent, top: 1, series: [
    { name: 'workers', pick: (p) => p.rates.busy },
    { name: "master's event loop", pick: (p) => p.rates.master },
  ] },
  { title: 'Workers', format: short, whole: true, series: [
    { name: 'running', pick: (p) => p.now.total.workers },
    { name: 'busy', pick: (p) => p.rates.busy * p.rates.alive },
    { name: 'starting, ending', pick: (p) => stages(p.now, ['starting', 'draining']) },
  ] },
  { title: 'Waiting', format: short, whole: true, series: [
    { name: 'queued', pick: (p) => p.now.total.queued },
    { name: 'tasks in flight', pick: (p) => p.now.tasks.inFlight, when: (s) => s.tasks !== null },
    { name: 'connections', pick: (p) => p.now.connections.open, when: (s) => s.connections !== null },
  ] },
  { title: 'Memory (PSS)', format: bytes, binary: true, series: [
    { name: 'all', pick: (p) => p.now.total.pssBytes + p.now.master.pssBytes + (p.now.manager ? p.now.manager.pssBytes : 0) },
    { name: 'workers', pick: (p) => p.now.total.pssBytes },
  ] },
];

function niceTop(value, { whole, binary }) {
  if (binary) {
    const unit = Math.pow(1024, Math.floor(Math.log(Math.max(1, value)) / Math.log(1024)));
    return niceTop(value / unit, {}) * unit;
  }
  if (!(value > 0)) return whole ? 2 : 1;
  const power = Math.pow(10, Math.floor(Math.log10(value)));
  const step = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= value);
  const top = step * power;
  return whole ? Math.ceil(top / 2) * 2 : top;
}

class Chart {
  constructor(plan, snapshot) {
    this.plan = plan;
    this.series = plan.series.filter((series) => !series.when || series.when(snapshot));
    const box = make('div', byId('charts'), { class: 'chart' });
    const head = make('div', box, { class: 'head' });
    make('h2', head, {}, plan.title);
    const legend = make('ul', head, { class: 'legend' });
    this.values = this.series.map((series, i) => {
      const item = make('li', legend);
      make('i', item, { class: 's' + (i + 1) });
      item.append(series.name + ' ');
      return make('b', item, {}, '–');
    });
    this.svg = make('svg:svg', box, { role: 'img', 'aria-label': plan.title, preserveAspectRatio: 'none' });
    this.hover = null;
    this.svg.addEventListener('pointermove', (event) => { this.hover = event.offsetX; this.draw(); });
    this.svg.addEventListener('pointerleave', () => { this.hover = null; this.draw(); });
  }

  draw() {
    const width = this.svg.clientWidth || WIDTH;
    const inner = width - LEFT, bottom = HEIGHT - BOTTOM;
    this.svg.setAttribute('viewBox', '0 0 ' + width + ' ' + HEIGHT);
    this.svg.replaceChildren();
    const columns = this.series.map((series) => points.map(series.pick));
    const highest = Math.max(0, ...columns.flat().filter((value) => value !== null));
    const top = this.plan.top || niceTop(highest, this.plan);
    const x = (index) => LEFT + (index + KEPT - points.length) * inner / (KEPT - 1);
    const y = (value) => bottom - Math.min(1, value / top) * (bottom - TOP);
    for (const part of [0, 0.5, 1]) {
      make('svg:line', this.svg, { class: 'grid', x1: LEFT, x2: width, y1: y(top * part), y2: y(top * part) });
      make('svg:text', this.svg, { x: LEFT - 6, y: y(top * part) + 4, 'text-anchor': 'end' }, this.plan.format(top * part));
    }
    make('svg:text', this.svg, { x: LEFT, y: HEIGHT - 2 }, '3 min ago');
    make('svg:text', this.svg, { x: width, y: HEIGHT - 2, 'text-anchor': 'end' }, 'now');
    columns.forEach((values, i) => this.line(values, i, x, y, bottom));
    this.mark(columns, x, y, bottom, inner);
  }

  line(values, index, x, y, bottom) {
    let path = '', area = '', open = false, from = 0;
    values.forEach((value, i) => {
      if (value === null) { open = false; return; }
      if (!open) from = i;
      path += (open ? 'L' : 'M') + x(i).toFixed(1) + ' ' + y(value).toFixed(1);
      open = true;
      if (i === values.length - 1 || values[i + 1] === null) area += 'L' + x(i).toFixed(1) + ' ' + bottom + 'L' + x(from).toFixed(1) + ' ' + bottom + 'Z';
    });
    if (this.series.length === 1 && !values.includes(null)) make('svg:path', this.svg, { class: 'fill s1', d: path + area });
    make('svg:path', this.svg, { class: 's' + (index + 1), d: path });
  }

  mark(columns, x, y, bottom, inner) {
    let index = points.length - 1;
    if (this.hover !== null) {
      const raw = Math.round((this.hover - LEFT) * (KEPT - 1) / inner) - KEPT + points.length;
      index = Math.min(points.length - 1, Math.max(0, raw));
      make('svg:line', this.svg, { class: 'hair', x1: x(index), x2: x(index), y1: TOP, y2: bottom });
      const time = new Date(points[index].now.time).toLocaleTimeString();
      make('svg:text', this.svg, { x: Math.min(x(index) + 4, LEFT + inner - 60), y: TOP + 8 }, time);
    }
    columns.forEach((values, i) => {
      const value = values[index];
      this.values[i].textContent = value === null || value === undefined ? '–' : this.plan.format(value);
      if (this.hover !== null && value !== null && value !== undefined) make('svg:circle', this.svg, { class: 's' + (i + 1), cx: x(index), cy: y(value), r: 3.5 });
    });
  }
}

let charts = null;

function tiles({ now, rates }) {
  const all = [
    ['Requests', short(rates.served), '/s'],
    ['Busy', percent(rates.busy), ''],
    ['Mean time', short(rates.perRequest), rates.perRequest === null ? '' : ' ms'],
    ['Workers', now.total.workers + '', ' of ' + now.workers.length],
    ['Waiting', short(now.total.queued), ''],
  ];
  if (now.connections) all.push(['Connections', short(now.connections.open), '']);
  if (now.tasks) all.push(['Tasks in flight', short(now.tasks.inFlight), '']);
  all.push(['Memory (PSS)', bytes(now.total.pssBytes + now.master.pssBytes + (now.manager ? now.manager.pssBytes : 0)), '']);
  byId('tiles').replaceChildren(...all.map(([title, value, unit]) => {
    const tile = make('div', null, { class: 'tile' });
    make('h2', tile, {}, title);
    make('small', make('p', tile, {}, value), {}, unit);
    return tile;
  }));
}

function spark(cell, values) {
  const svg = make('svg:svg', cell, { viewBox: '0 0 140 22', 'aria-hidden': 'true' });
  const step = 140 / 59, from = 60 - values.length;
  const path = values.map((value, i) => (i === 0 ? 'M' : 'L') + ((from + i) * step).toFixed(1) + ' ' + (20 - value * 18).toFixed(1)).join('');
  if (values.length > 1) make('svg:path', svg, { class: 's1', d: path });
}

function rows({ now, rates }) {
  byId('rows').replaceChildren(...now.workers.map((worker, i) => {
    const own = rates.workers[i], row = make('tr');
    const history = busyOf.get(worker.id) || [];
    const cell = (text, name) => make('td', row, name ? { class: name } : {}, text);
    const dim = (value) => (value === 0 ? 'dim' : '');
    cell(worker.id);
    cell(worker.kind);
    cell(worker.pid === null ? '–' : worker.pid);
    make('span', cell('', 'text'), { class: 'stage ' + worker.stage }, worker.stage === 'none' ? 'not running' : worker.stage);
    cell(worker.pid === null ? '–' : age(worker.uptimeMs));
    cell(worker.restarts, dim(worker.restarts));
    cell(short(own.requests), dim(own.requests));
    cell(percent(own.busy), dim(own.busy));
    cell(short(own.perRequest), own.perRequest === null ? 'dim' : '');
    cell(short(worker.queued), dim(worker.queued));
    cell(short(worker.running), dim(worker.running));
    cell(bytes(worker.rssBytes));
    cell(bytes(worker.pssBytes));
    spark(cell('', 'text'), history);
    return row;
  }));
}

function subtitle(now) {
  const kind = isServer(now) ? 'server, ' + now.mode + ' mode' : 'pool';
  const pids = 'master ' + now.master.pid + (now.manager ? ', manager ' + now.manager.pid : '');
  byId('title').textContent = now.script;
  document.title = now.script + ' – prefork';
  byId('subtitle').textContent = [kind, pids, 'up ' + age(now.time - now.startedAt), 'generation ' + now.generation, 'Node ' + now.node].join(' · ')
    + (now.stopping ? ' · stopping' : '');
}

function take(now) {
  if (last !== null && last.master.pid !== now.master.pid) { points.length = 0; busyOf.clear(); last = null; }
  subtitle(now);
  if (charts === null) charts = CHARTS.map((plan) => new Chart(plan, now));
  const point = { now, rates: rates(last || now, now) };
  if (last !== null) {
    points.push(point);
    if (points.length > KEPT) points.shift();
    now.workers.forEach((worker, i) => {
      const history = busyOf.get(worker.id) || [];
      history.push(point.rates.workers[i].busy);
      busyOf.set(worker.id, history.slice(-60));
    });
  }
  last = now;
  tiles(point);
  rows(point);
  for (const chart of charts) chart.draw();
}

function link(state, text) {
  byId('link').className = state;
  byId('link').textContent = text;
}

let silence;
/** A master whose event loop is blocked keeps the connection open. */
function hear() {
  link('live', 'live');
  clearTimeout(silence);
  silence = setTimeout(() => link('waiting', 'no answer'), SILENCE_MS);
}

const events = new EventSource('events');
events.onopen = hear;
events.onmessage = (event) => { hear(); take(JSON.parse(event.data)); };
events.onerror = () => { clearTimeout(silence); link('waiting', 'no connection'); };
addEventListener('resize', () => { for (const chart of charts || []) chart.draw(); });
`;
