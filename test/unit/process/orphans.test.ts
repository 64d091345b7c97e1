import fs from 'node:fs';
import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { children } from '../../../lib/process/children';
import { reapOrphans } from '../../../lib/process/orphans';
import { thrownBy } from '../fake-kernel';

describe('orphans', () => {
  let isSubreaper: sinon.SinonStub;
  let reap: sinon.SinonStub;
  let on: sinon.SinonStub;
  let off: sinon.SinonStub;
  /** pid -> its line in /proc/<pid>/stat; those without one have ended meanwhile. */
  let processes: Map<number, string | null>;

  const reaped = (): number[] => reap.args.map(([pid]) => pid as number);

  beforeEach(() => {
    sinon.stub(process, 'pid').value(500);
    isSubreaper = sinon.stub(binding, 'isSubreaper').returns(true);
    sinon.stub(binding, 'libuvChildren').returns([12]);
    sinon.stub(children, 'has').callsFake((pid) => pid === 13);
    reap = sinon.stub(binding, 'reap').returns([0, 0]);
    on = sinon.stub(process, 'on');
    off = sinon.stub(process, 'off');
    processes = new Map();
    const real = fs.readFileSync;
    sinon.replace(fs, 'readFileSync', ((path: string, ...rest: never[]) => {
      if (path === '/proc/self/task/500/children') return [...processes.keys(), ''].join(' ');
      const [, pid] = /^\/proc\/(\d+)\/stat$/.exec(path) ?? [];
      if (pid === undefined) return real(path, ...rest);
      const stat = processes.get(Number(pid));
      if (stat === undefined || stat === null) throw new Error('ENOENT');
      return stat;
    }) as never);
  });
  afterEach(() => {
    reapOrphans(false);
    sinon.restore();
  });

  it('refuses in a process that no orphan comes to', () => {
    isSubreaper.returns(false);
    const { message } = thrownBy(() => {
      reapOrphans(true);
    }, 'ERR_UNSUPPORTED_PLATFORM');
    expect(message).to.match(/PID 1 or to a child subreaper; this is process 500/);
    expect(on.called).to.equal(false);
  });

  it('reaps zombies that are there already', () => {
    processes.set(10, '10 (sh) Z 500');
    reapOrphans(true);
    expect(reaped()).to.deep.equal([10]);
  });

  it('reaps at every SIGCHLD', () => {
    reapOrphans(true);
    processes.set(10, '10 (sh) Z 500');
    const [signal, handler] = on.firstCall.args as [string, () => void];
    expect(signal).to.equal('SIGCHLD');
    handler();
    expect(reaped()).to.deep.equal([10]);
  });

  it('leaves running processes, children of child_process and of this library alone', () => {
    processes.set(11, '11 (sh) S 500');
    processes.set(12, '12 (node) Z 500');
    processes.set(13, '13 (node) Z 500');
    reapOrphans(true);
    expect(reaped()).to.deep.equal([]);
  });

  it('is not misled by a name with brackets and states in it', () => {
    processes.set(14, '14 (a) Z b) S 500');
    processes.set(15, '15 (x) S y) Z 500');
    reapOrphans(true);
    expect(reaped()).to.deep.equal([15]);
  });

  it('passes over one that has vanished meanwhile', () => {
    processes.set(16, null);
    processes.set(17, '17 (sh) Z 500');
    reapOrphans(true);
    expect(reaped()).to.deep.equal([17]);
  });

  it('listens once, however often it is switched on, and not any more when off', () => {
    reapOrphans(true);
    reapOrphans(true);
    expect(on.callCount).to.equal(1);
    reapOrphans(false);
    expect(off.calledOnceWith('SIGCHLD', on.firstCall.args[1] as () => void)).to.equal(true);
  });
});
