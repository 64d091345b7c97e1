/**
 * Makes a forked child draw random numbers of its own (steps C4 and C5 of the recipe). OpenSSL reseeds
 * by itself; what would repeat is entropy that Node had fetched ahead, and the state of Math.random.
 */
import type * as Crypto from 'node:crypto';

/** Node fetches entropy for so many values at once (lib/internal/crypto/random.js). */
const UUIDS_PER_BATCH = 128;
const INTEGERS_PER_BATCH = 1024;

/** Children of one parent start at distinct places of the parent's sequence of Math.random. */
const MATH_RANDOM_PLACES = 1 << 16;

/** Odd, so that multiples of it modulo 2^16 repeat only after 2^16 forks. */
const PLACE_STEP = 40503;

let forks = 0;
let firstPlace = -1;

/**
 * In the parent, before the fork: how many values of Math.random the child must discard. Random, and
 * different for any 65,535 forks in a row.
 */
export function nextMathRandomPlace(): number {
  if (firstPlace < 0) firstPlace = cryptoModule().randomInt(MATH_RANDOM_PLACES);
  forks++;
  return 1 + ((firstPlace + forks * PLACE_STEP) % (MATH_RANDOM_PLACES - 1));
}

/** In the child. */
export function renewRandomState(mathRandomPlace: number): void {
  for (let i = 0; i < mathRandomPlace; i++) Math.random();
  firstPlace = -1;
  forks = 0;
  dropEntropyCaches();
}

/** Draws a whole batch of each kind: what comes after it was fetched in this process. */
function dropEntropyCaches(): void {
  const crypto = cryptoModule() as typeof Crypto & { randomUUIDv7?: () => string };
  for (let i = 0; i < UUIDS_PER_BATCH; i++) crypto.randomUUID();
  for (let i = 0; i < INTEGERS_PER_BATCH; i++) crypto.randomInt(2);
  if (crypto.randomUUIDv7 === undefined) return;
  for (let i = 0; i < UUIDS_PER_BATCH; i++) crypto.randomUUIDv7();
}

/** Loaded at the first fork, in the parent, so that every child has it. */
function cryptoModule(): typeof Crypto {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- to import it costs every user 3 ms
  return require('node:crypto') as typeof Crypto;
}
