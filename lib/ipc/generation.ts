/**
 * How many forks lie between the first process and this one. What was made under another generation
 * belongs to the parent: its watchers are dead here, and its callers wait in the parent.
 */
let current = 0;

export function generation(): number {
  return current;
}

/** Called once in every forked child. */
export function nextGeneration(): void {
  current++;
}
