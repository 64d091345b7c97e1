/**
 * Makes a forked child draw random numbers of its own (steps C4 and C5 of the recipe). OpenSSL reseeds
 * by itself; what would repeat is entropy that Node has fetched ahead, and the state of Math.random.
 *
 * V8 gives no way to seed Math.random again, so each child starts at another place of its parent's
 * sequence: `place` values further on. Places of siblings are all different: they run through the
 * numbers below PLACES in a scattered order, and then the parent moves on by as many.
 */
import { randomInt } from 'node:crypto';
import { binding } from '../binding';

/** Discarding a value allocates 16 bytes: many more, and every child would begin with a collection. */
const PLACES = 1 << 12;

/** Odd, so that its multiples modulo PLACES come back only after PLACES steps. */
const STEP = 2531;

const BLOCK = 64;

/** Makes the loop hot in the parent: a child inherits its machine code and need not compile it. */
const WARM_UP = 64_000;

let forks = 0;
let start = -1;

/** In the parent, before a fork: how many values of Math.random the child must discard. */
export function nextMathRandomPlace(): number {
  if (start < 0) {
    start = randomInt(PLACES);
    discardMathRandom(WARM_UP);
  }
  if (forks === PLACES) {
    discardMathRandom(PLACES);
    forks = 0;
  }
  return 1 + ((start + STEP * forks++) % PLACES);
}

/** In the child. The caches are filled with fresh entropy where they are. */
export function renewRandomState(mathRandomPlace: number, entropyCaches: Uint8Array[]): void {
  discardMathRandom(mathRandomPlace);
  forks = 0;
  start = -1;
  for (const cache of entropyCaches) binding.fillRandom(cache);
}

function discardMathRandom(count: number): void {
  let left = count;
  for (; left >= BLOCK; left -= BLOCK) discardBlock();
  for (; left > 0; left--) Math.random();
}

function discardBlock(): void {
  for (let i = 0; i < BLOCK; i++) Math.random();
}
