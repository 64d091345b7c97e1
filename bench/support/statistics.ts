/** What is said of a set of samples. The machine is never quiet: the median, and how far it strays. */
export interface Summary {
  median: number;
  min: number;
  max: number;
  samples: number;
}

export function summarize(samples: readonly number[]): Summary {
  const sorted = [...samples].sort((a, b) => a - b);
  const [min, max] = [sorted[0], sorted[sorted.length - 1]];
  if (min === undefined || max === undefined) throw new Error('no samples');
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  const lower = sorted[sorted.length % 2 === 0 ? middle - 1 : middle] as number;
  return { median: (lower + upper) / 2, min, max, samples: sorted.length };
}
