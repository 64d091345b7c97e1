import fs from 'node:fs';
import { resolve } from 'node:path';
import { expect } from 'chai';
import sinon from 'sinon';
import { fresh, thrownBy } from './fake-kernel';

const ROOT = resolve(__dirname, '..', '..');
const ABI = process.versions.modules;
const PREBUILD = resolve(ROOT, `prebuilds/linux-${process.arch}/prefork.abi${ABI}.node`);
const BUILD = resolve(ROOT, 'build/Release/prefork.node');

function binariesThere(there: (path: string) => boolean): void {
  const real = fs.existsSync;
  sinon.replace(fs, 'existsSync', (path) =>
    String(path).endsWith('.node') ? there(String(path)) : real(path),
  );
}

describe('binding', () => {
  afterEach(() => {
    sinon.restore();
  });

  it('loads the addon built for the ABI of this Node', () => {
    const tried: string[] = [];
    binariesThere((path) => tried.push(path) > 0);
    expect(fresh<{ binding: object }>('binding').binding).to.have.property('forkChild');
    expect(tried).to.deep.equal([PREBUILD]);
  });

  it('reports every path it has tried, and how to build, when no binary is there', () => {
    binariesThere(() => false);
    const { message } = thrownBy(() => fresh('binding'), 'ERR_UNSUPPORTED_NODE');
    expect(message).to.include(`Node ${process.version} (ABI ${String(ABI)})`);
    expect(message).to.include(`${PREBUILD}: not there`);
    expect(message).to.include(`${BUILD}: not there`);
    expect(message).to.include('npm rebuild prefork');
    expect(message).to.include(`node ${resolve(ROOT, 'scripts/build-native.mjs')}`);
  });

  it('takes what node-gyp has built when there is no binary for this ABI', () => {
    const tried: string[] = [];
    binariesThere((path) => {
      tried.push(path);
      return path === BUILD;
    });
    // It was not built here: what matters is that it is asked for.
    const load = (): unknown => fresh('binding');
    if (fs.statSync(BUILD, { throwIfNoEntry: false }) === undefined) {
      expect(thrownBy(load, 'ERR_UNSUPPORTED_NODE').message).to.include(`${BUILD}: Cannot find`);
    } else load();
    expect(tried).to.deep.equal([PREBUILD, BUILD]);
  });

  it('goes on to the next path when a binary does not load, and reports why it did not', () => {
    const fake = resolve(ROOT, 'prebuilds', `${process.platform}-wrong`, `prefork.abi${ABI}.node`);
    sinon.stub(process, 'arch').value('wrong');
    binariesThere((path) => path === fake);
    const { message } = thrownBy(() => fresh('binding'), 'ERR_UNSUPPORTED_NODE');
    expect(message).to.include(`${fake}: Cannot find module`);
    expect(message).to.include(`${BUILD}: not there`);
  });

  it('says that it needs Linux on another platform, and tries nothing', () => {
    const tried: string[] = [];
    binariesThere((path) => tried.push(path) > 0);
    sinon.stub(process, 'platform').value('darwin');
    const { message } = thrownBy(() => fresh('binding'), 'ERR_UNSUPPORTED_PLATFORM');
    expect(message).to.match(/needs Linux.*this is darwin/);
    expect(tried).to.deep.equal([]);
  });
});
