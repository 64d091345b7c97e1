import { networkInterfaces } from 'node:os';
import { expect } from 'chai';
import { resultOf } from '../fixtures/process/result';
import { assertNothingLeaks } from '../support/leaks';

const DATAGRAMS = 'ipc/datagrams.js';

const hasV6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
);

describe('datagram socket', () => {
  assertNothingLeaks();

  for (const [host, loopback] of [
    ['0.0.0.0', '127.0.0.1'],
    ['::', '::1'],
    ['::', '127.0.0.1'],
  ] as const) {
    it(`of three processes gives each datagram to one, who answers (${host}, asked from ${loopback})`, async function () {
      if (!hasV6 && host === '::') this.skip();
      expect(await resultOf(DATAGRAMS, ['udp', host, loopback])).to.deep.equal({
        once: true,
        known: true,
        sameFds: true,
      });
    });
  }

  it('of the unix kind does so, too, and its file is left to the process that made it', async () => {
    expect(await resultOf(DATAGRAMS, ['unix'])).to.deep.equal({
      once: true,
      there: ['client.sock', 'server.sock'],
      left: [],
    });
  });

  it('loses with a killed process the one datagram that it was handling', async () => {
    expect(await resultOf(DATAGRAMS, ['killed'])).to.deep.equal({
      signal: 9,
      found: 49,
      from: 1,
      to: 49,
    });
  });

  it('stays open when a child closes its own copy', async () => {
    expect(await resultOf(DATAGRAMS, ['closed'])).to.equal('x');
  });

  it('keeps a process alive while it is watched', async () => {
    expect(await resultOf(DATAGRAMS, ['loop'])).to.equal(7);
  });
});
