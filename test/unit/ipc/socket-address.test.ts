import { mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { systemError } from '../../../lib/errors';
import { nextGeneration } from '../../../lib/ipc/generation';
import {
  checkPath,
  checkPort,
  ipName,
  naming,
  numericAddress,
  SocketFile,
  unixName,
} from '../../../lib/ipc/socket-address';
import { thrownBy } from '../fake-kernel';

describe('socket addresses', () => {
  it('are numbers, or localhost', () => {
    for (const address of ['127.0.0.1', '::', 'fe80::1%lo']) {
      expect(numericAddress(address)).to.equal(address);
    }
    expect([numericAddress('localhost'), numericAddress('localhost', '::1')]).to.deep.equal([
      '127.0.0.1',
      '::1',
    ]);
    const { message } = thrownBy(() => numericAddress('example.org'), 'ERR_OUT_OF_RANGE');
    expect(message).to.include('"example.org"').and.to.include('not looked up');
    thrownBy(() => numericAddress(''), 'ERR_OUT_OF_RANGE');
    thrownBy(() => numericAddress(1 as never), 'ERR_INVALID_ARG_TYPE');
  });

  it('have ports from 0, or a given least one, to 65535', () => {
    expect([checkPort(0), checkPort(65535)]).to.deep.equal([0, 65535]);
    for (const port of [-1, 65536, 1.5]) thrownBy(() => checkPort(port), 'ERR_OUT_OF_RANGE');
    thrownBy(() => checkPort(0, 1), 'ERR_OUT_OF_RANGE');
  });

  it('have paths of 1 to 107 bytes', () => {
    expect(checkPath('x'.repeat(107))).to.have.length(107);
    const { message } = thrownBy(() => checkPath('ü'.repeat(54)), 'ERR_OUT_OF_RANGE');
    expect(message).to.include('107').and.to.include('108');
    thrownBy(() => checkPath(''), 'ERR_OUT_OF_RANGE');
    thrownBy(() => checkPath('a\0b'), 'ERR_OUT_OF_RANGE');
    thrownBy(() => checkPath(1 as never), 'ERR_INVALID_ARG_TYPE');
  });

  it('are written for people, and told by errors of the system only', () => {
    expect([ipName('127.0.0.1', 80), ipName('::1', 80), unixName('/a')]).to.deep.equal([
      '127.0.0.1:80',
      '[::1]:80',
      'unix:/a',
    ]);
    const failing = (error: Error) => () =>
      naming('here', () => {
        throw error;
      });
    const { message } = thrownBy(failing(systemError('EACCES', 'bind', 'no')), 'EACCES');
    expect(message).to.include('here');
    const other = new Error('other');
    expect(failing(other)).to.throw(Error, /^other$/);
  });

  describe('the file of a unix socket', () => {
    let folder: string;
    let path: string;

    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), 'prefork-'));
      path = join(folder, 'file');
      writeFileSync(path, '');
    });
    afterEach(() => {
      rmSync(folder, { recursive: true });
    });

    it('is removed once', () => {
      const file = new SocketFile(path);
      expect([file.remove(), file.remove()]).to.deep.equal([true, false]);
      expect(readdirSync(folder)).to.deep.equal([]);
    });

    it("stays when it is somebody else's, or a forked child asks", () => {
      const file = new SocketFile(path);
      renameSync(path, `${path}.old`);
      writeFileSync(path, '');
      expect(file.remove()).to.equal(false);
      const inherited = new SocketFile(path);
      nextGeneration();
      expect(inherited.remove()).to.equal(false);
      expect(readdirSync(folder)).to.have.length(2);
    });
  });
});
