import { expect } from 'chai';
import { History } from '../../../lib/cli/history';
import { render, tableHeight, type Screen, type View } from '../../../lib/cli/render';
import { widthOf } from '../../../lib/cli/text';
import type { Snapshot, WorkerSnapshot } from '../../../lib/control/snapshot';
import { poolAt, serverAt, workerAt } from './snapshots';

const PLAIN: Screen = { width: 80, height: 24, color: false, unicode: true };

const ESC = '\x1b';
// eslint-disable-next-line no-control-regex -- these are what is looked for
const STYLE = /\x1b\[\d*m/g;

function viewOf(snapshots: Snapshot[], change: Partial<View> = {}): View {
  const history = new History();
  for (const snapshot of snapshots) history.add(snapshot);
  const nothing = { notice: '', question: '', slowLog: null, silentMs: 0 };
  return { history, selected: 0, scroll: 0, ...nothing, ...change };
}

const workers = (
  count: number,
  change: (id: number) => Partial<WorkerSnapshot> = () => ({}),
): WorkerSnapshot[] => Array.from({ length: count }, (_, id) => workerAt(id, change(id)));

describe('screen of prefork top', () => {
  const busyPool = (): View =>
    viewOf([
      poolAt(0, workers(2)),
      poolAt(1000, [
        workerAt(0, { requests: 40, busyTimeMs: 250, queued: 3 }),
        workerAt(1, { stage: 'busy', requests: 10, busyTimeMs: 750, restarts: 2 }),
      ]),
    ]);

  it('shows a pool', () => {
    const lines = render(busyPool(), PLAIN);
    expect(lines[0]).to.match(
      /^app\.js · pool · up 1h00m · generation 2 · Node v24\.0\.0 +\d\d:\d\d:\d\d$/,
    );
    expect(lines[1]).to.match(
      /^50\.0 req\/s {2}busy 50% {2}20\.0 ms\/req {2}queue 3 {2}mem 43M +█$/,
    );
    expect(lines[2]).to.equal('master 4000: busy 0%, 19M   workers 2/2, 1 idle, 1 busy');
    expect(lines[4]).to.match(
      /^ {2}ID +PID STAGE +UP +RST +REQ\/S BUSY MS\/REQ QUEUE +RSS +PSS {2}TREND *$/,
    );
    expect(lines[5]).to.match(/^> {2}0 +5000 idle +1m30s +0 +40\.0 +25% +6\.3 +3 +40M +12M +▃$/);
    expect(lines[6]).to.match(/^ {3}1 +5001 busy +1m30s +2 +10\.0 +75% +75\.0 +0 +40M +12M +▆$/);
    expect(lines[23]).to.equal('q quit  r reload  k stop worker  ↑↓ select');
  });

  it('shows a server: kinds of workers, connections, tasks, the manager', () => {
    const kind = (id: number) => ({ kind: id === 0 ? 'event' : 'task' }) as const;
    const lines = render(viewOf([serverAt(0, workers(2, kind)), serverAt(500, workers(2, kind))]), {
      ...PLAIN,
      width: 120,
    });
    const text = lines.join('\n');
    expect(lines[0]).to.include('server (process)');
    expect(lines[1]).to.include('conns 1234').and.include('tasks 7').and.include('0 tasks/s');
    expect(lines[2]).to.include('manager 4001: 9.5M');
    expect(text)
      .to.match(/^> {2}0 event /m)
      .and.match(/^ {3}1 task /m);
    expect(lines.at(-1)).to.include('t reload tasks');
  });

  it('has as many lines as the terminal, none wider, at every size', () => {
    const many = [
      serverAt(0, workers(50)),
      serverAt(
        1000,
        workers(50, (id) => ({ requests: id * 1e6 })),
      ),
    ];
    const views = [
      viewOf([]),
      viewOf(many),
      viewOf(many, { question: 'end worker 1?' }),
      viewOf(many, { notice: '日本語'.repeat(50) }),
      viewOf(many, { slowLog: ['x'.repeat(300), '日本語'.repeat(50)] }),
    ];
    for (const view of views) {
      for (let width = 20; width <= 240; width += 11) {
        for (const height of [4, 5, 7, 24, 60]) {
          for (const color of [true, false]) {
            const lines = render(view, { width, height, color, unicode: true });
            expect(lines).to.have.length(height);
            const widths = lines.map((line) => widthOf(line.replaceAll(STYLE, '')));
            expect(Math.max(...widths), `${String(width)}x${String(height)}`).to.be.at.most(width);
          }
        }
      }
    }
  });

  it('closes every style in its line', () => {
    for (const line of render(busyPool(), { ...PLAIN, color: true })) {
      const codes = line.match(STYLE) ?? [];
      expect(codes.length % 2).to.equal(0);
      if (codes.length > 0) expect(codes.at(-1)).to.equal('\x1b[0m');
    }
  });

  it('shows the workers from the first in view on, and marks the selected one', () => {
    const view = viewOf([poolAt(0, workers(40))], { scroll: 10, selected: 12 });
    const lines = render(view, PLAIN);
    const shown = lines.slice(5, -1);
    expect(shown).to.have.length(tableHeight(PLAIN));
    expect(shown[0]).to.match(/^ +10 /);
    expect(shown[2]).to.match(/^> *12 /);
    const colored = render(view, { ...PLAIN, color: true }).slice(5, -1);
    expect(colored[2]?.startsWith(`${ESC}[7m`)).to.equal(true);
  });

  it('shows what is down, starting, and ending', () => {
    const stages = ['none', 'starting', 'draining'] as const;
    const down = stages.map((stage, id) => workerAt(id, { stage, ...(id === 0 && { pid: null }) }));
    const lines = render(viewOf([poolAt(0, down)], { selected: 2 }), {
      ...PLAIN,
      color: true,
    });
    expect(lines[5]?.replace(ESC, '')).to.match(/^\[31m +0 +- down +- /);
    expect(lines[6]?.replace(ESC, '')).to.match(/^\[33m +1 +5001 starting/);
    expect(lines[7]).to.include('draining');
    expect(render(viewOf([poolAt(0, workers(1), { stopping: true })]), PLAIN)[0]).to.include(
      'STOPPING',
    );
  });

  it('is ASCII where the terminal is', () => {
    const lines = render(busyPool(), { ...PLAIN, unicode: false });
    expect(lines.join('')).to.match(/^[\x20-\x7e]*$/);
    expect(render(viewOf([]), { ...PLAIN, unicode: false })[0]).to.equal('connecting ...');
  });

  it('shows the slow log, with nothing in it that the terminal obeys', () => {
    const slowLog = ['first', 'evil \x1b[2J\x1b]0;x\x07', 'last'];
    const lines = render(viewOf([poolAt(0, workers(1))], { slowLog, scroll: 1 }), PLAIN);
    expect(lines.slice(4, 8).map((line) => line.trim())).to.deep.equal([
      'SLOW LOG',
      'evil [2J]0;x',
      'last',
      '',
    ]);
    expect(lines.at(-1)).to.match(/back to the workers/);
    const none = render(viewOf([poolAt(0, workers(1))], { slowLog: [] }), PLAIN);
    expect(none[5]).to.equal('no request was slow');
  });

  it('shows a question before a notice before the keys', () => {
    const last = (change: Partial<View>) => render(viewOf([], change), PLAIN).at(-1);
    expect(last({ question: 'really?', notice: 'done' })).to.equal('really? [y/n]');
    expect(last({ notice: 'done' })).to.equal('done');
  });

  it('leaves out whole parts where there is no room, and never what is wrong', () => {
    const script = 'the-name-of-an-application-server-that-is-long.js';
    const large = { pid: 4_194_304, rssBytes: 0, pssBytes: 2 ** 37 };
    const at = (time: number): Snapshot => ({
      ...{ ...serverAt(time, workers(100)), script, stopping: true },
      ...{ master: { ...large, busyTimeMs: time }, manager: large },
    });
    const view = viewOf([at(0), at(1000)]);
    const [title, totals, processes] = render(view, PLAIN);
    expect(title).to.match(
      /^the-name-of-an-application-server-that-is-long\.js · up 1h00m +STOPPING {2}[\d:]{8}$/,
    );
    expect(totals).to.equal(
      '0 req/s  0 tasks/s  busy 0%  - ms/req  queue 0  conns 1234  tasks 7  mem 257G',
    );
    expect(processes).to.match(
      /^master 4194304: busy 100%, 128G {3}workers 100\/100, 100 idle, 0 busy$/,
    );
    const narrow = render(view, { ...PLAIN, width: 60 });
    expect(narrow[0]).to.match(/^the-name-of-an-application-server-that-is +STOPPING /);
    expect(narrow[1]).to.match(/^0 req\/s {2}0 tasks\/s {2}busy 0% {2}queue 0 .* mem 257G$/);
  });

  it('says when what it shows is old', () => {
    const view = viewOf([poolAt(0, workers(1))], { silentMs: 12_400 });
    expect(render(view, PLAIN)[0]).to.match(/^app\.js · .* NO ANSWER for 12s {2}[\d:]{8}$/);
    const before = render(viewOf([], { silentMs: 7000 }), PLAIN)[0];
    expect(before).to.equal('connecting …  NO ANSWER for 7s');
  });

  it('does not trust a script name', () => {
    const view = viewOf([poolAt(0, workers(1), { script: 'a\x1b[31m.js' })]);
    expect(render(view, PLAIN)[0]).to.match(/^a\[31m\.js /);
  });
});
