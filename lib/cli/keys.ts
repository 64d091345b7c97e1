/** Names of the keys in what a terminal in raw mode sends. */

export type Key = string;

const SEQUENCES: Readonly<Record<string, Key>> = {
  '[A': 'up',
  OA: 'up',
  '[B': 'down',
  OB: 'down',
  '[5~': 'pageup',
  '[6~': 'pagedown',
  '[H': 'home',
  OH: 'home',
  '[1~': 'home',
  '[F': 'end',
  OF: 'end',
  '[4~': 'end',
};

const CONTROLS: Readonly<Record<string, Key>> = {
  '\x03': 'quit',
  '\x04': 'quit',
  '\x0c': 'redraw',
  '\x1b': 'escape',
};

// eslint-disable-next-line no-control-regex -- an escape sequence begins with one
const TOKEN = /\x1b(?:\[[0-9;?]*[A-Za-z~]|O[A-Z])|[^]/gu;

/** Keys in the order in which they were hit; sequences that mean nothing here are left out. */
export function keysOf(input: string): Key[] {
  return [...input.matchAll(TOKEN)].flatMap(([token]) => {
    if (token.length > 1 && token.startsWith('\x1b')) {
      const key = SEQUENCES[token.slice(1)];
      return key === undefined ? [] : [key];
    }
    return [CONTROLS[token] ?? token];
  });
}
