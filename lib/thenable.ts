/** Whether a callback's result is to be awaited: a promise, or what `await` takes for one. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (value === null || typeof value !== 'object') return false;
  return value instanceof Promise || typeof (value as { then?: unknown }).then === 'function';
}
