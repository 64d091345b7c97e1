/** A task worker's process, seen from outside; how it handles tasks is in task/task-worker.ts. */
import { decodePayload } from '../ipc/payload';
import { WorkerLife } from '../pool/worker-life';
import type { WorkerRow } from '../pool/worker-table';
import { Connections } from './connections';
import type { ServerContext } from './context';
import { ControlClient } from './control';
import type { Role } from './role';
import { TaskWorker } from './task/task-worker';

export class TaskRole implements Role {
  readonly workerId: number;
  readonly isTaskWorker = true;
  readonly connections: Connections;
  readonly tasks = null;
  readonly #context: ServerContext;
  readonly #life: WorkerLife;
  readonly #worker: TaskWorker;

  constructor(context: ServerContext, workerId: number, row: WorkerRow) {
    const { bus, addresses } = context;
    this.#context = context;
    this.workerId = workerId;
    bus.adopt(addresses.slot(workerId));
    context.closeListening();
    this.connections = new Connections(context, null);
    this.#life = this.#makeLife(row);
    this.#worker = this.#makeWorker(row);
  }

  /** In a new process, once. */
  async run(): Promise<void> {
    const { callbacks, server, slowLog, settings, bus, logs } = this.#context;
    this.#life.settleIn();
    process.once('exit', () => {
      bus.flush();
    });
    logs.reopenOnSignal();
    slowLog?.start(settings.requestSlowlogTimeout, this.workerId);
    await callbacks.call('workerStart', server, this.workerId);
    if (!this.#life.ready()) return;
    logs.catchUp();
    new ControlClient(this.#context).ready();
    this.#worker.start();
  }

  finish(data: unknown): boolean {
    return this.#worker.finish(data);
  }

  stop(): void {
    this.#life.stop();
  }

  #makeLife(row: WorkerRow): WorkerLife {
    const { settings, callbacks, server } = this.#context;
    const { workerId } = this;
    return new WorkerLife(row, {
      name: `task worker ${workerId}`,
      title: null,
      privileges: settings,
      cpu: this.#context.cpuOf(workerId),
      maxWaitTime: settings.maxWaitTime,
      drain: () => this.#worker.drain(),
      onExitTick: callbacks.has('workerExit')
        ? () => callbacks.call('workerExit', server, workerId)
        : null,
      onEnd: () => callbacks.call('workerStop', server, workerId),
    });
  }

  #makeWorker(row: WorkerRow): TaskWorker {
    const { bus, addresses, table, settings, state, channel, slowLog } = this.#context;
    const { callbacks, server } = this.#context;
    return new TaskWorker({
      ...{ bus, addresses, table, row, settings, state, channel, slowLog },
      workerId: this.workerId,
      stop: () => {
        this.#life.stop();
      },
      call: {
        task: (taskId, source, data) => callbacks.call('task', server, taskId, source, data),
        pipeMessage: (kind, from, data) => {
          const source = addresses.workerOf(from);
          callbacks.call('pipeMessage', server, source, decodePayload(kind, Buffer.from(data)));
        },
      },
    });
  }
}
