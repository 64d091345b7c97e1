import { EventEmitter } from 'node:events';
import fs from 'node:fs';
import worker_threads from 'node:worker_threads';
import { expect } from 'chai';
import sinon from 'sinon';
import { forgetCensus, isMainThread, takeCensus } from '../../../lib/process/thread-census';
import { fakeThreads, GONE } from '../fake-kernel';

const times = (count: number, name: string): string[] => Array<string>(count).fill(name);

/** Node 22 and later name their threads. */
const NAMED = [...times(4, 'V8Worker'), 'DelayedTaskSche', 'SignalInspector'];

/** Node 20 names none: they are called as the main thread that made them. */
const UNNAMED = times(5, 'node');

const NOBODY = { workers: [], profiler: false, foreign: [] };

describe('thread census', () => {
  let poolSize: string | undefined;

  beforeEach(() => {
    poolSize = process.env['UV_THREADPOOL_SIZE'];
    delete process.env['UV_THREADPOOL_SIZE'];
    forgetCensus();
  });
  afterEach(() => {
    sinon.restore();
    forgetCensus();
    if (poolSize === undefined) delete process.env['UV_THREADPOOL_SIZE'];
    else process.env['UV_THREADPOOL_SIZE'] = poolSize;
  });

  function reportTells(workers: number): void {
    const report = { workers: times(workers, 'w') } as unknown as string;
    sinon.stub(process.report, 'getReport').returns(report as never);
  }

  it("counts nobody when there are Node's own threads only, named or not", () => {
    fakeThreads(NAMED);
    expect(takeCensus()).to.deep.equal(NOBODY);
    sinon.restore();
    forgetCensus();
    fakeThreads(UNNAMED);
    expect(takeCensus()).to.deep.equal(NOBODY);
  });

  it("counts nobody when libuv's pool was used, named or not", () => {
    fakeThreads([...NAMED, ...times(4, 'libuv-worker')]);
    expect(takeCensus()).to.deep.equal(NOBODY);
    sinon.restore();
    forgetCensus();
    reportTells(0);
    fakeThreads([...UNNAMED, ...times(4, 'node')]);
    expect(takeCensus()).to.deep.equal(NOBODY);
  });

  for (const [size, threads] of [
    ['7', 7],
    ['1', 1],
    ['0', 1],
    ['many', 1],
    ['5000', 1024],
  ] as const) {
    it(`knows that UV_THREADPOOL_SIZE=${size} makes ${String(threads)}`, () => {
      process.env['UV_THREADPOOL_SIZE'] = size;
      reportTells(0);
      fakeThreads([...UNNAMED, ...times(threads, 'node')]);
      expect(takeCensus()).to.deep.equal(NOBODY);
    });
  }

  it('counts the watchdog of the slow log to nobody, in addition to those of Node', () => {
    for (const threads of [NAMED, UNNAMED]) {
      fakeThreads([...threads, 'prefork-slowlog']);
      expect(takeCensus()).to.deep.equal(NOBODY);
      sinon.restore();
      forgetCensus();
    }
    reportTells(0);
    fakeThreads([...UNNAMED, 'prefork-slowlog', 'node']);
    expect(takeCensus().foreign).to.deep.equal(['node']);
  });

  it('names the threads of other libraries', () => {
    fakeThreads([...NAMED, 'libvips worker', 'pool-spawner']);
    expect(takeCensus().foreign).to.deep.equal(['libvips worker', 'pool-spawner']);
  });

  it('finds an unnamed thread more than Node has', () => {
    reportTells(0);
    fakeThreads([...UNNAMED, 'node']);
    expect(takeCensus()).to.deep.equal({ workers: [], profiler: false, foreign: ['node'] });
  });

  it('takes an unnamed thread more for a Worker when the report tells of one', () => {
    reportTells(1);
    fakeThreads([...UNNAMED, 'node']);
    expect(takeCensus()).to.deep.equal({ workers: ['Worker'], profiler: false, foreign: [] });
  });

  it('finds Workers by the name of their threads', () => {
    fakeThreads([...NAMED, 'WorkerThread', 'node-WorkerThre']);
    expect(takeCensus().workers).to.deep.equal(['WorkerThread', 'node-WorkerThre']);
  });

  it('finds Workers by the worker event, with their number, until they exit', () => {
    fakeThreads(NAMED);
    const worker = Object.assign(new EventEmitter(), { threadId: 5 });
    (process as EventEmitter).emit('worker', worker);
    expect(takeCensus().workers).to.deep.equal(['Worker 5']);
    worker.emit('exit', 0);
    expect(takeCensus()).to.deep.equal(NOBODY);
  });

  it('goes by titles as well: a process may have renamed itself after its threads began', () => {
    sinon.stub(process, 'title').value('a-title-longer-than-15-letters');
    fakeThreads(times(5, 'a-title-longer-'));
    expect(takeCensus()).to.deep.equal(NOBODY);
  });

  it('does not read the names again while the number of threads stays the same', () => {
    fakeThreads(NAMED);
    takeCensus();
    const readdir = sinon.spy(fs, 'readdirSync');
    takeCensus();
    expect(readdir.called).to.equal(false);
    sinon.restore();
    fakeThreads([...NAMED, 'libvips worker']);
    expect(takeCensus().foreign).to.deep.equal(['libvips worker']);
  });

  it('passes over a thread that ends while it counts', () => {
    fakeThreads([...NAMED, GONE]);
    expect(takeCensus()).to.deep.equal(NOBODY);
  });

  it('tells the main thread by its number', () => {
    expect(isMainThread()).to.equal(true);
    sinon.stub(worker_threads, 'threadId').value(3);
    expect(isMainThread()).to.equal(false);
  });
});
