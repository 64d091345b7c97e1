/**
 * Refuses the forks that cannot be made safe, and warns of those that may not be (step A1 of the recipe).
 */
import { url as inspectorUrl } from 'node:inspector';
import { PreforkError } from '../errors';
import { isMainThread, takeCensus } from './thread-census';

const TESTED_LINES = [20, 22, 24, 26];

/** From here on a fork survives a running CPU profiler. */
const PROFILER_SAFE_LINE = 24;

/** What threads of other libraries mean for a fork. */
export type ForeignThreads = 'warn' | 'error' | 'ignore';

let foreignThreads: ForeignThreads = 'warn';

const warned = new Set<string>();

export function setForeignThreads(reaction: ForeignThreads): void {
  foreignThreads = reaction;
}

/**
 * @throws PreforkError ERR_UNSAFE_FORK naming what is in the way
 */
export function checkForkIsSafe(): void {
  if (!isMainThread()) {
    throw unsafe('from a Worker thread: only that thread would live on. Fork from the main thread');
  }
  if (isEnding()) {
    throw unsafe(
      'while this process ends (in an exit listener): the event loop that the child would run is over. ' +
        'Fork before process.exit(), or in a beforeExit listener',
    );
  }
  warnOfUntestedNode();
  warnOfInspector();
  checkThreads();
}

function checkThreads(): void {
  const { workers, profiler, foreign } = takeCensus();
  if (workers.length > 0) {
    throw unsafe(
      `while Worker threads run (${workers.join(', ')}): they would be lost in the ` +
        'child, with every lock they hold. End them first, or start them after the fork',
    );
  }
  if (profiler && nodeLine() < PROFILER_SAFE_LINE) {
    throw unsafe(
      'while the CPU profiler runs (--cpu-prof, inspector): on this Node a child waits ' +
        'for its thread for ever. Stop it first, start it in the child, or use Node 24',
    );
  }
  if (foreign.length > 0) reportForeignThreads(foreign);
}

function unsafe(why: string): PreforkError {
  return new PreforkError('ERR_UNSAFE_FORK', `cannot fork ${why}`);
}

/** From the first exit listener on; Node has no public name for it. */
function isEnding(): boolean {
  return Reflect.get(process, '_exiting') === true;
}

function reportForeignThreads(names: string[]): void {
  const text =
    `threads of other libraries run (${names.join(', ')}): they do not exist in a forked child, ` +
    'and what waits for them there hangs. Use such a library only after the fork';
  if (foreignThreads === 'error') throw unsafe(`while ${text}`);
  if (foreignThreads === 'warn') warnOnce('PREFORK_FOREIGN_THREADS', text);
}

function warnOfUntestedNode(): void {
  if (TESTED_LINES.includes(nodeLine())) return;
  warnOnce(
    'PREFORK_UNTESTED_NODE',
    `prefork is tested on Node ${TESTED_LINES.join(', ')}, this is ${process.version}`,
  );
}

/** Its connection lives on the stack of a thread that a child does not have. */
function warnOfInspector(): void {
  if (inspectorUrl() === undefined) return;
  warnOnce(
    'PREFORK_INSPECTOR',
    'the inspector is open: with a debugger attached at the fork the child may abort. ' +
      'Attach it after the fork, or debug the child by itself',
  );
}

function nodeLine(): number {
  return Number(process.versions.node.split('.')[0]);
}

/** As a process warning with a code, so that it can be silenced. */
export function warnOnce(code: string, text: string): void {
  if (warned.has(code)) return;
  warned.add(code);
  process.emitWarning(text, { type: 'PreforkWarning', code });
}
