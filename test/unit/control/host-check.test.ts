import { expect } from 'chai';
import { isHostAllowed } from '../../../lib/control/host-check';

describe('host check', () => {
  it('allows addresses and localhost, with any port', () => {
    const hosts = [
      'localhost',
      'LOCALHOST:80',
      '127.0.0.1',
      '10.1.2.3:9100',
      '[::1]',
      '[fe80::1]:80',
    ];
    for (const host of hosts) expect(isHostAllowed(host), host).to.equal(true);
  });

  it('refuses names, and what is no host', () => {
    const hosts = [
      'evil.example',
      'localhost.',
      'a.localhost',
      '127.0.0.1.nip.io',
      '',
      '::1',
      'localhost:x',
    ];
    for (const host of [
      ...hosts,
      'localhost, evil',
      '[evil]',
      '999.1.1.1',
      'user@localhost',
      undefined,
    ]) {
      expect(isHostAllowed(host), String(host)).to.equal(false);
    }
  });

  it('allows names that it is told of, and only those', () => {
    const allowed = ['Status.Example'];
    expect(isHostAllowed('status.example:8080', allowed)).to.equal(true);
    expect(isHostAllowed('x.status.example', allowed)).to.equal(false);
  });
});
