import { expect } from 'chai';
import { runFixture, type FixtureResult } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

/** What the parent does by itself: its listeners run once, and its exit code is the one it has set. */
const PARENT = { parent: ['beforeExit', 'exit'], own: 9 };

const endings: [ending: string, title: string, code: number, notes?: string[]][] = [
  ['at-once', 'its callback returns', 0],
  ['after-timer', 'its last timer has run', 0, ['timer']],
  ['exit-code', 'by itself with process.exitCode', 7],
  ['exit-code-in-timer', 'by itself with an exitCode of a timer', 7],
  ['exit', 'by process.exit() in its callback', 6],
  ['exit-in-timer', 'by process.exit() in a timer', 6],
  ['exit-in-microtask', 'by process.exit() in a microtask', 6],
  ['exit-in-promise', 'by process.exit() in a promise', 6],
  ['exit-of-object', 'by exit() of its Process', 6],
  [
    'handled-exception',
    'later when its own listener took the exception',
    0,
    ['goes on', 'handled thrown in the child'],
  ],
  [
    'handled-rejection',
    'later when its own listener took the rejection',
    0,
    ['handled rejected in the child'],
  ],
  ['own-listeners', 'through its own listeners', 3, ['own beforeExit 3', 'own exit 3']],
  ['listeners-and-exit', 'through its exit listeners only by process.exit()', 3, ['own exit 3']],
  ['exit-changes-code', 'with the exitCode of its exit listener', 4],
  [
    'before-exit-works-on',
    'once beforeExit starts nothing new',
    0,
    ['new work', 'new work', ...Array<string>(3).fill('own beforeExit')],
  ],
  ['before-exit-microtask', 'after work that beforeExit starts in a microtask', 0, ['new work']],
];

const failures: [ending: string, title: string][] = [
  ['throws', 'throws in its callback'],
  ['throws-in-timer', 'throws in a timer'],
  ['throws-in-tick', 'throws in a tick'],
  ['rejects', 'rejects'],
  ['rejects-later', 'rejects later'],
];

function run(ending: string): Promise<FixtureResult> {
  return runFixture('fork/endings.js', { args: [ending] });
}

describe('fork: a child ends', () => {
  assertNothingLeaks();

  for (const [ending, title, code, notes = []] of endings) {
    it(`${title}, without the parent's listeners and exitCode`, async () => {
      const result = await run(ending);
      expect(result.stderr).to.equal('');
      const expected = { code, signal: 0, child: notes, ...PARENT };
      expect(JSON.parse(result.stdout)).to.deep.equal(expected);
      expect(result.code).to.equal(9);
    });
  }

  for (const [ending, title] of failures) {
    it(`with code 1 and its stack on stderr when it ${title}`, async () => {
      const result = await run(ending);
      expect(result.stderr).to.match(/Error: thrown in the child\n +at .*fail .*endings\.js:\d+/);
      const expected = { code: 1, signal: 0, child: [], ...PARENT };
      expect(JSON.parse(result.stdout)).to.deep.equal(expected);
    });
  }
});
