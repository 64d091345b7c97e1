/**
 * The signals of a server's processes.
 *
 *              master                     manager (process mode)     workers
 *   SIGTERM    shutdown                   the same, from the master  stop in good order
 *   SIGINT     shutdown                   ignored                    ignored
 *   SIGUSR1    reload                     reload                     ignored
 *   SIGUSR2    reload task workers        reload task workers        ignored
 *   SIGRTMIN, SIGWINCH: log files are opened again, in all of them
 *   SIGHUP     default (ends it)          ignored                    ignored
 */
import { releaseSignals, reserveSignals } from '../process/signals';

const OWNER = 'server';

/** What glibc leaves of the realtime signals begins here. */
export const SIGRTMIN = 34;

export interface ServerSignals {
  stop: () => void;
  reload: (onlyTasks: boolean) => void;
  reopenLogs: () => void;
}

export function takeMasterSignals({ stop, reload, reopenLogs }: ServerSignals): void {
  reserveSignals(OWNER, {
    SIGTERM: stop,
    SIGINT: stop,
    SIGUSR1: () => {
      reload(false);
    },
    SIGUSR2: () => {
      reload(true);
    },
    SIGWINCH: reopenLogs,
    [SIGRTMIN]: reopenLogs,
  });
}

/** A terminal sends SIGINT and SIGHUP to the whole group: the master decides what they mean. */
export function takeManagerSignals(signals: ServerSignals): void {
  takeMasterSignals(signals);
  reserveSignals(OWNER, { SIGINT: () => undefined, SIGHUP: () => undefined });
}

export function releaseMasterSignals(): void {
  releaseSignals(OWNER);
}
