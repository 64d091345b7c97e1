/**
 * How much memory do workers need that work on the same 200 MB of data, parent included?
 *
 * The data are in a Buffer: the collector neither marks nor moves them.
 */
import { freemem } from 'node:os';
import { alternate, closeAll } from './support/alternate';
import type { Options, Question } from './support/cli';
import { compare, type Section } from './support/report';
import { Subject } from './support/subject';

const ROUNDS = 3;
const WORKERS = 8;
const MB = 1024 * 1024;
/** What so many copies of the data need, with the processes around them. */
const NEEDED_BYTES = WORKERS * 260 * MB;
/** 40 % of the memory. */
const TARGET = 1 / 0.4;

async function* answer({ quick }: Options): AsyncGenerator<Section> {
  if (freemem() < NEEDED_BYTES) {
    console.log(`    skipped: it takes ${String(NEEDED_BYTES / MB)} MB of free memory`);
    return;
  }
  const prefork = Subject.ofFixture('prefork, loaded once in the master', 'memory/prefork.js');
  const peer = Subject.ofFixture('child_process.fork, loaded in each', 'memory/child-process.js');
  const request = String(WORKERS);
  const results = await alternate(
    [
      { subject: prefork, request },
      { subject: peer, request, target: TARGET },
    ],
    quick ? 1 : ROUNDS,
  );
  await closeAll([prefork, peer]);
  const title = `PSS of a parent and ${request} workers with 200 MB of data`;
  yield compare({ title, unit: 'MB', better: 'lower' }, results);
}

export const question: Question = { title: 'how much memory do workers share?', answer };
