import { expect } from 'chai';
import { checkRoom, MAX_WAITING_BYTES } from '../../../../lib/server/task/task-limits';

describe('what may wait for task workers', () => {
  const refused = (tasks: number, bytes: number, next: number): void => {
    expect(() => {
      checkRoom(tasks, bytes, next);
    })
      .to.throw()
      .with.property('code', 'ERR_TASK_QUEUE_FULL');
  };

  it('is so many bytes', () => {
    checkRoom(1, MAX_WAITING_BYTES / 2, MAX_WAITING_BYTES / 2 - 256);
    refused(1, MAX_WAITING_BYTES / 2, MAX_WAITING_BYTES / 2);
  });

  it('is one task of any size', () => {
    checkRoom(0, 0, 2 * MAX_WAITING_BYTES);
  });

  it('is a limited number of tasks, however small', () => {
    checkRoom(200_000, 200_000, 1);
    refused(300_000, 300_000, 1);
  });
});
