import { expect } from 'chai';
import sinon from 'sinon';
import type { PreforkError } from '../../../../lib/errors';
import type { MessageQueue } from '../../../../lib/ipc/message-queue';
import { Addresses } from '../../../../lib/server/bus/addresses';
import { TASK, TASK_MARK } from '../../../../lib/server/bus/message';
import { QueueSource } from '../../../../lib/server/task/queue-source';
import { TaskFiles } from '../../../../lib/server/task/task-files';
import { encodeTaskPacket, type TaskPacket } from '../../../../lib/server/task/task-packet';
import { SIZES } from './rig';

const SERVER = 77;

class FakeQueue {
  readonly packets: Buffer[] = [];
  listener: (() => void) | null = null;

  pop(): Buffer | null {
    return this.packets.shift() ?? null;
  }

  onReadable(listener: (() => void) | null): void {
    this.listener = listener;
  }

  /** The event loop, as long as there is something to read. */
  readable(): void {
    for (let i = 0; i < 100 && this.packets.length > 0; i++) this.listener?.();
  }
}

class FakeIntake {
  room = Infinity;
  steps: string[] = [];
  handled: unknown[] = [];

  hasRoom(): boolean {
    return this.room > 0;
  }
  taking(): void {
    this.steps.push('taking');
  }
  unreadable(kind: number, id: number, from: number, error: unknown): void {
    this.handled.push(['unreadable', kind, id, from, (error as PreforkError).code]);
  }
  empty(): void {
    this.steps.push('empty');
  }
  notTaken(): void {
    this.steps.push('notTaken');
  }
  idle(): Promise<void> {
    this.room = Infinity;
    return Promise.resolve();
  }
  answered(): Promise<void> {
    return Promise.resolve();
  }
  readonly handle = (
    type: number,
    kind: number,
    id: number,
    from: number,
    data: Buffer,
  ): boolean => {
    this.room--;
    this.handled.push([type, kind, id, from, data.toString()]);
    return true;
  };
}

describe('QueueSource', () => {
  let queue: FakeQueue;
  let intake: FakeIntake;
  let source: QueueSource;

  beforeEach(() => {
    queue = new FakeQueue();
    intake = new FakeIntake();
    source = new QueueSource({
      queue: queue as unknown as MessageQueue,
      files: new TaskFiles('/nowhere', 0),
      server: SERVER,
      addresses: new Addresses(SIZES, false),
      intake,
    });
    source.start();
  });

  afterEach(() => {
    sinon.restore();
  });

  const put = (text: string, packet: Partial<TaskPacket> = {}): void => {
    const whole = { type: TASK, kind: 1, from: 5, id: 3, server: SERVER, ...packet };
    queue.packets.push(encodeTaskPacket(whole, Buffer.from(text)));
  };

  it('hands over tasks and marks', () => {
    put('a');
    put('', { type: TASK_MARK, id: 4 });
    queue.readable();
    expect(intake.handled).to.deep.equal([
      [TASK, 1, 3, 5, 'a'],
      [TASK_MARK, 1, 4, 5, ''],
    ]);
    expect(intake.steps).to.deep.equal(['taking', 'taking', 'taking', 'empty']);
  });

  it('answers nobody of another run, of another program or without a mailbox', () => {
    put('a', { server: SERVER + 1 });
    put('b', { from: -1 });
    put('c', { from: 100_000 });
    put('', { type: TASK_MARK, server: 0 });
    queue.readable();
    expect(intake.handled).to.deep.equal(['a', 'b', 'c'].map((text) => [TASK, 1, 3, -1, text]));
  });

  it('drops what is no task, and goes on', () => {
    const warn = sinon.stub(process, 'emitWarning');
    queue.packets.push(Buffer.from('garbage'));
    const file = { name: 'prefork.task.0.1.1-1', bytes: 5 };
    const packet = { type: TASK, kind: 1, from: -1, id: 3, server: SERVER };
    queue.packets.push(encodeTaskPacket(packet, file));
    put('good');
    queue.readable();
    expect(intake.handled.length).to.equal(1);
    sinon.assert.calledTwice(warn);
    expect(warn.firstCall.args[1]).to.have.property('code', 'PREFORK_BAD_TASK_PACKET');
    expect(intake.steps.filter((step) => step === 'notTaken').length).to.equal(2);
  });

  it('says so when the data of a task are gone for which somebody waits', () => {
    const packet = { type: TASK, kind: 1, from: 5, id: 3, server: SERVER };
    queue.packets.push(encodeTaskPacket(packet, { name: 'prefork.task.0.1.1-1', bytes: 5 }));
    put('good');
    queue.readable();
    expect(intake.handled).to.deep.equal([
      ['unreadable', 1, 3, 5, 'ERR_BAD_PACKET'],
      [TASK, 1, 3, 5, 'good'],
    ]);
  });

  it('takes nothing while there is no room, or it is paused', () => {
    intake.room = 1;
    for (const text of ['a', 'b', 'c']) put(text);
    queue.listener?.();
    expect(queue.packets.length).to.equal(2);
    source.pause();
    expect(queue.listener).to.equal(null);
    intake.room = 1;
    source.resume();
    queue.listener?.();
    expect(queue.packets.length).to.equal(1);
  });

  it('drains all that is queued', async () => {
    await source.stop();
    expect(queue.listener).to.equal(null);
    intake.room = 1;
    for (const text of ['a', 'b', 'c']) put(text);
    await source.drain();
    expect(intake.handled.length).to.equal(3);
  });
});
