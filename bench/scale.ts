/**
 * How does the cost grow with the number of workers?
 *
 *   start      until all of them have answered
 *   messages   of 64 bytes, from the master to all of them in turn, as fast as they handle them together
 *   cpu        what one such message costs the master
 */
import { alternate, closeAll } from './support/alternate';
import type { Options, Question } from './support/cli';
import { compare, type Section } from './support/report';
import { Subject } from './support/subject';

const SIZES = [1, 4, 16, 64];
const ROUNDS = 3;
const MESSAGES = 20_000;

const CASES = [
  { what: 'start', title: 'start', unit: 'ms', better: 'lower', args: '' },
  {
    what: 'messages',
    title: 'messages of 64 B to all in turn',
    unit: 'thousand messages a second',
    better: 'higher',
    args: ` ${String(MESSAGES)}`,
  },
  {
    what: 'cpu',
    title: "the master's CPU",
    unit: 'µs a message',
    better: 'lower',
    args: ` ${String(MESSAGES)}`,
  },
] as const;

async function* answer({ quick }: Options): AsyncGenerator<Section> {
  const prefork = Subject.ofFixture('prefork', 'scale/prefork.js');
  const childProcess = Subject.ofFixture('child_process.fork', 'scale/child-process.js');
  for (const { what, title, unit, better, args } of CASES) {
    for (const size of quick ? [1, 16] : SIZES) {
      const request = `${what} ${String(size)}${args}`;
      const results = await alternate(
        [
          { subject: prefork, request },
          { subject: childProcess, request },
        ],
        quick ? 1 : ROUNDS,
      );
      const workers = size === 1 ? '1 worker' : `${String(size)} workers`;
      yield compare({ title: `${title}, ${workers}`, unit, better }, results);
    }
  }
  await closeAll([prefork, childProcess]);
}

export const question: Question = { title: 'how does the cost grow with the workers?', answer };
