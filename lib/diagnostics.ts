/**
 * What the library tells of what it does, for tools: channels of node:diagnostics_channel. With
 * NODE_DEBUG=prefork the same is printed to stderr.
 *
 * Without a subscriber nothing is made and nothing is called: ask {@link Topic.wanted} first. A forked
 * child has the subscribers that its parent had at the fork.
 */
import { channel, type Channel } from 'node:diagnostics_channel';
import { debuglog, inspect } from 'node:util';

/** A process was forked; told in its parent. */
export interface ForkMessage {
  /** Of the child. */
  pid: number;
  /** Of the process that tells. */
  parentPid: number;
  /** From the call to the return of start(), to the microsecond. */
  durationMs: number;
}

/** A child has ended and was reaped. */
export interface ExitMessage {
  /** Of the child. */
  pid: number;
  /** 0 to 255; -1: unknown, somebody else has reaped it. */
  code: number;
  /** The signal that ended it; 0: none. */
  signal: number;
}

/** A worker has got a new process, in place of one that has ended or is about to. */
export interface RespawnMessage {
  /** Of its place. */
  workerId: number;
  /** `worker` in a pool; the others in a server. */
  kind: 'worker' | 'event' | 'task' | 'user';
  /** Of the new process. */
  pid: number;
  /** Processes of this worker after the first. */
  restarts: number;
}

/** Workers are replaced; the fields after `phase` are there when it has ended. */
export interface ReloadMessage {
  /** Which of the two moments. */
  phase: 'begin' | 'end';
  /** Of a server: event workers stay as they are. */
  onlyTasks: boolean;
  /** Reloads so far, with this one. */
  generation?: number;
  /** Workers that were replaced. */
  replaced?: number;
  /** Of these, workers that had to be killed after `maxWaitTime`. */
  killed?: number;
  /** The id of a worker whose successor did not start. */
  failed?: number;
  /** How long it took. */
  durationMs?: number;
}

/** A task of a server; told in the process that has submitted it. */
export interface TaskMessage {
  /** Which of the two moments. */
  phase: 'submitted' | 'settled';
  /** Unique together with the submitter's worker id. */
  taskId: number;
  /** The submitter's; -1: manager or master. */
  srcWorkerId: number;
  /** The task worker's; -1: whichever takes it. */
  dstWorkerId: number;
  /** When it is settled and failed: the code, say ERR_TASK_FAILED or ERR_WORKER_DIED. */
  error?: string;
}

/** The channels, by name, and what is published on each. */
export interface DiagnosticMessages {
  /** A process was forked. */
  'prefork.fork': ForkMessage;
  /** A child has ended. */
  'prefork.exit': ExitMessage;
  /** A worker was started again. */
  'prefork.respawn': RespawnMessage;
  /** A reload has begun, or ended. */
  'prefork.reload': ReloadMessage;
  /** A task was submitted, or is settled. */
  'prefork.task': TaskMessage;
}

const debugging = debuglog('prefork').enabled;

class Topic<Name extends keyof DiagnosticMessages> {
  readonly #name: Name;
  readonly #channel: Channel;

  constructor(name: Name) {
    this.#name = name;
    this.#channel = channel(name);
  }

  get wanted(): boolean {
    return this.#channel.hasSubscribers || debugging;
  }

  publish(message: DiagnosticMessages[Name]): void {
    if (debugging) print(this.#name, message);
    this.#channel.publish(message);
  }
}

export const diagnostics = {
  fork: new Topic('prefork.fork'),
  exit: new Topic('prefork.exit'),
  respawn: new Topic('prefork.respawn'),
  reload: new Topic('prefork.reload'),
  task: new Topic('prefork.task'),
} as const;

/** A reload has just begun: tells of that, and of its end. */
export function tellReload(
  onlyTasks: boolean,
  done: Promise<Omit<ReloadMessage, 'phase' | 'onlyTasks'>>,
): void {
  if (!diagnostics.reload.wanted) return;
  diagnostics.reload.publish({ phase: 'begin', onlyTasks });
  void done.then((report) => {
    diagnostics.reload.publish({ phase: 'end', onlyTasks, ...report });
  });
}

/** As util.debuglog() prints, which keeps the pid of the process that was first. */
function print(name: string, message: object): void {
  const text = inspect(message, { breakLength: Infinity });
  process.stderr.write(`PREFORK ${process.pid}: ${name.slice('prefork.'.length)} ${text}\n`);
}
