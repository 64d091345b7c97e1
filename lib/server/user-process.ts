/**
 * A process of addProcess(): the user's own code, which the manager keeps alive. It may submit tasks, send
 * messages and reach connections; its event loop is its own, and so is its end.
 */
import { decodePayload } from '../ipc/payload';
import { UnixSocket, type SocketKind } from '../ipc/unix-socket';
import { SharedPipe } from '../pool/worker-process';
import { STAGE_READY, type WorkerRow } from '../pool/worker-table';
import { Process, type ProcessCallback } from '../process/process';
import { PIPE_MESSAGE, REOPEN_LOGS } from './bus/message';
import { Connections } from './connections';
import type { ServerContext, UserProgram } from './context';
import { ControlClient } from './control';
import type { Role } from './role';
import { TaskClient } from './task/task-client';

/** Gives a Process a pipe that lasts: workers that were forked before it write to it, too. */
export function shareUserPipe(process: Process, kind: SocketKind): SharedPipe {
  const [parent, child] = UnixSocket.pair(kind);
  const pipe = new SharedPipe({ parent, child });
  Process.givePipe(process, pipe);
  return pipe;
}

class UserRole implements Role {
  readonly isTaskWorker = false;
  constructor(
    readonly workerId: number,
    readonly connections: Connections,
    readonly tasks: TaskClient,
  ) {}

  stop(): void {
    process.exit();
  }
}

export class UserProcess {
  readonly #context: ServerContext;
  readonly #process: Process;
  readonly #callback: ProcessCallback;

  constructor(context: ServerContext, { process }: UserProgram) {
    this.#context = context;
    this.#process = process;
    this.#callback = process.callback;
  }

  /** In the manager: what the supervisor starts. */
  prepare(run: () => unknown): Process {
    this.#process.callback = run;
    return this.#process;
  }

  /** In the new process. */
  run(workerId: number, row: WorkerRow): unknown {
    const { bus, addresses, state, table, settings, channel, server } = this.#context;
    // A terminal sends these to the whole group: the master decides what they mean.
    Process.signal('SIGINT', Process.SIG_IGN);
    Process.signal('SIGHUP', Process.SIG_IGN);
    row.pid = process.pid;
    row.startedAt = Date.now();
    row.stage = STAGE_READY;
    const replyAddress = addresses.row(row.index);
    bus.adopt(replyAddress);
    this.#context.closeListening();
    process.once('exit', () => {
      bus.flush();
    });
    const inbox = bus.inbox(replyAddress, {
      inBatches: true,
      handler: (type, kind, id, from, data) => {
        if (type === REOPEN_LOGS) this.#context.logs.reopen();
        else tasks.handle(type, kind, id, from, data);
      },
    });
    const tasks = new TaskClient({
      ...{ bus, state, table, addresses, settings, channel },
      ...{ workerId, replyAddress, taskRow: row.index, inbox },
      call: {
        finish: this.#onFinish,
        awaiting: (on) => {
          inbox.setRef(on);
        },
      },
    });
    server.becomeWorker(new UserRole(workerId, new Connections(this.#context, null), tasks));
    this.#listenForMessages(workerId);
    inbox.start();
    inbox.setRef(false);
    new ControlClient(this.#context).ready();
    return this.#callback(this.#process);
  }

  #listenForMessages(workerId: number): void {
    const { bus, addresses, callbacks, server } = this.#context;
    if (!callbacks.has('pipeMessage')) return;
    const inbox = bus.inbox(addresses.slot(workerId), {
      handler: (type, kind, _, from, data) => {
        if (type !== PIPE_MESSAGE) return;
        const source = addresses.workerOf(from);
        callbacks.call('pipeMessage', server, source, decodePayload(kind, Buffer.from(data)));
      },
    });
    inbox.start();
    inbox.setRef(false);
  }

  readonly #onFinish = (taskId: number, data: unknown): void => {
    this.#context.callbacks.call('finish', this.#context.server, taskId, data);
  };
}
