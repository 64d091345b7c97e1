import { expect } from 'chai';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packTask, unpackTask } from '../../../../lib/server/task/task-pack';
import { errorOf } from './rig';

describe('packTask() and unpackTask()', () => {
  for (const [what, value] of [
    ['a string', 'text'],
    ['bytes', Buffer.from([0, 1, 255])],
    ['an array', [1, 'two', { three: 3 }]],
    ['nothing', undefined],
  ] as const) {
    it(`keep ${what}`, () => {
      expect(unpackTask(packTask(value))).to.deep.equal(value);
    });
  }

  it('put large data into a file, which unpacking removes', () => {
    const taskTmpdir = mkdtempSync(join(tmpdir(), 'prefork-test-'));
    try {
      const options = { taskTmpdir, messageQueueKey: 5 };
      const packed = packTask('x'.repeat(32_768), options);
      expect(packed.length).to.be.below(100);
      expect(readdirSync(taskTmpdir).length).to.equal(1);
      expect(unpackTask(packed, options)).to.equal('x'.repeat(32_768));
      expect(readdirSync(taskTmpdir)).to.deep.equal([]);
      expect(errorOf(() => unpackTask(packed, options))).to.have.property('code', 'ERR_BAD_PACKET');
    } finally {
      rmSync(taskTmpdir, { recursive: true });
    }
  });

  it('refuse large data without the key of a queue', () => {
    const error = errorOf(() => packTask('x'.repeat(32_768)));
    expect(error).to.have.property('code', 'ERR_MESSAGE_TOO_BIG');
  });

  it('refuse what is broken', () => {
    const packed = packTask({ a: 1 });
    for (const bytes of [packed.subarray(0, 10), packed.subarray(0, -2), Buffer.from('garbage')]) {
      expect(errorOf(() => unpackTask(bytes))).to.have.property('code', 'ERR_BAD_PACKET');
    }
    const notBytes = 'text' as unknown as Uint8Array;
    expect(errorOf(() => unpackTask(notBytes))).to.have.property('code', 'ERR_INVALID_ARG_TYPE');
  });
});
