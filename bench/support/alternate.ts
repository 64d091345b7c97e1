/** Peers take turns in one run, so that a noisy minute of the machine hits all of them alike. */
import { performance } from 'node:perf_hooks';
import type { Sampled } from './report';
import type { Subject } from './subject';

export interface Entrant {
  subject: Subject;
  /** What it is told to do in each round. */
  request: string;
  /** Shown instead of the subject's name. */
  name?: string;
  target?: number;
  own?: boolean;
}

/** Of one measurement. About 50 of them are a whole run, which shall take less than 10 minutes. */
const SECONDS = 5;
/** A median of fewer says nothing. */
const LEAST_ROUNDS = 3;

/** The rounds of a measurement: `most` of them, or what a slow machine does in SECONDS. */
export async function repeat(most: number, one: (round: number) => Promise<void>): Promise<void> {
  const end = performance.now() + SECONDS * 1000;
  const inTime = (round: number): boolean => round < LEAST_ROUNDS || performance.now() < end;
  for (let round = 0; round < most && inTime(round); round++) await one(round);
}

/** One unmeasured round to warm up, then up to `most` in which each entrant answers once. */
export async function alternate(
  entrants: readonly [Entrant, ...Entrant[]],
  most: number,
): Promise<[Sampled, ...Sampled[]]> {
  const results = entrants.map(({ subject, name, target, own }) => {
    const samples: number[] = [];
    return { name: name ?? subject.name, samples, target, own };
  });
  for (const { subject, request } of entrants) await subject.ask(request);
  await repeat(most, async () => {
    for (const [i, { subject, request }] of entrants.entries()) {
      results[i]?.samples.push(...(await subject.ask(request)));
    }
  });
  return results as unknown as [Sampled, ...Sampled[]];
}

export async function closeAll(subjects: Iterable<Subject>): Promise<void> {
  for (const subject of subjects) await subject.close();
}
