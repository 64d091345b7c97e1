/** Callbacks of named events. Names are matched without case; a second callback replaces the first. */
import { PreforkError } from './errors';
import { nearest } from './nearest';
import { checkFunction, checkString } from './validate';

type AnyCallback = (...args: never[]) => unknown;

/** The same events by the names that Swoole has for them: `WorkerStart` for `workerStart`. */
export type Capitalized<Events> = {
  [Name in keyof Events & string as Capitalize<Name>]: Events[Name];
};

export class Callbacks<Events extends { [Name in keyof Events]: AnyCallback }> {
  readonly #owner: string;
  readonly #names: readonly (keyof Events & string)[];
  readonly #callbacks: Partial<Events> = {};

  /** @param owner - whose events they are, for messages: "a server" */
  constructor(owner: string, names: readonly (keyof Events & string)[]) {
    this.#owner = owner;
    this.#names = names;
  }

  /** @throws PreforkError ERR_UNKNOWN_EVENT with the nearest name; ERR_INVALID_ARG_TYPE */
  set(name: string, callback: unknown): void {
    checkString('event', name);
    const known = this.#names.find((other) => other.toLowerCase() === name.toLowerCase());
    if (known === undefined) {
      throw new PreforkError(
        'ERR_UNKNOWN_EVENT',
        `${this.#owner} has no event "${name}"; the nearest is "${nearest(name, this.#names)}"`,
      );
    }
    checkFunction('callback', callback);
    Object.assign(this.#callbacks, { [known]: callback });
  }

  get<Name extends keyof Events>(name: Name): Events[Name] | undefined {
    return this.#callbacks[name];
  }

  has(name: keyof Events): boolean {
    return this.#callbacks[name] !== undefined;
  }

  call<Name extends keyof Events>(name: Name, ...args: Parameters<Events[Name]>): unknown {
    return this.#callbacks[name]?.(...args);
  }
}
