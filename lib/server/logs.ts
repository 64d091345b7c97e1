/** The files a server writes to, in each of its processes. */
import { Process } from '../process/process';
import type { ServerContext } from './context';
import { LogFile, warnOfLog } from './log-file';
import type { ServerSettings } from './settings';
import { SIGRTMIN } from './signals';
import { SlowLog } from './slow-log';

export class Logs {
  readonly slowLog: SlowLog | null;
  readonly #logFile: LogFile | null;

  /** In the master, as a daemon already. @throws errors of open(2), with the path */
  constructor(settings: ServerSettings) {
    const { requestSlowlogFile, logFile, daemonize } = settings;
    this.slowLog = requestSlowlogFile === null ? null : SlowLog.open(requestSlowlogFile);
    this.#logFile = daemonize && logFile !== null ? new LogFile(logFile) : null;
    this.#logFile?.attach();
  }

  /** After a rotation. */
  reopen(): void {
    this.#logFile?.reopen();
    try {
      this.slowLog?.reopen();
    } catch (error) {
      // Without privileges, say: it goes on in the old file.
      warnOfLog(error as Error);
    }
  }

  /** In a worker: does so when it is told. */
  reopenOnSignal(): void {
    if (this.slowLog === null && this.#logFile === null) return;
    Process.signal(SIGRTMIN, () => {
      this.reopen();
    });
  }

  /** In the manager: tells the workers. */
  tellWorkers({ table, addresses }: ServerContext): void {
    if (this.slowLog === null && this.#logFile === null) return;
    for (let id = 0; id < addresses.slots; id++) {
      const pid = table.current(id)?.pid ?? 0;
      if (pid > 0 && !addresses.isUserProcess(id)) Process.kill(pid, SIGRTMIN);
    }
  }
}
