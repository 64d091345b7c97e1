import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../../lib/binding';
import { encodeFrame } from '../../../../lib/ipc/length-frame';
import { ListeningSocket } from '../../../../lib/ipc/listening-socket';
import { Addresses } from '../../../../lib/server/bus/addresses';
import { TASK } from '../../../../lib/server/bus/message';
import * as badPackets from '../../../../lib/server/task/bad-packets';
import { StreamSource } from '../../../../lib/server/task/stream-source';
import type { TaskIntake } from '../../../../lib/server/task/task-channel';
import { encodeTaskPacket } from '../../../../lib/server/task/task-packet';
import { settle } from '../../fake-kernel';
import { SIZES } from './rig';

const SERVER = 77;
const POLLIN = 1;
/** Of libuv. When one is full it reads again at once, before anything that was begun meanwhile is finished. */
const READ_BYTES = 65_536;

describe('StreamSource', () => {
  const addresses = new Addresses(SIZES, false);
  const packet = { type: TASK, kind: 0, id: 5, from: addresses.row(0), server: SERVER };
  const frameWith = (data: Buffer): Buffer => encodeFrame([encodeTaskPacket(packet, data)]);
  const frame = frameWith(Buffer.from('data'));
  let folder: string;
  let listening: ListeningSocket;
  let source: StreamSource;
  let client: number;
  let taken: number[];
  /** The task has ended and its answer has left. */
  let answer: () => void;
  let onTask: () => void;
  let bad: sinon.SinonStub;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'prefork-source-'));
    const path = join(folder, 'task.sock');
    listening = ListeningSocket.unix(path);
    taken = [];
    onTask = () => undefined;
    const intake = {
      handle: (_type: number, _kind: number, id: number) => {
        taken.push(id);
        onTask();
      },
      answered: () => new Promise<void>((resolve) => (answer = resolve)),
    };
    source = new StreamSource({
      ...{ listening, server: SERVER, addresses },
      intake: intake as unknown as TaskIntake,
    });
    source.start();
    client = binding.connectUnix(path);
    bad = sinon.stub(badPackets, 'warnOfBadPacket');
  });
  afterEach(async () => {
    sinon.restore();
    await source.stop();
    listening.close();
    rmSync(folder, { recursive: true });
  });

  const send = (bytes: Buffer): number => binding.send(client, bytes, 0, bytes.length, 0);
  const takesTask = async (): Promise<void> => {
    send(frame);
    while (taken.length === 0) await turn();
  };
  const staysSilent = async (): Promise<void> => {
    for (let i = 0; i < 50; i++) await turn();
    sinon.assert.notCalled(bad);
  };

  it('says with a byte that the answer is on its way', async () => {
    await takesTask();
    answer();
    await settle();
    expect(binding.pollFd(client, POLLIN, 0)).to.equal(POLLIN);
    binding.closeFd(client);
    expect(taken).to.deep.equal([5]);
  });

  describe('does not call a packet bad when who sent it', () => {
    it('has its answer, and closes with that byte unread: its connection is reset', async () => {
      let unread = 0;
      onTask = () => {
        queueMicrotask(() => {
          answer();
          void settle().then(() => {
            unread = binding.pollFd(client, POLLIN, 0);
            binding.closeFd(client);
          });
        });
      };
      const room = READ_BYTES - frameWith(Buffer.alloc(0)).length;
      send(frameWith(Buffer.alloc(room)));
      while (unread === 0) await turn();
      await staysSilent();
    });

    it('has gone before that byte', async () => {
      await takesTask();
      binding.closeFd(client);
      answer();
      await staysSilent();
    });

    it('has gone in the middle of its frame', async () => {
      send(frame.subarray(0, 10));
      binding.closeFd(client);
      await staysSilent();
    });
  });

  it('does for a frame that is no task', async () => {
    send(encodeFrame([Buffer.from('garbage')]));
    while (!bad.called) await turn();
    binding.closeFd(client);
    expect(taken).to.deep.equal([]);
  });
});
