/**
 * The files a server writes to, in each of its processes.
 *
 *   logFile   ends of workers, warnings of this library; of a daemon also all that goes to stdout and stderr
 *   slow log  see slow-log.ts
 */
import { Process } from '../process/process';
import { REOPEN_LOGS } from './bus/message';
import type { ServerContext } from './context';
import { isRotated, LogFile, warnOfLog } from './log-file';
import { STAGE_READY } from '../pool/worker-table';
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
    try {
      this.#logFile = logFile === null ? null : new LogFile(logFile);
    } catch (error) {
      this.slowLog?.close();
      throw error;
    }
    if (daemonize) this.#logFile?.attach();
    else if (this.#logFile !== null) process.on('warning', this.#onWarning);
  }

  /** One line in the log. */
  write(text: string): void {
    this.#logFile?.write(`${new Date().toISOString()} ${process.pid} ${text}`);
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
    if (this.#areNone) return;
    Process.signal(SIGRTMIN, () => {
      this.reopen();
    });
  }

  /** In a worker that is ready now: a rotation that came before was not told to it. */
  catchUp(): void {
    const { slowLog } = this;
    const slowLogIs = slowLog !== null && isRotated(slowLog.file, slowLog.fd);
    if (slowLogIs || this.#logFile?.isRotated === true) this.reopen();
  }

  /**
   * In the manager: tells the workers. User processes by a message: one that has become another program
   * would be ended by the signal.
   */
  tellWorkers({ table, addresses, bus }: ServerContext): void {
    if (this.#areNone) return;
    for (let id = 0; id < addresses.slots; id++) {
      const row = table.current(id);
      // The signal would end one that is not ready to take it.
      if (row === null || row.pid === 0 || row.stage < STAGE_READY) continue;
      if (addresses.isUserProcess(id)) bus.send(addresses.row(row.index), REOPEN_LOGS, 0);
      else Process.kill(row.pid, SIGRTMIN);
    }
  }

  /** In the master, last. */
  close(): void {
    process.off('warning', this.#onWarning);
    this.slowLog?.close();
    this.#logFile?.close();
  }

  get #areNone(): boolean {
    return this.slowLog === null && this.#logFile === null;
  }

  /** Elsewhere than in a daemon they go to the stderr of whoever has started the server, too. */
  readonly #onWarning = (warning: Error & { code?: string }): void => {
    if (warning.name !== 'PreforkWarning') return;
    this.write(`${warning.code ?? warning.name} ${warning.message}`);
  };
}
