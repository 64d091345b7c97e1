/** How messages reach a worker: what a transport and the worker that it feeds ask of each other. */

/** The worker's side. */
export interface Intake {
  /**
   * Whether another message may be taken now; when there is room again the worker calls resume().
   *
   * @param waiting - messages that are about to come, and have no callback running yet. Default 0
   */
  hasRoom(waiting?: number): boolean;
  /** Announced before a message is taken off its queue: a worker that dies now is known to have lost it. */
  taking(): void;
  /** It was not. @param empty - because none was there */
  notTaken(empty: boolean): void;
  /** Several messages will be handled in a row, or have been: in between the worker is not idle. */
  burst(on: boolean): void;
  /** Runs the `message` callback. The promise settles when it has ended, and never rejects. */
  handle(data: Buffer): Promise<void> | void;
}

/** The transport's side, in the worker. */
export interface WorkerTransport {
  start(intake: Intake): void;
  resume(): void;
  /** Takes no more. Resolves when what it has begun to receive is finished. */
  stop(): Promise<void>;
}
