/** What processes of a server ask of manager and master. See CONTROL in bus/message.ts: the kind says what. */
import { CONTROL } from './bus/message';
import type { ServerContext } from './context';

/** The id is the pid of the sender. */
export const READY = 0;
/** It reads the mailbox of its slot no more. */
export const RELEASED = 1;
/** It has begun to end by itself, and wants a successor at once. */
export const REPLACE = 2;
export const RELOAD = 3;
export const RELOAD_TASKS = 4;
export const SHUTDOWN = 5;
/** The id is that of a worker. */
export const STOP = 6;
/** From the manager to the master: the id is that of an event worker that has died. */
export const EVENT_WORKER_DIED = 7;

export class ControlClient {
  readonly #context: ServerContext;

  constructor(context: ServerContext) {
    this.#context = context;
  }

  ready(): void {
    this.#tellManager(READY, process.pid);
  }

  released(): void {
    this.#tellManager(RELEASED, process.pid);
  }

  replace(): void {
    this.#tellManager(REPLACE, process.pid);
  }

  reload(onlyTasks: boolean): void {
    this.#tellManager(onlyTasks ? RELOAD_TASKS : RELOAD, process.pid);
  }

  stopWorker(workerId: number): void {
    this.#tellManager(STOP, workerId);
  }

  shutdown(): void {
    const { bus, addresses } = this.#context;
    bus.send(addresses.master, CONTROL, process.pid, undefined, SHUTDOWN);
  }

  eventWorkerDied(workerId: number): void {
    const { bus, addresses } = this.#context;
    bus.send(addresses.master, CONTROL, workerId, undefined, EVENT_WORKER_DIED);
  }

  #tellManager(what: number, id: number): void {
    const { bus, addresses } = this.#context;
    bus.send(addresses.manager, CONTROL, id, undefined, what);
  }
}
