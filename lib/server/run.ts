/** From start() to the end of a server, in its master. */
import { Control } from '../control/control';
import { keepSpareFd, releaseSpareFd } from '../ipc/spare-fd';
import { Process } from '../process/process';
import { checkPrivileges } from '../pool/privileges';
import type { ReloadReport } from '../pool/reload';
import { ServerContext, type ContextParts } from './context';
import { ControlClient } from './control';
import { serverSource } from './control-source';
import { Logs } from './logs';
import { Manager } from './manager';
import { Master } from './master';
import { PidFile } from './pid-file';
import type { Role } from './role';
import { portOptionsOf, resolveServerSettings, type ServerOptions } from './settings';
import { releaseMasterSignals, SIGRTMIN, takeManagerSignals, takeMasterSignals } from './signals';

type RunParts = Omit<ContextParts, 'settings' | 'logs'> & {
  options: ServerOptions;
  onContext: (context: ServerContext) => void;
};

/** A master, as its life needs it. */
interface MasterRole extends Role {
  start(): void;
  end(): Promise<void>;
  reload(onlyTasks: boolean): Promise<ReloadReport | null>;
}

export class Running {
  readonly role: MasterRole;
  readonly #context: ServerContext;
  readonly #pidFile: PidFile | null;
  #control: Control | null = null;
  #ended: Promise<void> | null = null;
  #settle!: () => void;
  #fail!: (error: unknown) => void;

  constructor(context: ServerContext, pidFile: PidFile | null) {
    this.#context = context;
    this.#pidFile = pidFile;
    const onShutdown = (): void => {
      void this.shutdown();
    };
    this.role =
      context.mode === 'base'
        ? new Manager(context, onShutdown)
        : new Master(
            context,
            () => {
              runManager(context);
            },
            onShutdown,
          );
  }

  /** Resolves after the shutdown. */
  async run(): Promise<void> {
    const { state, callbacks, server } = this.#context;
    const ended = new Promise<void>((resolve, reject) => {
      this.#settle = resolve;
      this.#fail = reject;
    });
    state.masterPid = process.pid;
    state.startedAt = Date.now();
    this.#takeSignals();
    try {
      this.#control = Control.open(this.#context.settings);
      this.role.start();
      this.#control?.start(serverSource(this.#context));
      callbacks.call('start', server);
    } catch (error) {
      this.#ended = this.#cleanUp();
      await this.#ended;
      throw error;
    }
    await ended;
  }

  get statusUrl(): string | null {
    return this.#control?.statusUrl ?? null;
  }

  reload(onlyTasks: boolean): Promise<ReloadReport | null> {
    return this.role.reload(onlyTasks);
  }

  shutdown(): Promise<void> {
    this.#ended ??= this.#shutDown().then(
      () => {
        this.#settle();
      },
      (error: unknown) => {
        this.#fail(error);
      },
    );
    return this.#ended;
  }

  async #shutDown(): Promise<void> {
    const { callbacks, server } = this.#context;
    callbacks.call('beforeShutdown', server);
    await this.#cleanUp();
    callbacks.call('shutdown', server);
  }

  async #cleanUp(): Promise<void> {
    await this.role.end();
    this.#control?.close();
    releaseMasterSignals();
    this.#pidFile?.remove();
    this.#context.close();
    releaseSpareFd();
  }

  #takeSignals(): void {
    takeMasterSignals({
      stop: () => {
        void this.shutdown();
      },
      reload: (onlyTasks) => {
        void this.reload(onlyTasks);
      },
      reopenLogs: () => {
        const { logs, mode, state } = this.#context;
        logs.reopen();
        if (mode === 'base') logs.tellWorkers(this.#context);
        else Process.kill(state.managerPid, SIGRTMIN);
      },
    });
  }
}

/** @throws settings that do not go together, files that cannot be opened, no fds: nothing is left behind */
export function runServer({ options, onContext, ...parts }: RunParts): Running {
  const settings = resolveServerSettings(options, parts.mode);
  checkPrivileges(settings);
  for (const port of parts.ports) port.resolve(portOptionsOf(options));
  if (settings.daemonize) Process.daemon({ chdir: true, close: settings.logFile === null });
  const logs = new Logs(settings);
  const context = makeContext({ ...parts, settings, logs });
  try {
    const pidFile = settings.pidFile === null ? null : new PidFile(settings.pidFile);
    onContext(context);
    // For all processes: clients may take all other fds, and large messages bring memfds.
    keepSpareFd();
    return new Running(context, pidFile);
  } catch (error) {
    context.close();
    releaseSpareFd();
    throw error;
  }
}

function makeContext(parts: ContextParts): ServerContext {
  try {
    return new ServerContext(parts);
  } catch (error) {
    parts.logs.close();
    throw error;
  }
}

/** The manager's process, in process mode. */
function runManager(context: ServerContext): void {
  const manager = new Manager(context, () => {
    new ControlClient(context).shutdown();
  });
  context.server.becomeWorker(manager);
  context.closeListening();
  takeManagerSignals({
    stop: () => {
      void endManager(manager);
    },
    reload: (onlyTasks) => {
      void manager.reload(onlyTasks);
    },
    reopenLogs: () => {
      context.logs.reopen();
      context.logs.tellWorkers(context);
    },
  });
  manager.start();
}

async function endManager(manager: Manager): Promise<never> {
  await manager.end();
  process.exit(0);
}
