/**
 * The signals of a pool's master: SIGTERM and SIGINT stop it, SIGUSR1 and SIGUSR2 reload it. They are the
 * pool's while it runs: Process.signal() refuses them. A second SIGINT is not special; SIGKILL is the way
 * to end a pool at once, and its workers die with it.
 */
import { releaseSignals, reserveSignals } from '../process/signals';

const OWNER = 'pool master';

export class MasterSignals {
  constructor(stop: () => void, reload: () => void) {
    reserveSignals(OWNER, { SIGTERM: stop, SIGINT: stop, SIGUSR1: reload, SIGUSR2: reload });
  }

  /** The default actions again. */
  release(): void {
    releaseSignals(OWNER);
  }
}
