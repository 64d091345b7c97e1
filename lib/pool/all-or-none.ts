/** Makes `count` things; when one cannot be made, those before it are undone. */
export function allOrNone<T>(
  count: number,
  make: (index: number) => T,
  undo: (made: T) => void,
): T[] {
  const made: T[] = [];
  try {
    for (let index = 0; index < count; index++) made.push(make(index));
    return made;
  } catch (error) {
    for (const thing of made) undo(thing);
    throw error;
  }
}
