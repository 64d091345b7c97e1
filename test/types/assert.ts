/**
 * Type tests: compiled, never run. `npm run lint` compiles them against lib/, and package-types.test.ts
 * against the declarations in the package, with each way of resolving modules. A file a topic.
 *
 *   equal<A, B>(true)          A and B are the same type
 *   // @ts-expect-error why    what must not compile; it is an error when it does
 */

type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** The argument has to be what the compiler finds: whether A and B are the same type. */
export function equal<A, B>(same: Same<A, B>): boolean {
  return same;
}
