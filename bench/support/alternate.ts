/** Peers take turns in one run, so that a noisy minute of the machine hits all of them alike. */
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

/** One unmeasured round to warm up, then `rounds` in which each entrant answers once. */
export async function alternate(
  entrants: readonly [Entrant, ...Entrant[]],
  rounds: number,
): Promise<[Sampled, ...Sampled[]]> {
  const results = entrants.map(({ subject, name, target, own }) => {
    const samples: number[] = [];
    return { name: name ?? subject.name, samples, target, own };
  });
  for (let round = -1; round < rounds; round++) {
    for (const [i, { subject, request }] of entrants.entries()) {
      const samples = await subject.ask(request);
      if (round >= 0) results[i]?.samples.push(...samples);
    }
  }
  return results as unknown as [Sampled, ...Sampled[]];
}

export async function closeAll(subjects: Iterable<Subject>): Promise<void> {
  for (const subject of subjects) await subject.close();
}
