/**
 * The terminal as a screen of lines, on its alternate buffer, so that what was there before comes back.
 * Only lines that have changed are sent: over a slow connection that is most of the time next to nothing.
 */
import type { ReadStream, WriteStream } from 'node:tty';
import { keysOf, type Key } from './keys';
import type { Screen } from './render';

const ESC = '\x1b[';
/** The alternate buffer, no cursor, no wrapping; and back. */
const ENTER = `${ESC}?1049h${ESC}?25l${ESC}?7l${ESC}2J`;
const LEAVE = `${ESC}?7h${ESC}?25h${ESC}?1049l`;
const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const LEAST_WIDTH = 20;
const LEAST_HEIGHT = 4;

export interface TerminalEvents {
  key: (key: Key) => void;
  resize: () => void;
  /** Told to end from outside. */
  end: () => void;
}

export class Terminal {
  readonly #input: ReadStream;
  readonly #output: WriteStream;
  readonly #events: TerminalEvents;
  readonly #env: NodeJS.ProcessEnv;
  #shown: string[] = [];
  #open = false;

  constructor(
    input: ReadStream,
    output: WriteStream,
    events: TerminalEvents,
    env: NodeJS.ProcessEnv,
  ) {
    this.#input = input;
    this.#output = output;
    this.#events = events;
    this.#env = env;
  }

  get screen(): Screen {
    return {
      width: Math.max(LEAST_WIDTH, this.#output.columns || 80),
      height: Math.max(LEAST_HEIGHT, this.#output.rows || 24),
      ...abilities(this.#env),
    };
  }

  open(): void {
    this.#open = true;
    this.#output.write(ENTER);
    this.#output.on('resize', this.#onResize);
    this.#output.on('error', this.#events.end);
    this.#input.setRawMode(true).setEncoding('utf8').resume().on('data', this.#onInput);
    // The terminal is gone.
    this.#input.once('end', this.#events.end);
    for (const signal of ENDING) process.on(signal, this.#events.end);
    process.once('exit', this.#restore);
  }

  draw(lines: readonly string[]): void {
    if (!this.#open) return;
    let text = '';
    lines.forEach((line, index) => {
      // Cleared first: behind a line of the full width the cursor stands on its last character.
      if (this.#shown[index] !== line) text += `${ESC}${index + 1};1H${ESC}K${line}${ESC}0m`;
    });
    this.#shown = [...lines];
    if (text !== '') this.#output.write(text);
  }

  /** The next draw() sends everything. */
  forget(): void {
    this.#shown = [];
    if (this.#open) this.#output.write(`${ESC}2J`);
  }

  close(): void {
    if (!this.#open) return;
    this.#output.off('resize', this.#onResize);
    this.#input.off('data', this.#onInput).pause();
    for (const signal of ENDING) process.off(signal, this.#events.end);
    process.off('exit', this.#restore);
    this.#restore();
  }

  readonly #restore = (): void => {
    if (!this.#open) return;
    this.#open = false;
    if (this.#input.isTTY) this.#input.setRawMode(false);
    this.#output.write(LEAVE);
  };

  readonly #onResize = (): void => {
    this.forget();
    this.#events.resize();
  };

  readonly #onInput = (data: string | Buffer): void => {
    for (const key of keysOf(String(data))) this.#events.key(key);
  };
}

/** See no-color.org; locale(7). */
export function abilities(env: NodeJS.ProcessEnv): Pick<Screen, 'color' | 'unicode'> {
  const locale = env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || '';
  return {
    color: (env['NO_COLOR'] ?? '') === '',
    unicode: /utf-?8/i.test(locale),
  };
}

/** Whether a screen can be drawn at all. */
export function isScreen(
  input: { isTTY?: boolean },
  output: { isTTY?: boolean },
  env: NodeJS.ProcessEnv,
): boolean {
  return input.isTTY === true && output.isTTY === true && (env['TERM'] ?? 'dumb') !== 'dumb';
}
