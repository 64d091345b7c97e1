/** `prefork top` on a terminal: draws each snapshot, and does what the keys say. */
import type { ReadStream, WriteStream } from 'node:tty';
import type { ControlClient } from './client';
import { History } from './history';
import type { Key } from './keys';
import { render, tableHeight, type View } from './render';
import { Terminal } from './terminal';

const NOTICE_MS = 4000;
/** A snapshot may be late by so much before that is told. */
const LATE_MS = 4000;
const CHECK_MS = 1000;

export class Top {
  readonly #client: ControlClient;
  readonly #terminal: Terminal;
  readonly #view: View = {
    history: new History(),
    selected: 0,
    scroll: 0,
    notice: '',
    question: '',
    slowLog: null,
    silentMs: 0,
  };
  #heardAt = 0;
  #noticeTimer: NodeJS.Timeout | null = null;
  /** What "y" does. */
  #onYes: (() => void) | null = null;
  #finish!: () => void;
  readonly #finished: Promise<void>;

  constructor(
    client: ControlClient,
    input: ReadStream,
    output: WriteStream,
    env: NodeJS.ProcessEnv,
  ) {
    this.#client = client;
    this.#finished = new Promise((resolve) => {
      this.#finish = resolve;
    });
    const events = {
      key: (key: Key): void => {
        this.#onKey(key);
      },
      resize: (): void => {
        this.#draw();
      },
      end: this.#finish,
    };
    this.#terminal = new Terminal(input, output, events, env);
  }

  /** Resolves when the user has quit (true), or what is looked at has ended. */
  async run(intervalMs: number): Promise<boolean> {
    this.#terminal.open();
    this.#heardAt = performance.now();
    const check = setInterval(() => {
      this.#listen(intervalMs);
    }, CHECK_MS);
    try {
      this.#draw();
      this.#client.watch(intervalMs, (snapshot) => {
        this.#heardAt = performance.now();
        this.#view.silentMs = 0;
        this.#view.history.add(snapshot);
        this.#draw();
      });
      const ended = this.#client.closed.then(() => false);
      return await Promise.race([this.#finished.then(() => true), ended]);
    } finally {
      clearInterval(check);
      if (this.#noticeTimer !== null) clearTimeout(this.#noticeTimer);
      this.#terminal.close();
      this.#client.close();
    }
  }

  /** What is on the screen may be old: a master whose event loop is blocked does not say so. */
  #listen(intervalMs: number): void {
    const silentMs = performance.now() - this.#heardAt;
    if (silentMs < intervalMs + LATE_MS) return;
    this.#view.silentMs = silentMs;
    this.#draw();
  }

  #draw(): void {
    const { screen } = this.#terminal;
    this.#keepInView(tableHeight(screen));
    this.#terminal.draw(render(this.#view, screen));
  }

  #onKey(key: Key): void {
    if (key === 'quit' || (key === 'q' && this.#view.question === '')) {
      this.#finish();
      return;
    }
    if (this.#view.question !== '') this.#onAnswer(key);
    else if (this.#view.slowLog !== null) this.#onLogKey(key);
    else this.#onTableKey(key);
    this.#draw();
  }

  #onAnswer(key: Key): void {
    this.#view.question = '';
    if (key === 'y' || key === 'Y') this.#onYes?.();
    this.#onYes = null;
  }

  #onLogKey(key: Key): void {
    if (key === 's' || key === 'escape') {
      this.#view.slowLog = null;
      this.#view.scroll = 0;
    } else this.#view.scroll += this.#step(key);
  }

  #onTableKey(key: Key): void {
    switch (key) {
      case 'r':
        void this.#reload(false);
        return;
      case 't':
        void this.#reload(true);
        return;
      case 'k':
        this.#askToStop();
        return;
      case 's':
        void this.#showSlowLog();
        return;
      case 'redraw':
        this.#terminal.forget();
        return;
      default:
        this.#view.selected += this.#step(key);
    }
  }

  #step(key: Key): number {
    const page = Math.max(1, tableHeight(this.#terminal.screen) - 1);
    const steps: Record<Key, number> = {
      ...{ up: -1, down: 1, pageup: -page, pagedown: page },
      ...{ home: -Infinity, end: Infinity },
    };
    return steps[key] ?? 0;
  }

  #keepInView(height: number): void {
    const view = this.#view;
    if (view.slowLog !== null) {
      view.scroll = within(view.scroll, 0, view.slowLog.length - height);
      return;
    }
    const workers = view.history.now?.workers.length ?? 0;
    view.selected = within(view.selected, 0, workers - 1);
    view.scroll = within(view.scroll, view.selected - height + 1, view.selected);
    view.scroll = within(view.scroll, 0, workers - height);
  }

  async #reload(onlyTasks: boolean): Promise<void> {
    if (onlyTasks && this.#view.history.now?.kind === 'pool') {
      this.#notice('a pool has no task workers');
      return;
    }
    this.#notice(onlyTasks ? 'reloading task workers …' : 'reloading …');
    await this.#try(async () => {
      const report = await this.#client.ask('reload', { onlyTasks });
      if (report === null) return;
      const { replaced, killed, failed, durationMs } = report;
      const problem = failed === undefined ? '' : `, stopped: worker ${failed} does not start`;
      this.#notice(`reloaded: ${replaced} replaced, ${killed} killed, ${durationMs} ms${problem}`);
    });
  }

  #askToStop(): void {
    const worker = this.#view.history.now?.workers[this.#view.selected];
    if (worker === undefined) return;
    const pid = worker.pid === null ? '' : ` (pid ${worker.pid})`;
    this.#view.question = `end worker ${worker.id}${pid} in good order, and start another?`;
    this.#onYes = () => {
      void this.#try(async () => {
        await this.#client.ask('stopWorker', { workerId: worker.id });
        this.#notice(`worker ${worker.id} was told to end`);
      });
    };
  }

  async #showSlowLog(): Promise<void> {
    await this.#try(async () => {
      const text = await this.#client.ask('slowLog');
      this.#view.slowLog = text.split('\n').filter((line) => line !== '');
      this.#view.scroll = Infinity;
    });
    this.#draw();
  }

  async #try(action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      this.#notice((error as Error).message);
    }
  }

  #notice(text: string): void {
    this.#view.notice = text;
    if (this.#noticeTimer !== null) clearTimeout(this.#noticeTimer);
    this.#noticeTimer = setTimeout(() => {
      this.#view.notice = '';
      this.#draw();
    }, NOTICE_MS).unref();
    this.#draw();
  }
}

function within(value: number, min: number, max: number): number {
  return Math.max(min, Math.min(value, Math.max(min, max)));
}
