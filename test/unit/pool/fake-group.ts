/** A supervisor over processes that exist only here, by a clock that the test moves. */
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { DEFAULT_RESTART } from '../../../lib/pool/restart-policy';
import { Supervisor, type SupervisorOptions } from '../../../lib/pool/supervisor';
import type { WorkerGroup } from '../../../lib/pool/worker-group';
import type { ExitStatus } from '../../../lib/process/children';
import { settle } from '../fake-kernel';

export const SIGKILL = 9;
export const SIGTERM = 15;
export const MAX_WAIT = 3000;
/** Long enough not to die young. */
export const A_LIFE = 5000;

/** Processes that exist only here; what happens to them is told in `diary`. */
export class FakeGroup implements WorkerGroup {
  readonly diary: string[] = [];
  readonly alive = new Map<number, { slot: number; end: (status: ExitStatus) => void }>();
  readonly generations: number[] = [];
  proved = false;
  failure: Error | null = null;
  #nextPid: number;

  constructor(
    readonly size: number,
    readonly name = 'worker',
    firstPid = 100,
  ) {
    this.#nextPid = firstPid;
  }

  start(slot: number, generation: number) {
    if (this.failure !== null) throw this.failure;
    const pid = this.#nextPid++;
    this.diary.push(`start ${String(slot)} as ${String(pid)}`);
    this.generations.push(generation);
    const ended = new Promise<ExitStatus>((end) => this.alive.set(pid, { slot, end }));
    return { pid, ended };
  }

  ended(slot: number, pid: number, { code, signal }: ExitStatus, expected: boolean): void {
    const how = `${expected ? 'as told' : 'by itself'} (${String(code)}, ${String(signal)})`;
    this.diary.push(`${String(pid)} of ${String(slot)} ended ${how}`);
  }

  provedItself(): boolean {
    return this.proved;
  }

  degraded(slot: number, failures: number, why?: Error): void {
    const reason = why === undefined ? '' : `: ${why.message}`;
    this.diary.push(`degraded ${String(slot)} after ${String(failures)}${reason}`);
  }

  end(pid: number, code = 0, signal = 0): void {
    const worker = this.alive.get(pid);
    if (worker === undefined) throw new Error(`pid ${String(pid)} does not run`);
    this.alive.delete(pid);
    worker.end({ pid, code, signal });
  }

  get pids(): number[] {
    return [...this.alive.keys()];
  }

  takeDiary(): string[] {
    return this.diary.splice(0);
  }
}

/** Call it in `beforeEach`, and `sinon.restore()` in `afterEach`. */
export class Scene {
  readonly clock = sinon.useFakeTimers({
    now: 1e12,
    toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'],
  });
  groups: FakeGroup[] = [];
  supervisor!: Supervisor;
  /** Workers end at SIGTERM by themselves. */
  obedient = false;

  constructor() {
    sinon.stub(binding, 'kill').callsFake((pid, signo) => {
      const of = this.groups.find(({ alive }) => alive.has(pid));
      of?.diary.push(`${signo === SIGKILL ? 'SIGKILL' : 'SIGTERM'} to ${String(pid)}`);
      if (signo === SIGKILL) of?.end(pid, 0, SIGKILL);
      else if (this.obedient) of?.end(pid);
      return of !== undefined;
    });
  }

  make(groups: FakeGroup[], options: Partial<SupervisorOptions> = {}): FakeGroup {
    this.groups = groups;
    this.supervisor = new Supervisor(groups, {
      maxWaitTime: MAX_WAIT,
      restart: { ...DEFAULT_RESTART, jitter: 0 },
      startFirst: false,
      ...options,
    });
    return groups[0] as FakeGroup;
  }

  /** One group, started. */
  begin(size: number, options: Partial<SupervisorOptions> = {}): FakeGroup {
    const group = this.make([new FakeGroup(size)], options);
    this.supervisor.start();
    group.takeDiary();
    return group;
  }

  async ready(...pids: number[]): Promise<void> {
    for (const pid of pids) this.supervisor.markReady(pid);
    await settle();
  }

  async end(pid: number, code = 0, signal = 0): Promise<void> {
    this.groups.find(({ alive }) => alive.has(pid))?.end(pid, code, signal);
    await settle();
  }

  async pass(ms: number): Promise<void> {
    await this.clock.tickAsync(ms);
    await settle();
  }
}
