import { expect } from 'chai';
import { resultOf } from '../fixtures/process/result';
import { assertNothingLeaks } from '../support/leaks';

const SOCKETS = 'export-socket/sockets.js';

describe('exportSocket', () => {
  assertNothingLeaks();

  it('gives a net.Socket on a stream pipe, on both sides (coro/ipc)', async () => {
    expect(await resultOf(SOCKETS, ['streamBothSides'])).to.deep.equal({
      net: true,
      text: 'got hello',
      code: 0,
    });
  });

  it('net.Socket: all data, then end and close, when the child has ended', async () => {
    expect(await resultOf(SOCKETS, ['streamEnd'])).to.deep.equal({ text: 'last words', code: 0 });
  });

  it('net.Socket: carries 10 MB and the end of one direction', async () => {
    expect(await resultOf(SOCKETS, ['streamMuch'])).to.equal(true);
  });

  it('gives a MessageSocket on a dgram pipe: message, send and close on both sides', async () => {
    expect(await resultOf(SOCKETS, ['dgramBothSides'])).to.deep.equal({
      kind: true,
      sent: [true, true, true],
      answers: ['got one', 'got two', 'got end'],
      code: 0,
      closed: true,
    });
  });

  it('MessageSocket: question and answer, each side closes its own (coro/ipc)', async () => {
    expect(await resultOf(SOCKETS, ['coroIpc'])).to.equal('worker has from master');
  });

  it('MessageSocket: send queues for a slow reader, keeps the order and emits drain once', async () => {
    expect(await resultOf(SOCKETS, ['drain'])).to.deep.equal({
      refused: true,
      queued: true,
      left: 0,
      drains: 1,
      code: 0,
    });
  });

  it('MessageSocket: a peer that is gone is an EPIPE error and a close', async () => {
    expect(await resultOf(SOCKETS, ['peerIsGone'])).to.deep.equal({
      events: ['EPIPE', 'close'],
      again: 'ERR_NO_PIPE',
    });
  });

  it('MessageSocket: messages wait for a listener, or for read()', async () => {
    expect(await resultOf(SOCKETS, ['oneByOne'])).to.deep.equal({
      messages: ['one', 'two', 'three', 'four'],
      code: 0,
    });
  });

  it('MessageSocket: no message comes after close()', async () => {
    expect(await resultOf(SOCKETS, ['noMoreMessagesAfterClose'])).to.deep.equal({
      messages: ['0'],
      left: '1',
    });
  });

  it('MessageSocket: refuses empty, wrong and too big data, and a closed socket', async () => {
    expect(await resultOf(SOCKETS, ['misuse'])).to.deep.equal([
      'ERR_EMPTY_DATA',
      'ERR_INVALID_ARG_TYPE',
      'ERR_MESSAGE_TOO_BIG',
      'ERR_NO_PIPE',
    ]);
  });

  for (const kind of ['stream', 'dgram']) {
    it(`makes one socket, and a new one after that was closed (${kind})`, async () => {
      expect(await resultOf(SOCKETS, ['onceOnly', kind])).to.deep.equal({
        same: true,
        fresh: true,
      });
    });

    it(`is a duplicate that lives on after close() of the pipe (${kind})`, async () => {
      expect(await resultOf(SOCKETS, ['outlivesThePipe', kind])).to.equal('got text');
    });
  }

  it('throws ERR_NO_PIPE without a pipe and ERR_NOT_STARTED before start()', async () => {
    expect(await resultOf(SOCKETS, ['codes'])).to.deep.equal(['ERR_NO_PIPE', 'ERR_NOT_STARTED']);
  });

  it('MessageSocket: unref lets the process end, ref keeps it', async () => {
    expect(await resultOf(SOCKETS, ['unref'])).to.equal('open');
    expect(await resultOf(SOCKETS, ['refAgain'])).to.equal('late');
  });

  it('belongs to the new pipe after the same object was started again', async () => {
    expect(await resultOf(SOCKETS, ['newOneAfterRestart'])).to.equal(true);
  });

  it("a child forked later does not take the parent's messages", async () => {
    expect(await resultOf(SOCKETS, ['forgottenInTheChild'])).to.deep.equal({
      messages: ['first a'],
      answer: 'second b',
    });
  });
});
