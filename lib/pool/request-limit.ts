/** How many requests a worker handles before it makes room; 0: no limit. Drawn once for each worker, so
 * that workers do not leave together. */
export function requestLimit(limit: number, grace: number): number {
  if (limit === 0 || grace === 0) return limit;
  return limit + 1 + Math.floor(Math.random() * grace);
}
