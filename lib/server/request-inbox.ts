/**
 * The mailbox of a worker id, as the event worker reads it that serves it. What it takes out and does not
 * answer is lost when it is killed, so it takes no more than it can answer: nothing while its replies find
 * no room.
 */
import type { WorkerRow } from '../pool/worker-table';
import type { Inbox, InboxOptions } from './bus/inbox';
import { MAX_ENTRIES } from './bus/message';
import type { ServerContext } from './context';

export class RequestInbox {
  readonly #context: ServerContext;
  readonly #inbox: Inbox;
  #serving = false;

  constructor(
    context: ServerContext,
    workerId: number,
    row: WorkerRow,
    options: Pick<InboxOptions, 'handler' | 'onTurn'>,
  ) {
    this.#context = context;
    this.#inbox = context.bus.inbox(context.addresses.slot(workerId), {
      ...options,
      // Counted before it is taken: a process killed in between has lost it as well.
      onTake: {
        begin: () => {
          row.taken += MAX_ENTRIES;
        },
        end: (messages) => {
          row.taken -= MAX_ENTRIES - messages;
        },
      },
      onHandled: () => {
        this.#sendReplies();
      },
    });
  }

  start(): void {
    this.#serving = true;
    this.#inbox.start();
  }

  /** Leaves what is in the mailbox there. */
  stop(): void {
    this.#serving = false;
    this.#inbox.stop();
  }

  /** Handles all there is, without waiting. */
  drain(): void {
    this.#serving = false;
    this.#inbox.drain();
  }

  /** After each packet, not only with the turn. */
  #sendReplies(): void {
    const { bus, addresses } = this.#context;
    bus.flush();
    if (bus.waitingBytes(addresses.master) === 0 || !this.#serving) return;
    this.#inbox.stop();
    void bus.sent(addresses.master).then(() => {
      if (this.#serving) this.#inbox.start();
    });
  }
}
